"""No violation of accessibility rules that axe-core can find, in any state of a view."""

from __future__ import annotations

import pytest

from fusekit.viz.page import page
from tests.viz import models

pytestmark = pytest.mark.browser

base = pytest.importorskip(
    "axe_playwright_python.base", reason="axe-playwright-python is not installed (the extra `dev`)"
)

LIVE = """from fusekit.viz import FusionView
from tests.viz import models
from tests.viz.sessions import FakeSession
FusionView(models.gated_mlp(), live=FakeSession()).live()"""
REAL = """import torch, fusekit
def block(x, w, b):
    h = torch.relu(x * 2 + b) @ w
    return torch.sigmoid(h) * h
fused = fusekit.fuse(block)
fused.explore(torch.randn(64, 64), torch.randn(64, 64), torch.randn(64)).live()"""
SHOW = "from fusekit.viz import FusionView\nfrom tests.viz import models\nFusionView(models.{}())"

SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])


RULES = ("target-size", "label-content-name-mismatch", "focus-order-semantics", "td-has-header")
"""What axe-core looks for only when it is asked to."""

FIND = """async ([within, rules]) => {
    const options = {resultTypes: ['violations'], rules};
    const {violations} = await axe.run(within || document, options);
    return violations.flatMap(v => v.nodes.map(
        n => `${v.id}: ${n.html.slice(0, 160)} ${n.failureSummary}`)); }"""


def violations(found, within: str = "") -> list[str]:
    """Return what axe-core finds wrong in the elements that `within` selects, or anywhere."""
    if not found.page.evaluate("!!window.axe"):
        found.page.evaluate(base.AXE_SCRIPT)
    rules = {name: {"enabled": True} for name in RULES}
    return found.page.evaluate(FIND, [within, rules])


def unfold(found) -> None:
    found.page.evaluate("document.querySelectorAll('.fk-view details').forEach(e => e.open = true)")


@SCHEMES
@pytest.mark.parametrize("make", [models.lstm_cell, models.gated_mlp, models.noisy_relu])
def test_a_page_with_all_of_it_open(open_file, make, scheme):
    found = open_file(page(make()), color_scheme=scheme)
    assert violations(found) == []
    unfold(found)
    found.page.locator(".fk-node.fk-k-op").first.click()
    found.page.locator(".fk-canvas").press("u")
    found.page.keyboard.press("?")
    found.page.get_by_role("searchbox").fill("f32")
    found.page.keyboard.press("Enter")
    assert violations(found) == []


@SCHEMES
def test_a_page_without_scripts(open_file, scheme):
    text = page(models.gated_mlp())
    static = text[: text.index("<script")] + "</body></html>"
    found = open_file(static, color_scheme=scheme)
    unfold(found)
    assert violations(found) == []


@SCHEMES
def test_seams_and_edges_pinned(open_file, scheme):
    found = open_file(page(models.noisy_relu()), color_scheme=scheme)
    found.page.locator(".fk-badge").first.click()
    assert violations(found) == []


def test_a_view_in_jupyterlab(notebook):
    found = notebook.open(SHOW.format("gated_mlp")).run_all()
    found.page.wait_for_selector(".fk-view[data-fk-ready] svg")
    unfold(found)
    found.page.locator(".fk-node").nth(4).click()
    assert violations(found, ".fk-view") == []
    found.theme("JupyterLab Dark")
    assert violations(found, ".fk-view") == []
    found.theme("JupyterLab Light")


def test_a_live_view_with_its_panels_open(notebook):
    found = notebook.open(LIVE).run_all()
    found.page.wait_for_selector(".fk-live[data-state=ready] .fk-view[data-fk-ready] svg")
    found.page.locator(".fk-panel > summary").first.click()
    found.page.wait_for_selector(".fk-panel[data-drawn]")
    unfold(found)
    assert violations(found, ".fk-live") == []
    found.theme("JupyterLab Dark")
    assert violations(found, ".fk-live") == []
    found.theme("JupyterLab Light")


def test_every_panel_of_a_call_that_can_run_again(notebook):
    found = notebook.open(REAL).run_all()
    found.page.wait_for_selector(".fk-live[data-state=ready] .fk-view[data-fk-ready] svg")
    panels = found.page.locator(".fk-panel")
    assert panels.count() > 0
    for panel in panels.all():
        panel.locator("summary").first.click()
        panel.locator(":scope[data-drawn]").wait_for()
    unfold(found)
    assert violations(found, ".fk-live") == []
    found.theme("JupyterLab Dark")
    assert violations(found, ".fk-live") == []
    found.theme("JupyterLab Light")
