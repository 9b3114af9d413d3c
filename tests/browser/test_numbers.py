"""The panels of numbers in a real JupyterLab: one element, rounding, duet."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

CALL = """import torch, fusekit
import torch.nn.functional as F
from fusekit.viz.collect.fused import collect
torch.manual_seed(1)
def block(x, w, bias):
    h = F.gelu(x @ w + bias.t())
    return torch.tanh(h) * 1.7 + h.exp()
given = torch.randn(32, 16), torch.randn(16, 48) / 4, torch.randn(48, 32)
fused = fusekit.fuse(block)
view = collect(fused, given, {}, timing=False)
live = view.live()
live.rerun(32, live.engine)
live"""

ELEMENT, ROUNDING, DUET = (f".fk-panel[data-panel={n}]" for n in ("element", "rounding", "duet"))


@pytest.fixture
def opened(notebook):
    found = notebook.open(CALL).run_all()
    found.page.wait_for_selector(".fk-live[data-state=ready] .fk-view[data-fk-ready] svg")
    return found


def unfold(page, panel: str) -> None:
    page.locator(f"{panel} > summary").click()
    page.wait_for_selector(f"{panel}[data-drawn]")


def test_an_element_is_picked_moved_and_followed_into_the_graph(opened):
    page = opened.page
    unfold(page, ELEMENT)
    page.locator(f"{ELEMENT} button[title='element [3, 5]']").click()
    page.get_by_text("Element [3, 5] is ").wait_for()
    assert page.evaluate("document.activeElement.id") == "fk-at-3,5"
    row = page.locator(".fk-element tbody tr").last
    shown = row.locator("td").nth(1).inner_text()
    expected = opened.py("fused(*given)[3, 5].item()")
    assert opened.py(f"torch.tensor({shown}).item()") == expected
    mul = page.locator(".fk-element tbody tr", has_text="tanh").first
    mul.hover()
    node = page.locator(".fk-node.fk-hi:has(text:text-is('tanh'))")
    assert node.count() == 1
    assert node.get_attribute("data-v") == mul.get_attribute("data-v")
    assert page.locator(".fk-user .fk-hi").inner_text().startswith("7")
    before = opened.cells()
    field = page.get_by_role("spinbutton", name="index 1")
    field.focus()
    field.press("ArrowUp")
    page.get_by_text("Element [3, 6] is ").wait_for()
    assert page.evaluate("document.activeElement.name") == "i1"
    field.fill("40")
    field.press("Enter")
    page.get_by_text("Element [3, 40] is ").wait_for()
    page.get_by_role("button", name="one element down").press("Enter")
    page.get_by_text("Element [4, 40] is ").wait_for()
    assert opened.cells() == before
    page.get_by_text("the value at each line").click()
    pane = page.locator(f"{ELEMENT} pre")
    last = opened.py("f'{fused(*given)[4, 40].item():.4g}'").strip("'")
    beside = [text.strip() for text in pane.locator(".fk-beside").all_inner_texts()]
    assert [text for text in beside if text][-1] == last
    fits(page, ELEMENT)
    opened.shot("numbers-element", ELEMENT)
    opened.theme("JupyterLab Dark")
    opened.shot("numbers-element-dark", ELEMENT)
    opened.theme("JupyterLab Light")


def test_arrow_keys_walk_the_grid_and_past_its_border(opened):
    page = opened.page
    unfold(page, ELEMENT)
    focused = "document.activeElement.id"
    before = opened.cells()
    page.locator("#fk-at-0\\,0").focus()
    for key, at in (("ArrowDown", "1,0"), ("ArrowRight", "1,1"), ("ArrowUp", "0,1")):
        page.keyboard.press(key)
        assert page.evaluate(focused) == f"fk-at-{at}"
    for _ in range(11):
        page.keyboard.press("ArrowRight")
    page.get_by_text("Element [0, 12] is ").wait_for()
    assert page.evaluate(focused) == "fk-at-0,12"
    page.keyboard.press("ArrowUp")  # there is nothing above the first row
    assert page.evaluate(focused) == "fk-at-0,12"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.get_by_text("Element [0, 11] is ").wait_for()
    assert opened.cells() == before


def test_rounding_marks_where_fused_and_eager_part(opened):
    page = opened.page
    unfold(page, ROUNDING)
    sentence = page.locator(f"{ROUNDING} .fk-verdict").inner_text()
    assert sentence == opened.py("view.rounding().sentence()").strip("'\"")
    parting = page.locator(".fk-rounding tr.fk-parting")
    assert parting.locator("th").inner_text() == "gelu ← first to part"
    parting.click()
    assert page.locator(".fk-node.fk-pin:has(text:text-is('gelu'))").count() == 1
    picture = parting.get_by_role("img").first
    assert picture.get_attribute("aria-label").startswith("fused gelu, ulps from float64: ")
    rows = page.locator(".fk-rounding tbody tr")
    few = rows.count()
    page.get_by_label("steps inside operators").check()
    page.wait_for_function(f"document.querySelectorAll('.fk-rounding tbody tr').length > {few}")
    page.get_by_text("worst elements").click()
    fits(page, ROUNDING)
    opened.shot("numbers-rounding", ROUNDING)
    opened.theme("JupyterLab Dark")
    opened.shot("numbers-rounding-dark", ROUNDING)
    opened.theme("JupyterLab Light")


def test_columns_stand_under_their_heads(opened):
    page = opened.page
    page.locator(".fk-panel[data-panel=ladder] > summary").click()
    page.get_by_role("button", name="measure this step").click()
    unfold(page, DUET)
    for panel in (".fk-panel[data-panel=ladder]", DUET):
        page.wait_for_selector(f"{panel} tbody td")
        places = "rows => rows.map(row => [...row.cells].map(e => e.getBoundingClientRect().x))"
        rows = page.eval_on_selector_all(f"{panel} table tr", places)
        assert len(rows) >= 2
        assert all(row == rows[0] for row in rows)
    assert page.locator(".fk-duet > .fk-scroll").evaluate("e => e.scrollWidth <= e.clientWidth")


def test_the_play_head_of_the_duet(opened):
    page = opened.page
    unfold(page, DUET)
    page.get_by_text("1. mm (line 6): PyTorch runs it").wait_for()
    for number, operator in enumerate(("t", "add", "gelu", "tanh"), start=2):
        page.get_by_role("button", name="next").press("Enter")
        page.get_by_text(f"{number}. {operator} ").wait_for()
    assert page.locator(".fk-steps tr[aria-current] th").inner_text().split() == ["5", "tanh"]
    lines = page.locator(f"{DUET} pre [aria-current]")
    assert "tanh" in " ".join(lines.all_inner_texts())
    pane = page.locator(f"{DUET} pre").bounding_box()
    line = lines.first.bounding_box()
    assert pane["y"] <= line["y"] <= pane["y"] + pane["height"]
    field = page.get_by_role("spinbutton", name="operator")
    field.fill("4")
    field.press("Enter")
    page.get_by_text("4. gelu (line 6): group 1 keeps it in registers").wait_for()
    fits(page, DUET)
    opened.shot("numbers-duet", DUET)
    opened.theme("JupyterLab Dark")
    opened.shot("numbers-duet-dark", DUET)
    opened.theme("JupyterLab Light")


def fits(page, panel: str) -> None:
    """Nothing of a panel stands out of it, and what can be pressed is large enough."""
    assert page.locator(panel).evaluate("e => e.scrollWidth <= e.clientWidth")
    small = page.locator(f"{panel} :is(button,input,select,summary)").evaluate_all(
        "all => all.filter(e => e.checkVisibility() && !e.matches('.fk-first') && "
        "(e.closest('label') ?? e).getBoundingClientRect().height < 23.5).map(e => e.outerHTML)"
    )
    assert small == []
