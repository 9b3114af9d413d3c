"""Where in a kernel's walk an element is computed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch

import fusekit
from fusekit.runtime.engines import ENGINES
from fusekit.runtime.tracing import prepared
from fusekit.runtime.walks import Walk, walk_of


def walks(function: Callable[..., Any], *args: Any, engine: str = "llvm") -> dict[Any, Walk]:
    """Index -> the walk to it, for all elements of the only result of the only group."""
    program = prepared(fusekit.fuse(function, engine=engine), args, {}).program
    (call,) = program.kernels
    (value,) = call.group.outputs
    shape = program.graph.values[value].shape or ()
    return {
        index: walk
        for index in itertools.product(*map(range, shape))
        if (walk := walk_of(call, 0, value, index, ENGINES[engine]))
    }


@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (lambda x, y: x * y + 1, [(6, 70), (70,)]),
        (lambda x, y: (x + y).t(), [(6, 70), (6, 1)]),
        (lambda x, y: x.permute(2, 0, 1) + y, [(3, 4, 5), (5, 3, 4)]),
        (lambda x, y: x * y, [(9, 1), (1, 33)]),
        (lambda x, y: x.t() + y, [(150, 70), (70, 150)]),
        (lambda x, y: x * y, [(40, 3), (3,)]),
        (lambda x, y: x.permute(2, 1, 0) + y, [(17, 3, 40), (40, 3, 17)]),
        (lambda x, y: x + y, [(), ()]),
    ],
)
@pytest.mark.parametrize("engine", ["llvm", "cpp"])
def test_every_element_has_a_number_of_its_own(function: Any, shapes: Any, engine: str) -> None:
    found = walks(function, *(torch.randn(shape) for shape in shapes), engine=engine)
    numbers = sorted(walk.number for walk in found.values())
    (total,) = {walk.total for walk in found.values()}
    assert numbers == list(range(total))


def test_lanes_follow_one_another_in_a_row() -> None:
    found = walks(lambda x, y: x * y, torch.randn(3, 300), torch.randn(300))
    (lanes,) = {walk.lanes for walk in found.values()}
    whole = 300 // lanes * lanes
    for (_, column), walk in found.items():
        assert walk.lane == (column % lanes if column < whole else -1)
        assert (walk.threads, walk.thread) == (1, 0)
    assert "in an inner loop of 300; lane 3 of" in str(found[1, 3])


def test_lanes_and_threads_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    rows, columns = 64, 128 * 600
    x = torch.ones(columns, rows)
    program = prepared(fusekit.fuse(lambda x, y: y + x.t()), (x, x.t().contiguous()), {}).program
    (call,) = program.kernels
    (value,) = call.group.outputs

    def walk(*index: int) -> Walk:
        found = walk_of(call, 0, value, index, ENGINES["llvm"])
        assert found is not None
        return found

    assert walk(0, 128).number == rows * 128  # the second block follows the whole first one
    assert walk(1, 0).number == 128
    assert [walk(0, 128 * block).thread for block in (0, 299, 300, 599)] == [0, 0, 1, 1]
    assert [walk(3, column).lane for column in range(3)] == [0, 1, 2]


def test_threads_share_what_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    program = prepared(fusekit.fuse(lambda x: x + 1), (torch.ones(1 << 20),), {}).program
    (call,) = program.kernels
    (value,) = call.group.outputs
    at = [
        walk_of(call, 0, value, (number,), ENGINES["llvm"])
        for number in range(0, 1 << 20, (1 << 20) // 16)
    ]
    assert [walk.thread for walk in at if walk] == [n // 4 for n in range(16)]


def test_a_trace_has_the_walk_of_each_group() -> None:
    def function(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return (x * 2) @ w + 1

    fused = fusekit.fuse(function)
    trace = fused.trace(torch.randn(3, 4), torch.randn(4, 5), index=(2, 1))
    (walk,) = trace.walks  # the first group ends in what PyTorch multiplies
    assert (walk.group, walk.number, walk.total) == (1, 11, 15)
    assert trace.to_dict()["walks"] == [walk.to_dict()]
