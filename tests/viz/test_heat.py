"""What lines cost: the ledger's bytes, shared out; instructions, counted."""

from __future__ import annotations

import re

import pytest
import torch

import fusekit
from fusekit.viz.code.heat import Heat
from fusekit.viz.collect.fused import collect
from fusekit.viz.page import block
from tests.viz import models


def gated(x, w, b, scale):
    h = x * scale + b
    y = h @ w
    return torch.sigmoid(y) * y


def across(x, w):
    h = x + 1
    return torch.tanh(torch.relu(h) @ w) * h


def pieces(x):
    a, b = x.chunk(2, 1)
    return torch.cat([a.tanh() * b, b.t().t() + 1], 1), a + b


CALLS = {
    gated: [(256, 256), (256, 256), (256,), (256,)],
    across: [(64, 64), (64, 64)],
    pieces: [(32, 64)],
}


@pytest.mark.parametrize("function", CALLS, ids=lambda f: f.__name__)
def test_all_lines_together_have_the_bytes_of_the_ledger(function):
    given = tuple(torch.zeros(shape) for shape in CALLS[function])
    model = collect(fusekit.fuse(function), given, {}, timing=False).model
    heat = Heat.of(model)
    moved = model["ledger"]["fused"]
    assert sum(heat.bytes.values()) == pytest.approx(moved, abs=2 * len(model["ledger"]["rows"]))
    assert sum(heat.nodes.values()) == sum(heat.bytes.values())
    assert 0 < max(heat.instructions.values()) <= heat.counted


def test_a_tensor_counts_for_who_writes_it_and_for_each_kernel_that_reads_it():
    given = tuple(torch.zeros(shape) for shape in CALLS[gated])
    heat = Heat.of(collect(fusekit.fuse(gated), given, {}, timing=False).model)
    first, whole, small = min(heat.bytes), 256 * 256 * 4, 256 * 4
    assert heat.bytes == {
        first: 2 * whole + 2 * small,  # reads x, scale and b, writes the result of both operators
        first + 1: 3 * whole,
        first + 2: 2 * whole,
    }


def test_it_reads_as_the_function_with_two_columns():
    heat = Heat.of(models.lstm_cell())
    assert str(heat).splitlines()[:3] == [
        "    bytes  instr.",
        "                     11  def lstm_cell(xg, hg, cx):",
        "   64 MiB            12      gates = xg + hg",
    ]
    assert heat.to_dict()["lines"][0] == {"line": 12, "bytes": 64 << 20, "instructions": 0}
    assert repr(heat) == str(heat)


def test_instructions_are_those_of_what_runs():
    model = models.lstm_cell()
    lines = {"3": [2, 3], "4": [3, 4], "0": [9, 9]}
    made = models.text_of("asm", "x\n" * 9, "fk_3fa1c07be2d4", lines)
    idle = {**made, "engine": "llvm"}
    model["sources"] += [{**made, "engine": "cpp", "group": "g1"}, {**idle, "group": "g1"}]
    heat = Heat.of(model)
    assert heat.instructions == {12: 2, 14: 2}
    assert heat.counted == 3


def test_the_page_holds_bytes_openly_and_instructions_as_measured():
    given = tuple(torch.zeros(shape) for shape in CALLS[gated])
    view = collect(fusekit.fuse(gated), given, {}, timing=False)
    text = block(view.model)
    masked = re.sub(r'<div class="fk-measured">.*?<!--fk-measured-->', "", text)
    assert 'class="fk-heat" data-n="' in masked
    assert "fk-counts" in text
    assert 'class="fk-counts"' not in masked
    assert 'class="fk-heat"' not in block(view.model, sections=["bytes"])
    assert str(view.heat()) == str(Heat.of(view.model))
