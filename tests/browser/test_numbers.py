"""The panels of numbers in a real JupyterLab: one element, rounding, duet."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

CALL = """import torch, fusekit
import torch.nn.functional as F
from fusekit.viz.collect import collect
torch.manual_seed(1)
def block(x, w, bias):
    h = F.gelu(x @ w + bias.t())
    return torch.tanh(h) * 1.7 + h.exp()
x, w, bias = torch.randn(32, 16), torch.randn(16, 32) / 4, torch.randn(32, 32)
fused = fusekit.fuse(block)
live = collect(fused, (x, w, bias), {}, timing=False).live()
live"""


def opened(notebook):
    found = notebook.open(CALL).run_all()
    found.page.wait_for_selector(".fk-live[data-state=ready] .fk-view[data-fk-ready] svg")
    return found


def panel(page, name):
    page.locator(f".fk-panel[data-panel={name}] > summary").click()
    return page.locator(f".fk-panel[data-panel={name}][data-drawn]")


def test_shots(notebook):
    found = opened(notebook)
    page = found.page
    for name in ("element", "rounding", "duet"):
        shown = panel(page, name)
        shown.wait_for()
        for summary in shown.locator(".fk-body > details > summary").all():
            summary.click()
        found.shot(name, f".fk-panel[data-panel={name}]")
    found.theme("JupyterLab Dark")
    for name in ("element", "rounding", "duet"):
        found.shot(f"{name}-dark", f".fk-panel[data-panel={name}]")
    found.theme("JupyterLab Light")
