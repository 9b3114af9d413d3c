"""The views in a real JupyterLab."""

from __future__ import annotations

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from fusekit.viz import FusionView
from tests.browser.conftest import CURRENT
from tests.viz import models

pytestmark = pytest.mark.browser

SHOW = "from fusekit.viz import FusionView\nfrom tests.viz import models\nFusionView(models.{}())"
LIVE = """from fusekit.viz import FusionView
from tests.viz import models
from tests.viz.sessions import FakeSession
session = FakeSession(seconds=0.3)
live = FusionView(models.lstm_cell(), live=session).live()
live"""


def test_a_trusted_view_hydrates_and_links(notebook):
    found = notebook.open(SHOW.format("gated_mlp")).run_all()
    page = found.page
    page.wait_for_selector(".fk-view[data-fk-ready] svg")
    page.locator(".fk-node:has(text:text-is('mm'))").hover()
    assert page.locator(".fk-user .fk-hi").inner_text().strip() == "5     y = h @ w"
    found.shot("lab-light")
    found.theme("JupyterLab Dark")
    page.wait_for_function(
        "getComputedStyle(document.querySelector('.fk-view')).backgroundColor === 'rgb(21, 24, 28)'"
    )
    found.shot("lab-dark")
    found.theme("JupyterLab Light")


def test_keys_in_a_view_are_not_commands_of_the_notebook(notebook):
    found = notebook.open(SHOW.format("gated_mlp")).run_all()
    found.page.wait_for_selector(".fk-view[data-fk-ready] svg")
    before = found.cells()
    found.page.locator(".fk-node").nth(4).click()
    found.page.locator(".fk-node").nth(4).focus()
    for key in ("a", "b", "b"):  # each would add a cell
        found.page.keyboard.press(key)
    assert found.cells() == before
    found.page.locator(".fk-user .fk-l[data-l]").first.focus()
    for key in ("b", "b"):
        found.page.keyboard.press(key)
    assert found.cells() == before


def test_an_untrusted_notebook_keeps_the_static_layer(notebook):
    view = FusionView(models.gated_mlp())
    cell = new_code_cell("view", execution_count=1)
    cell.outputs = [new_output("execute_result", data=view._repr_mimebundle_(), execution_count=1)]
    found = notebook.open(notebook=new_notebook(cells=[cell]))
    page = found.page
    image = page.locator(".jp-OutputArea-output img")
    image.wait_for()
    assert image.get_attribute("alt").startswith("Fusion graph of gated_mlp")
    assert image.evaluate("async e => { await e.decode(); return e.naturalWidth; }") > 300
    assert page.locator(".jp-OutputArea-output details").count() >= 5
    assert page.locator(".jp-OutputArea-output table").count() >= 3
    page.locator("summary", has_text="Outline of the graph").click()
    assert page.get_by_text("mul 2, f32[2048,2048], 16 MiB, operator 2 of 3 in g2").is_visible()
    assert page.locator(".jp-OutputArea-output script, .jp-OutputArea-output style").count() == 0
    assert page.get_by_role("cell", name="its result is needed whole by a").is_visible()
    found.shot("untrusted-light")
    found.theme("JupyterLab Dark")
    found.shot("untrusted-dark")
    found.theme("JupyterLab Light")


def test_the_live_view_runs_again(notebook):
    found = notebook.open(LIVE).run_all()
    page = found.page
    page.wait_for_selector(".fk-live[data-state=ready] .fk-view[data-fk-ready] svg")
    page.get_by_role("tab", name="g1 · ir").click()
    page.locator(".fk-bytes > summary").click()
    slider = page.get_by_role("slider", name="size")
    slider.focus()
    slider.press("ArrowLeft")
    slider.press("ArrowLeft")
    page.wait_for_selector(".fk-live[data-busy]")
    page.get_by_text("lstm_cell at 65536 on llvm").wait_for()
    page.wait_for_selector(".fk-live:not([data-busy])")
    assert found.py("session.asked") == "[(65536, 'llvm')]"  # one run for two steps
    assert page.locator(".fk-tabs [aria-selected=true]").get_attribute("aria-label") == "g1 · ir"
    assert page.locator(".fk-ledger").is_visible()
    page.locator(".fk-node").nth(3).hover()
    assert page.locator(".fk-generated .fk-hi >> visible=true").count() > 0
    found.shot("live-light")


def test_another_run_keeps_what_the_reader_has_chosen(notebook):
    found = notebook.open(LIVE).run_all()
    page = found.page
    page.wait_for_selector(".fk-live[data-state=ready] .fk-view[data-fk-ready] svg")
    page.locator(".fk-outline > summary").click()
    page.locator(".fk-time > summary").click()
    page.get_by_role("button", name="both, side by side").click()
    page.locator(".fk-after .fk-fold").first.click()
    page.get_by_role("searchbox").fill("tanh")
    page.locator(".fk-before .fk-node:has(text:text-is('sigmoid'))").first.click()
    page.locator(".fk-user .fk-l[data-l='14']").click()
    page.get_by_role("button", name="upstream of what is pinned").click()
    state = """() => { const root = document.querySelector('.fk-view');
        const texts = (selector) => [...root.querySelectorAll(selector)].map(e => e.textContent);
        return [texts('.fk-svg .fk-head'), texts('.fk-pin'), texts('.fk-at'), texts('.fk-found'),
            root.querySelector('[type=search]').value, root.dataset.fkPinned, root.dataset.fkFlow,
            root.querySelector('.fk-sides').dataset.side,
            [...root.querySelectorAll('details.fk-sec, .fk-outline')].map(e => e.open)]; }"""
    before = page.evaluate(state)
    assert all(before[1:7])
    slider = page.get_by_role("slider", name="size")
    slider.press("ArrowLeft")
    page.get_by_text("lstm_cell at 262144 on llvm").wait_for()
    page.wait_for_selector(".fk-live:not([data-busy])")
    assert page.evaluate(state) == before


