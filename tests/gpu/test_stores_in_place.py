"""Arguments that kernels on a GPU write where they are."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import fusekit
from tests.gpu.harness import DEVICE, ENGINE, assert_equal, counted, filled

pytestmark = pytest.mark.gpu


def update(p: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    return p.mul_(0.5).add_(g)


def overwrite(p: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    return p.copy_(g * 2)


def tensors(layout: Callable[[torch.Tensor], torch.Tensor]) -> list[torch.Tensor]:
    memory = [filled((2, 130, 257)) for _ in range(2)]
    return [layout(each[0]) for each in memory]


@pytest.mark.parametrize("function", [update, overwrite])
@pytest.mark.parametrize(
    "layout",
    [
        lambda x: x,
        lambda x: x.t(),
        lambda x: x[:, 1:],
        lambda x: x[1:, ::2],
        lambda x: x.flatten()[1:],
        lambda x: x.flatten()[:5],
        lambda x: x[0, 0],
    ],
    ids=["dense", "transposed", "offset", "gaps", "unaligned", "few", "one"],
)
def test_values_are_eager_s(function, layout) -> None:
    p, g = tensors(layout)
    expected = function(p.clone(), g)
    fused = fusekit.fuse(function, engine=ENGINE)
    version = p._version
    with counted(launches=1):
        assert fused(p, g) is p
    assert torch.equal(p, expected)
    assert p._version > version


def test_the_alignment_of_what_is_only_written_is_looked_at() -> None:
    fused = fusekit.fuse(overwrite, engine=ENGINE)
    memory, g = torch.zeros(4097, device=DEVICE), filled((4096,))
    for start in (0, 1, 0, 1):
        p = memory[start : start + 4096]
        fused(p, g)
        assert_equal(p, g * 2)


def test_a_transposed_operand_passes_through_shared_memory() -> None:
    p, g = filled((300, 200)), filled((200, 300)).t()
    expected = p * 0.5 + g
    fusekit.fuse(update, engine=ENGINE)(p, g)
    assert_equal(p, expected)


def test_every_launch_may_store_in_place() -> None:
    def two(p: torch.Tensor, q: torch.Tensor) -> None:
        p.add_(1)
        q.mul_(2)

    p, q = filled((100,)), filled((7, 3))[:, :2]
    expected = [p + 1, q * 2]
    fused = fusekit.fuse(two, engine=ENGINE)
    plan = fused.entry((p, q), {}).plan
    assert plan is not None
    assert ".copy_(" not in plan.text
    fused(p, q)
    assert torch.equal(p, expected[0])
    assert torch.equal(q, expected[1])
