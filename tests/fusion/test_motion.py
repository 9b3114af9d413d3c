"""Views go up, cats go down, and nothing changes its value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import fusekit
from tests.fusion.programs import program, steps

X = torch.randn(4, 6)
Y = torch.randn(4, 6)

ONE_KERNEL: dict[str, Callable[..., Any]] = {
    "chunk of a sum": lambda x, y: torch.mul(*(x + y).chunk(2, 1)),
    "transposed": lambda x, y: (x * y).t() + 1,
    "slice of a product": lambda x, y: torch.relu((x * y)[1:, ::2]) + 2,
    "select": lambda x, y: torch.relu((x + y)[0]) * 2,
    "unsqueezed": lambda x, y: (x + y).unsqueeze(0) * 2,
    "flattened": lambda x, y: (x + y).view(-1) * 2,
    "chain of views": lambda x, y: (x * y).t()[1:].unsqueeze(-1) + 1,
    "rotation": lambda x, y: torch.cat([-x[:, 3:], x[:, :3]], 1) * y,
    "stack": lambda x, y: torch.stack([x + 1, y * 2]),
    "cat with an argument": lambda x, y: torch.cat([x, y * 2], 1),
    "a piece twice": lambda x, y: torch.cat([x + y, x + y]),
}


@pytest.mark.parametrize("name", ONE_KERNEL)
def test_views_and_cats_cost_no_kernel(name: str) -> None:
    function = ONE_KERNEL[name]
    expected = function(X, Y)
    fused = fusekit.fuse(function)
    found = fused(X, Y)
    assert torch.equal(found, expected)
    assert found.stride() == expected.stride()
    shapes = {call.group.shape for call in program(function, X, Y).kernels}
    assert len(program(function, X, Y).kernels) <= max(len(shapes), 2)
    assert not fused.explain(X, Y).declined


def test_a_lifted_view_reads_the_arguments_where_they_lie() -> None:
    divided = program(lambda x, y: torch.mul(*(x + y).chunk(2, 1)), X, Y)
    (call,) = divided.kernels
    assert call.group.shape == (4, 3)
    assert len(call.reads) == 4
    assert {place.offset for place in call.reads} == {0, 3}


def test_a_cat_is_written_in_place() -> None:
    divided = program(lambda x, y: torch.cat([x + 1, y * 2], 1), X, Y)
    (cat,) = (node for node in divided.graph.nodes if node.op == "cat")
    places = [place for call in divided.kernels for place in call.writes]
    assert {place.base for place in places} == {cat.output}
    assert {place.offset for place in places} == {0, 6}


def test_a_view_of_a_value_that_is_also_returned_stays() -> None:
    def function(x, y):
        total = x + y
        return total, total.t() * 2

    for ours, theirs in zip(fusekit.fuse(function)(X, Y), function(X, Y), strict=True):
        assert torch.equal(ours, theirs)
        assert ours.stride() == theirs.stride()


def test_results_that_share_memory_in_eager_share_it() -> None:
    total, view = fusekit.fuse(lambda x, y: ((t := x + y), t[1:].t()))(X, Y)
    total.zero_()
    assert not view.any()


def test_a_piece_that_something_else_reads() -> None:
    def function(x, y):
        piece = x * y
        return torch.cat([piece, piece, x]), piece.amax(1), piece.t() + 1

    for ours, theirs in zip(fusekit.fuse(function)(X, Y), function(X, Y), strict=True):
        assert torch.equal(ours, theirs)


def test_a_list_of_one_tensor_from_a_view() -> None:
    def function(x):
        (whole,) = (x + 1).chunk(1)
        return whole.cumsum(0)

    assert torch.equal(fusekit.fuse(function)(X), function(X))


def test_costly_work_is_not_repeated_by_views() -> None:
    def function(x):
        return torch.lgamma(x).unsqueeze(0).expand(50, 4, 6) + 1

    divided = program(function, X)
    costly = [call for call in divided.kernels if "lgamma" in {n.op for n in call.group.nodes}]
    assert [torch.Size(call.group.shape).numel() for call in costly] == [24]


def test_empty_pieces() -> None:
    def function(x, y):
        return torch.cat([x[:0] * 2, y + 1, torch.empty(0)]), torch.cat([x[:0] + 1, y[:0]])

    for ours, theirs in zip(fusekit.fuse(function)(X, Y), function(X, Y), strict=True):
        assert torch.equal(ours, theirs)
        assert ours.stride() == theirs.stride()


def test_steps_are_named() -> None:
    assert steps(program(lambda x, y: torch.relu(x @ y.t()) + 1, X, Y))[-2:] == [
        "mm",
        "lt+select+add",
    ]
