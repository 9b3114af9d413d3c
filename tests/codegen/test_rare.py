"""Functions of vecmath whose rare operands are computed apart: by lanes, as the graph says."""

from __future__ import annotations

import math

import pytest
import torch

from fusekit.ir import DType
from tests.codegen.harness import launch, run, single

USUAL = torch.linspace(0.1, 3.0, 1000)
RARE = {
    "cos": (1e6, -3e38, math.inf, math.nan),
    "log": (1e-40, -1.0, math.inf, math.nan),
    "log10": (1e-40, -1.0, math.inf, math.nan),
    "log1p": (-1.0, -2.0, math.inf, math.nan),
    "log2": (1e-40, -1.0, math.inf, math.nan),
    "sigmoid": (-90.0, 95.0, -math.inf, math.nan),
    "sin": (-1e6, 3e38, math.inf, math.nan),
}


def bits(x: torch.Tensor) -> list[int]:
    return torch.where(x.isnan(), 0, x.view(torch.int32)).tolist()


@pytest.mark.parametrize("op", RARE)
def test_a_rare_lane_changes_no_other(op):
    graph = single(op, DType.F32)
    (usual,) = run(graph, USUAL)
    for value in RARE[op]:
        (all_rare,) = run(graph, torch.full_like(USUAL, value))
        for place in (0, 17, 500, 999):
            mixed = USUAL.clone()
            mixed[place] = value
            (got,) = run(graph, mixed)
            want = usual.clone()
            want[place] = all_rare[place]
            assert bits(got) == bits(want)


@pytest.mark.parametrize("op", RARE)
def test_rare_results_are_eagers(op):
    x = torch.tensor(RARE[op])
    (got,) = run(single(op, DType.F32), x)
    want = getattr(torch, op)(x.double()).float()
    assert torch.allclose(got, want, rtol=1e-6, atol=1e-44, equal_nan=True)


@pytest.mark.parametrize("op", RARE)
def test_what_is_rare_stands_apart_once(op):
    text = launch(single(op, DType.F32), USUAL).source.text
    assert text.count(f"@{op}_f32.rare(") == 2  # where it is defined, and where it is called
    assert f"@{op}_f32.rare(" in text.split("noinline cold", maxsplit=1)[0]
