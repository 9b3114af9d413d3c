"""The tour, run in JupyterLab, saved and opened again; and the pictures that the README shows.

`make screenshots` runs this and keeps the pictures.
"""

from __future__ import annotations

import nbformat
import pytest

from tests.browser.conftest import CURRENT, ROOT, SHOTS

pytestmark = pytest.mark.browser

LONG = 240_000  # ms: the tour measures


@pytest.fixture
def tour(notebook):
    """The tour without its outputs, run from top to bottom."""
    made = nbformat.read(ROOT / "notebooks" / "01_tour.ipynb", as_version=4)
    for cell in made.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    notebook.page.set_default_timeout(LONG)
    cells = [cell for cell in made.cells if "raises-exception" not in cell.metadata.get("tags", [])]
    made.cells = [cell for cell in cells if "cumsum" not in cell.source]
    return notebook.open(notebook=made).run_all()


def linked(page, view) -> None:
    """A click on a node marks the user's line and generated lines of several languages."""
    view.locator(".fk-svg .fk-node:has(text:text-is('tanh'))").first.click()
    assert "torch.tanh(inner)" in view.locator(".fk-user .fk-l.fk-pin").inner_text()
    marked = view.locator(".fk-generated .fk-src:has(.fk-l.fk-pin) > summary").all_text_contents()
    assert {text.split(" · ")[-1] for text in marked} >= {"llvm", "asm", "cpp", "ir"}
    assert page.locator(".fk-view .fk-pin").count() > 0


def beginning_of(view, name: str) -> None:
    """A picture of the graph and the first lines of code."""
    view.page.set_viewport_size({"width": 1280, "height": 1900})
    view.evaluate("e => e.scrollIntoView()")
    box = view.bounding_box()
    height = min(box["height"], 1850 - box["y"])
    view.page.screenshot(path=str(SHOTS / f"{name}.png"), clip={**box, "height": height})


def saved(found) -> str:
    """Save the notebook; its name."""
    found.command("docmanager:save")
    found.page.wait_for_function(f"() => {{ {CURRENT} return !w.context.model.dirty; }}")
    return found.page.evaluate(f"() => {{ {CURRENT} return w.context.path; }}")


def reopened(found, name: str):
    """The notebook in a page that has no kernel: that of the new page is ended."""
    found.page.goto(
        f"{found.lab['base']}/doc/tree/{name}?reset&token={found.lab['token']}",
        wait_until="domcontentloaded",
    )
    found.page.wait_for_function("() => !!window.jupyterapp")
    found.page.wait_for_selector(".jp-Notebook .jp-Cell")
    found.page.evaluate(f"async () => {{ {CURRENT} await w.sessionContext.shutdown(); }}")
    return found.page


def test_the_tour_and_what_is_left_of_it(tour):
    page = tour.page
    page.wait_for_selector(".fk-live[data-state=ready] .fk-view[data-fk-ready] svg")
    first = page.locator(".fk-view").first
    linked(page, first)
    beginning_of(first, "readme-view")
    tour.theme("JupyterLab Dark")
    beginning_of(first, "tour-dark")
    tour.theme("JupyterLab Light")

    live = page.locator(".fk-live")
    slider = live.get_by_role("slider", name="size")
    before = live.locator(".fk-stage").get_attribute("data-drawn")
    slider.focus()
    slider.press("ArrowLeft")
    page.wait_for_function(
        "before => document.querySelector('.fk-live .fk-stage').dataset.drawn !== before",
        arg=before,
    )

    name = saved(tour)
    page = reopened(tour, name)
    page.wait_for_selector(".fk-view[data-fk-ready] svg")  # trusted: it comes alive by itself
    linked(page, page.locator(".fk-view").first)

    path = tour.lab["root"] / name
    made = nbformat.read(path, as_version=4)
    made.cells.append(nbformat.v4.new_markdown_cell("changed by somebody else"))
    strange = path.with_name(f"strange-{name}")
    nbformat.write(made, strange)
    page = reopened(tour, strange.name)
    figure = page.locator(".jp-OutputArea-output figure").first
    figure.wait_for()
    assert figure.locator("img").get_attribute("alt").startswith("Fusion graph of bias_gelu")
    first = page.locator(".jp-OutputArea-output:has(figure)").first
    assert "tanh" in first.locator("pre").first.inner_text()
    assert first.locator("table").count() >= 3
    assert "faster" in first.inner_text() or "tie" in first.inner_text()
    assert page.locator(".jp-OutputArea-output script").count() == 0
    tour.shot("tour-untrusted")
    # JupyterLab asks the kernel about its debugger, which has just been ended.
    tour.problems[:] = [text for text in tour.problems if "debugger state" not in text]


PANELS = """import torch, fusekit
_ = torch.manual_seed(0)
@fusekit.fuse
def block(x, w, bias):
    hidden = torch.relu(x * 1.5 + bias)
    mixed = hidden @ w
    return torch.tanh(mixed) * hidden * 0.5

x, w, bias = torch.randn(512, 512), torch.randn(512, 512) / 16, torch.randn(512)
view = block.explore(x, w, bias).only("graph", "why")
live = block.explore(x, w, bias).live()
live"""


def test_panels_for_the_readme(notebook):
    found = notebook.open(PANELS).run_all()
    page = found.page
    page.set_default_timeout(LONG)
    page.wait_for_selector(".fk-live[data-state=ready] .fk-view[data-fk-ready] svg")
    page.locator(".fk-svg .fk-node:has(text:text-is('tanh'))").first.click()
    for name in ("what-if", "rounding"):
        panel = page.locator(f'.fk-panel[data-panel="{name}"]')
        assert panel.count() == 1, name
        panel.locator("summary").first.click()
        panel.locator("button").first.wait_for()
        page.wait_for_function(
            "n => document.querySelector(`.fk-panel[data-panel='${n}']`).ariaBusy === null",
            arg=name,
        )
        found.shot(f"readme-{name}", f'.fk-panel[data-panel="{name}"]')
