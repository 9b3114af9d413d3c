"""The panels "Edit" and "Cache" in JupyterLab: a kernel is changed, an entry looked up."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.cxx]

LIVE = """import torch, fusekit
@fusekit.fuse
def smooth(x, b, s):
    return torch.tanh(x * s + b) / (x * x + 1)

x, b = torch.randn(64, 512), torch.randn(512)
smooth(x, b, 2.0), smooth(x.half(), b.half(), 2.0)
view = smooth.explore(x, b, 2.0)
live = view.live()
live"""


@pytest.fixture
def page(notebook):
    found = notebook.open(LIVE).run_all()
    found.page.wait_for_selector(".fk-live[data-state=ready] .fk-view[data-fk-ready] svg")
    found.page.found = found
    return found.page


def opened(page, name):
    panel = page.locator(f'.fk-panel[data-panel="{name}"]')
    panel.locator("summary").first.click()
    panel.locator("button").first.wait_for()
    return panel


def test_an_edit_is_compiled_checked_and_timed(page):
    panel = opened(page, "edit")
    text = panel.locator("textarea")
    before = page.found.cells()
    source = text.input_value()
    assert panel.get_by_label("language").input_value() == "cpp"
    assert panel.locator(".fk-gutter span").count() == len(source.split("\n"))
    # a syntax error is told at its line
    line = next(i for i, t in enumerate(source.split("\n"), 1) if "return 0;" in t)
    text.fill(source.replace("  return 0;", "  return nothing;"))
    panel.get_by_role("button", name="compile and time").click()
    jump = panel.get_by_role("button", name=f"line {line}")
    jump.wait_for()
    assert panel.locator(".fk-bad-line").all_inner_texts() == [str(line)]
    assert "does not compile" in panel.locator(".fk-verdict").inner_text()
    jump.click()
    at = text.evaluate("e => e.value.slice(0, e.selectionStart).split('\\n').length")
    assert at == line
    page.found.shot("edit-error", '.fk-panel[data-panel="edit"]')
    # Tab indents, Escape and Tab leave
    text.press("Home")
    text.press("Tab")
    assert text.input_value().split("\n")[line - 1].startswith("    return nothing;")
    text.press("Control+z")
    assert text.input_value().split("\n")[line - 1] == "  return nothing;"
    text.press("Enter")
    assert panel.locator(".fk-gutter span").count() == len(source.split("\n")) + 1
    text.press("Escape")
    text.press("Tab")
    assert page.evaluate("document.activeElement.name") == "compile"
    # a right one has a time
    text.fill(source.replace("  return 0;", "  // mine\n  return 0;"))
    text.press("Control+Enter")
    panel.locator(".fk-edit-times").wait_for()
    assert panel.locator(".fk-verdict").inner_text().startswith("right: ")
    assert "µs" in panel.locator(".fk-edit-times").inner_text() or "ms" in (
        panel.locator(".fk-edit-times").inner_text()
    )
    assert "// mine" in text.input_value()
    page.found.shot("edit-light", '.fk-panel[data-panel="edit"]')
    page.found.theme("JupyterLab Dark")
    page.found.shot("edit-dark", '.fk-panel[data-panel="edit"]')
    page.found.theme("JupyterLab Light")
    panel.get_by_role("button", name="revert").click()
    panel.get_by_text("the text as it was generated").wait_for()
    assert text.input_value() == source
    assert page.found.cells() == before


def test_a_signature_is_looked_up_and_an_entry_evicted(page):
    panel = opened(page, "cache")
    asked = panel.get_by_label("signature")
    assert asked.input_value() == "f32[64,512], f32[512], 2.0"  # as the slider stands
    assert "served by entry 1" in panel.locator(".fk-verdict").inner_text()
    asked.fill("f32[256,512], f32[512], 2.0")
    panel.get_by_role("button", name="would serve?").click()
    panel.get_by_text("a new plan by the capture of entry 1: nothing is compiled").wait_for()
    asked.fill("f32[64,512], f32[512], 7.5")
    panel.get_by_role("button", name="would serve?").click()
    panel.get_by_text("served by entry 1").wait_for()
    asked.fill("f16[64,512]:transposed, f16[512], 2.0")
    asked.press("Enter")
    panel.get_by_text("captured anew").wait_for()
    row = panel.locator(".fk-cache tbody tr").nth(1)
    assert "✗ strides [512, 1], given [1, 64]" in row.inner_text()
    assert panel.locator(".fk-cache strong").count() == 2
    panel.get_by_role("button", name="why entry 2").click()
    panel.get_by_text("why entry 2 was a miss").wait_for()
    assert asked.input_value() == "f16[64,512], f16[512], 2.0"
    panel.get_by_role("button", name="pin entry 2", exact=True).click()
    panel.get_by_text("entry 2 is pinned").wait_for()
    page.found.shot("cache-light", '.fk-panel[data-panel="cache"]')
    page.found.theme("JupyterLab Dark")
    page.found.shot("cache-dark", '.fk-panel[data-panel="cache"]')
    page.found.theme("JupyterLab Light")
    panel.get_by_role("button", name="evict entry 2").click()
    panel.get_by_text("entry 2 is gone").wait_for()
    assert page.found.py("[e.number for e in smooth.cache().entries]") == "[1]"
    asked.fill("f17[2]")
    asked.press("Enter")
    panel.get_by_text("no dtype 'f17'").wait_for()
