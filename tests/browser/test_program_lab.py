"""A whole program's live view in a real JupyterLab: its break, its stopwatch, its cache."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

LIVE = """import torch, fusekit

def gated(x, w):
    h = torch.relu(x * 2 + 1) @ w
    gate = torch.sigmoid(h) * h
    if gate.sum() > 1e9:
        gate = gate * 0
    return torch.tanh(gate) + x

x, w = torch.randn(64, 64), torch.randn(64, 64)
live = fusekit.explore(torch.compile(gated, backend="fusekit"), x, w).live()
live"""


def test_a_program_runs_again_and_shows_its_break(notebook):
    found = notebook.open(LIVE).run_all()
    page = found.page
    page.wait_for_selector(".fk-live[data-state=ready] .fk-view[data-fk-ready] svg")
    assert page.get_by_role("slider", name="size", exact=True).count() == 0
    seam = page.locator(".fk-seams tbody tr", has_text="FK0207").first
    assert "a branch on the value of a tensor" in seam.inner_text()
    assert "torch.where" in seam.inner_text()
    seam.get_by_role("rowheader").click()  # pins what crosses, and the line where the graph ends
    line = page.locator(".fk-user .fk-pin, .fk-user .fk-hi")
    assert "if gate.sum() > 1e9:" in " ".join(line.all_inner_texts())
    assert page.locator(".fk-badge", has_text="FK0207").count() == 1
    found.shot("program-light")
    watch = page.locator('[data-panel="stopwatch"]')
    watch.locator("> summary").click()
    watch.get_by_label("at most").fill("0.3")
    watch.get_by_role("button", name="measure").click()
    watch.locator("table").wait_for()
    assert "Bytes alone predict" in watch.inner_text()
    roofline = page.locator('[data-panel="roofline"]')
    assert page.locator(".fk-rate").count() == 0
    roofline.locator("> summary").click()
    roofline.get_by_label("at most").fill("0.5")
    roofline.get_by_role("button", name="measure").click()
    page.locator(".fk-rate").wait_for()  # the ceilings are measured, so seams have a time
    prices = page.locator(".fk-seams td.fk-num-cell").all_inner_texts()
    assert len(prices) > 2
    assert all("about " in text for text in prices)
    found.shot("program-seams-light", ".fk-why")
    cache = page.locator('[data-panel="cache"]')
    cache.locator("> summary").click()
    cache.get_by_label("graph").select_option(label="2 of 2")
    page.wait_for_selector('[data-panel="cache"][data-drawn="2"]')
    assert cache.get_by_label("graph").input_value() == "1"
    assert "would serve" in cache.inner_text()
    page.get_by_role("combobox", name="engine").first.select_option("reference")
    page.wait_for_selector('.fk-stage[data-drawn="3"]')
    page.wait_for_selector(".fk-live:not([data-busy])")
    assert found.py("{g['engine'] for g in live.view.model['groups']}") == "{'reference'}"
    found.theme("JupyterLab Dark")
    found.shot("program-dark")
    found.shot("program-seams-dark", ".fk-why")
    found.shot("program-cache-dark", '[data-panel="cache"]')
    found.theme("JupyterLab Light")
