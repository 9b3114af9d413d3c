"""Which results share memory, with one another and with arguments: those that do in eager PyTorch.

Who writes into one of them must not change another.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest
import torch

import fusekit

Tensors = Sequence[torch.Tensor]


def shared(tensors: Tensors) -> list[tuple[int, int]]:
    """The pairs that lie in one storage."""
    storages = [tensor.untyped_storage().data_ptr() for tensor in tensors]
    pairs = itertools.combinations(range(len(tensors)), 2)
    return [(i, j) for i, j in pairs if storages[i] == storages[j]]


def copied_and_cast(x: torch.Tensor) -> Tensors:
    y = x * 2
    return y.double().float().t(), y.clone().t(), y.clone().t().clone()[1:], y


def viewed(x: torch.Tensor) -> Tensors:
    y = x * 2
    return y.t(), y[1:], y.view(-1), (x * 2)[1:]


def stacked(x: torch.Tensor) -> Tensors:
    y = torch.stack([x, x])
    return y[0], y[1], torch.stack([x, x])[0], y.clone()


@pytest.mark.parametrize(
    "function",
    [
        *(copied_and_cast, viewed, stacked),
        lambda x: ((x * 2).t(), (x * 2).t()),
        lambda x: ((x * 2).t(), x * 2, (x * 2).view(-1)),
        lambda x: (x.t().contiguous().view(-1), x.t().contiguous()[1:], x + 1),
        lambda x: (x.t().flatten(), x.t().flatten(), x.flatten(), x + 1),
        lambda x: (torch.zeros_like(x)[:2], torch.zeros_like(x)[1:], x + 1),
        lambda x: (x.double()[1:], x.double()[:1], x + 1),
        lambda x: (x.double().float()[1:], x.float()[1:], x.contiguous()[1:], x + 1),
        lambda x: (x.half()[1:], x.half().float().half()[1:], x + 1),
        lambda x: ((x > 0)[1:], (x > 0)[1:], x + 1),
        lambda x: (torch.arange(3)[1:], torch.arange(3)[1:], x + 1),
    ],
)
def test_results_share_memory_where_eager_results_do(
    function: Callable[[torch.Tensor], Tensors],
) -> None:
    fused = fusekit.fuse(function)
    for size in ((4, 6), (5, 6), (3, 7)):
        x = torch.randn(size)
        found, expected = fused(x), function(x)
        assert shared([*found, x]) == shared([*expected, x])
        for ours, theirs in zip(found, expected, strict=True):
            assert torch.equal(ours, theirs)
            assert ours.stride() == theirs.stride()


def test_what_is_computed_twice_for_one_result_is_computed_once() -> None:
    fused = fusekit.fuse(lambda x: ((x * 2 + 1)[1:], (x * 2 + 1)[:-1] - (x * 2 + 1)[1:]))
    x = torch.randn(6)
    assert torch.equal(fused(x)[1], fused.function(x)[1])
    ops = [node.op for node in fused.entry((x,), {}).program.graph.nodes]
    assert ops.count("mul") == 1


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (torch.tensor([1.0, 2.0]), x * 2),
        lambda x: (torch.tensor([1.0, 2.0])[1:], x * 2),
        lambda x: ((c := torch.tensor([1.0, 2.0])), x * c, c.flip(0), c[None]),
    ],
)
def test_a_literal_that_is_written_is_as_it_was_at_the_next_call(
    function: Callable[[torch.Tensor], Tensors],
) -> None:
    fused, x = fusekit.fuse(function), torch.randn(2)
    for _ in range(3):
        found, expected = fused(x), function(x)
        assert shared(found) == shared(expected)
        for ours, theirs in zip(found, expected, strict=True):
            assert torch.equal(ours, theirs)
            ours.add_(1)
            theirs.add_(1)