def test_the_live_view_shows_errors_and_recovers(notebook):
    found = notebook.open(LIVE).run_all()
    page = found.page
    page.wait_for_selector(".fk-live[data-state=ready]")
    menu = page.get_by_role("combobox", name="engine")
    menu.select_option("broken")
    page.get_by_text("RuntimeError: no compiler <b>here</b>").wait_for()
    page.wait_for_selector(".fk-live:not([data-busy])")
    found.shot("live-error", ".fk-live")
    assert page.locator(".fk-view svg").count() == 1
    menu.select_option("cpp")
    page.get_by_text("lstm_cell at 1048576 on cpp").wait_for()
    page.wait_for_function("document.querySelector('.fk-error').textContent === ''")


def test_choices_made_while_it_runs_are_run_afterwards_the_last_one_only(notebook):
    found = notebook.open(LIVE).run_all()
    page = found.page
    page.wait_for_selector(".fk-live[data-state=ready]")
    found.py("setattr(session, 'seconds', 1.5)")
    menu = page.get_by_role("combobox", name="engine")
    menu.select_option("cpp")
    page.wait_for_selector(".fk-live[data-busy]")
    slider = page.get_by_role("slider", name="size")
    slider.press("ArrowLeft")
    page.wait_for_timeout(400)
    slider.press("ArrowLeft")
    page.get_by_text("lstm_cell at 65536 on cpp").wait_for()
    page.wait_for_selector(".fk-live:not([data-busy])")
    assert found.py("session.asked") == "[(1048576, 'cpp'), (65536, 'cpp')]"


def test_a_kernel_that_is_restarted_leaves_nothing_waiting(notebook):
    found = notebook.open(LIVE).run_all()
    page = found.page
    page.wait_for_selector(".fk-live[data-state=ready] .fk-view[data-fk-ready] svg")
    page.locator(".fk-panel > summary").click()
    page.get_by_label("word").fill("slow")
    page.get_by_role("button", name="say").click()
    page.get_by_text("naps").wait_for()
    page.evaluate(f"() => {{ {CURRENT} k.restart(); }}")
    panel = page.locator(".fk-panel")
    panel.get_by_text("The kernel that answered here has ended: run the cell again.").wait_for()
    assert panel.get_attribute("aria-busy") is None
    page.wait_for_function(f"() => {{ {CURRENT} return k?.status === 'idle'; }}")
    page.get_by_role("button", name="say").click()
    assert panel.get_by_text("The kernel that answered here has ended").count() == 1
    page.get_by_role("combobox", name="engine").select_option("cpp")
    page.locator(".fk-controls").get_by_text("has ended: run the cell again").wait_for()
    assert page.locator(".fk-live[data-busy]").count() == 0


def test_two_views_of_one_live_widget(notebook):
    found = notebook.open(LIVE, "live").run_all()
    page = found.page
    page.wait_for_function(
        "document.querySelectorAll('.fk-live[data-state=ready] .fk-view svg').length === 2"
    )
    page.get_by_role("combobox", name="engine").first.select_option("cpp")
    page.wait_for_function(
        "document.querySelectorAll('.fk-live:not([data-busy])').length === 2 && "
        "[...document.querySelectorAll('.fk-name')].every(e => e.textContent.endsWith('on cpp'))"
    )
    assert page.get_by_role("combobox", name="engine").nth(1).input_value() == "cpp"


def test_a_panel_of_the_live_view(notebook):
    found = notebook.open(LIVE).run_all()
    page = found.page
    page.wait_for_selector(".fk-live[data-state=ready] .fk-view[data-fk-ready] svg")
    page.locator(".fk-node").nth(2).click()
    pinned = page.locator(".fk-node").nth(2).get_attribute("data-v")
    page.locator(".fk-panel > summary").click()
    said = page.locator(".fk-said-back")
    said.get_by_text(f"nothing at 1048576 on llvm, pinned {pinned}").wait_for()
    before = found.cells()
    word = page.get_by_label("word")
    word.fill("ab")
    word.press("Enter")
    said.get_by_text("ab at 1048576").wait_for()
    word.fill("slow")
    page.get_by_role("button", name="say").click()
    page.get_by_text("naps").wait_for()
    assert page.locator(".fk-working progress").is_visible()
    page.get_by_role("button", name="Stop this").click()
    page.get_by_text("stopped").wait_for()
    page.get_by_role("button", name="once more").click()
    said.get_by_text("nothing at").wait_for()
    page.get_by_role("combobox", name="engine").select_option("cpp")
    said.get_by_text("on cpp").wait_for()
    assert found.cells() == before
