"""The panel "What if" in a real JupyterLab: an operator is taken out of its group, and tried."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.browser

LIVE = """import torch, fusekit
import fusekit.bench.trying.trials as trials
trials._QUICK = fusekit.bench.Settings(seconds=0.3)

@fusekit.fuse
def gated(x, y, w):
    h = torch.relu(x * y + 1)
    return torch.sigmoid(h @ w) * h

args = [torch.randn(64, 64) for _ in range(3)]
live = gated.explore(*args).live()
live"""


def test_the_first_extent_is_a_slider(notebook):
    found = notebook.open(LIVE).run_all()
    page = found.page
    page.wait_for_selector(".fk-live[data-state=ready] .fk-view[data-fk-ready] svg")
    panel = page.locator("[data-panel=what-if]")
    panel.locator("> summary").click()
    slider = panel.get_by_role("slider", name="first extent")
    slider.wait_for()
    assert slider.get_attribute("aria-valuetext") == "64, as now"
    drawn = int(panel.get_attribute("data-drawn"))
    slider.focus()
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    assert panel.locator(".fk-slider output").inner_text() == "256, 4 times as now"
    page.wait_for_selector(f'[data-panel=what-if][data-drawn="{drawn + 1}"]')  # once for two keys
    field = panel.get_by_role("spinbutton", name="first extent, as a number")
    assert field.input_value() == "256"
    assert slider.evaluate("e => e === document.activeElement")
    found.shot("slider-light", "[data-panel=what-if]")
    field.fill("96")
    field.press("Tab")
    panel.get_by_text("96, 1.5 times as now").wait_for()
    panel.get_by_role("button", name="try it").click()
    panel.get_by_text("This is card 1 of the deck").wait_for()
    assert "shape 96" in panel.locator(".fk-deck").inner_text()
    found.theme("JupyterLab Dark")
    found.shot("slider-dark", "[data-panel=what-if]")
    found.theme("JupyterLab Light")


def test_an_operator_is_taken_out_of_its_group(notebook):
    found = notebook.open(LIVE).run_all()
    page = found.page
    page.wait_for_selector(".fk-live[data-state=ready] .fk-view[data-fk-ready] svg")
    before = found.cells()
    panel = page.locator("[data-panel=what-if]")
    panel.locator("> summary").click()
    panel.get_by_text("Pin an operator").wait_for()
    page.locator(".fk-node:has(text:text-is('relu'))").click()
    panel.get_by_text("Pinned: relu_1, in group 1").wait_for()
    found.shot("whatif-pinned", "[data-panel=what-if]")
    # what is illegal is explained, not raised
    panel.get_by_role("button", name="put relu_1 into group 2").click()
    panel.get_by_text("Not legal.").wait_for()
    assert "mm_1 stands between relu_1 and mul_2" in panel.inner_text()
    panel.get_by_role("button", name="clear").click()
    panel.get_by_text("Not legal.").wait_for(state="detached")
    panel.get_by_role("button", name="take relu_1 out of its group").click()
    panel.get_by_text("Would be legal: 3 groups").wait_for()
    panel.get_by_role("button", name="try it").click()
    panel.get_by_text("This is card 1 of the deck").wait_for()
    row = panel.locator(".fk-deck tbody tr")
    cells = row.locator("td").all_inner_texts()
    assert cells[1:3] == ["2 → 3", "3 → 4"]  # groups and launches: one more of each
    assert "ulp" in cells[7]
    panel.get_by_label("number type").select_option("float64")
    panel.get_by_label("change of the groups").fill("~sigmoid_1")
    panel.get_by_label("change of the groups").press("Enter")
    panel.get_by_text("This is card 2 of the deck").wait_for()
    panel.get_by_role("button", name="star card 1").click()
    panel.locator("[aria-pressed=true]").wait_for()
    panel.get_by_role("button", name="compare", exact=True).click()
    panel.locator(".fk-difference").wait_for()
    assert "only current" in panel.locator(".fk-difference").inner_text()
    found.shot("whatif-light", "[data-panel=what-if]")
    found.theme("JupyterLab Dark")
    found.shot("whatif-dark", "[data-panel=what-if]")
    found.theme("JupyterLab Light")
    link = panel.get_by_role("link", name="save the deck as JSON")
    with page.expect_download() as download:
        link.click()
    deck = json.loads(download.value.path().read_text(encoding="utf-8"))
    assert [card["starred"] for card in deck["cards"]] == [True, False]
    replayed = "len(fusekit.fuse(gated.function, plan={}).plan(*args).groups)"
    assert found.py(replayed.format(deck["cards"][0]["plan"])) == "3"
    panel.get_by_role("button", name="remove card 2").click()
    panel.get_by_text("Deck of 1 card").wait_for()
    assert found.cells() == before
