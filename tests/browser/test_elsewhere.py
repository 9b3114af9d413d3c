"""The same views in Notebook 7, under Voila, and in a page that nbconvert made."""

from __future__ import annotations

import secrets

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tests.browser.conftest import Watched

pytestmark = pytest.mark.browser

SHOW = """from fusekit.viz import FusionView
from tests.viz import models
from tests.viz.sessions import FakeSession
view = FusionView(models.gated_mlp(), live=FakeSession())
view"""
CELLS = (SHOW, "view.live()")
THEIRS = (
    *("reading 'schema'", "'filebrowser:open-path' not registered"),  # Notebook 7, about itself
    # Voila's page asks for icons and MathJax, with or without a view in it, and loads Notebook's
    # extension, which does not fit.
    *("npm/@fortawesome/", "ajax/libs/mathjax/", "net::ERR_NAME_NOT_RESOLVED", "#RUNTIME-012"),
)
"""Problems of the applications themselves."""


def written(lab) -> str:
    """The name of a notebook with a static and a live view, in the folder that is served."""
    name = f"t{secrets.token_hex(4)}.ipynb"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    made = new_notebook(
        cells=[new_code_cell(cell) for cell in CELLS], metadata={"kernelspec": kernel}
    )
    nbformat.write(made, lab["root"] / name)
    return name


@pytest.fixture
def served(lab, chromium):
    """Open a page of the server's; there must be no error in it, and no request elsewhere."""
    page = chromium.new_page()
    found = Watched(page, lab["base"], lab["base"].replace("http", "ws", 1))

    def opener(path: str) -> Watched:
        page.goto(f"{lab['base']}/{path}?token={lab['token']}", wait_until="domcontentloaded")
        return found

    yield opener
    page.evaluate(
        """async base => { for (const s of await (await fetch(`${base}/api/sessions`)).json())
            await fetch(`${base}/api/sessions/${s.id}`, {method: 'DELETE', headers:
                {'X-XSRFToken': document.cookie.match('_xsrf=([^;]*)')?.[1] ?? ''}}); }""",
        lab["base"],
    )
    page.close()
    assert [text for text in found.problems if not any(known in text for known in THEIRS)] == []


def is_alive(page) -> None:
    """Both views are drawn, linked, and the live one runs again."""
    page.wait_for_selector(".fk-live[data-state=ready] .fk-view[data-fk-ready] svg")
    static = page.locator(".fk-view").first
    static.locator(".fk-node:has(text:text-is('mm'))").hover()
    assert static.locator(".fk-user .fk-hi").inner_text().strip() == "5     y = h @ w"
    page.get_by_role("combobox", name="engine").select_option("cpp")
    page.get_by_text("on cpp").first.wait_for()


def test_notebook_7(lab, served):
    pytest.importorskip("notebook", reason="Notebook 7 is not installed (the extra `dev`)")
    found = served(f"notebooks/{written(lab)}")
    page = found.page
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    page.wait_for_function("() => !!window.jupyterapp")
    page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status"
        " === 'idle'"
    )
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
    is_alive(page)
    found.shot("notebook-7")


def test_voila(lab, served):
    pytest.importorskip("voila", reason="Voila is not installed (the extra `dev`)")
    found = served(f"voila/render/{written(lab)}")
    is_alive(found.page)
    found.shot("voila")


def test_a_page_of_nbconvert_s(open_file):
    from nbconvert import HTMLExporter
    from nbformat.v4 import new_output

    from fusekit.viz import FusionView
    from tests.viz import models

    cell = new_code_cell(CELLS[0], execution_count=1)
    data = FusionView(models.gated_mlp())._repr_mimebundle_()
    cell.outputs = [new_output("execute_result", data=data, execution_count=1)]
    exporter = HTMLExporter(embed_images=True, mathjax_url="", require_js_url="")
    text, _ = exporter.from_notebook_node(new_notebook(cells=[cell]))
    found = open_file(text)
    page = found.page
    page.wait_for_selector(".fk-view[data-fk-ready] svg")
    page.locator(".fk-node:has(text:text-is('mm'))").hover()
    assert page.locator(".fk-user .fk-hi").inner_text().strip() == "5     y = h @ w"
    found.shot("nbconvert")
