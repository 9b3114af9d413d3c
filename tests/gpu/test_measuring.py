"""What measures, on a GPU: structure, never times."""

from __future__ import annotations

import pytest
import torch

import fusekit
from fusekit.bench import Settings
from fusekit.bench.limits.ceilings import ceilings
from fusekit.bench.measuring.comparing import race

pytestmark = pytest.mark.gpu


def gated(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    y = torch.relu(x * 2.0 + 1.0) @ w
    return torch.sigmoid(y) * y + x


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(512, 512, device="cuda"), torch.randn(512, 512, device="cuda")


def test_the_stopwatch_has_rows_for_the_gpu(pair: tuple[torch.Tensor, ...]) -> None:
    found = race(gated, pair, settings=Settings(seconds=1.0))
    assert [(row.name, row.device) for row in found.rows] == [("eager", "cuda"), ("fused", "cuda")]
    fused = found.rows[1]
    assert fused.outcome in ("faster", "slower", "tie", "cannot tell")
    assert (fused.outcome == "cannot tell") == bool(fused.cause)


def test_the_roofline_times_each_kernel_alone(pair: tuple[torch.Tensor, ...]) -> None:
    found = fusekit.roofline(gated, *pair)
    assert [group.name for group in found.groups] == ["group 1", "group 2"]
    assert all(0 < group.low <= group.seconds <= group.high for group in found.groups)
    assert ceilings("cuda").bandwidth > ceilings("cpu").bandwidth


def test_a_map_of_a_call_on_the_gpu() -> None:
    x = torch.randn(256, device="cuda")
    found = fusekit.crossover(lambda x: torch.tanh(x * 2.0 + 1.0), x, sizes=[16, 256])
    assert {measured.numel for measured in found.cells.values()} == {16, 256}
