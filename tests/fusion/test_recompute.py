"""Values that are computed again where that moves fewer bytes, and those that never are."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
import torch
from torch.utils import _pytree as pytree

import fusekit
from fusekit.errors import FusionDeclined
from fusekit.fusion import partition
from fusekit.fusion import recompute as recompute_
from fusekit.runtime import program as programs_
from tests.agreement import assert_same_bits
from tests.fusion.programs import program
from tests.fusion.traffic import check, moved
from tests.graph_programs import Program, programs

N = 64 * 64 * 4
"""Bytes of each tensor here."""

X, Y, W = (torch.randn(64, 64) for _ in range(3))


def bytes_of(function: Callable[..., Any], *args: Any) -> list[tuple[float, float]]:
    """What each kernel reads and writes, in tensors."""
    groups = fusekit.fuse(function).explain(*args).groups
    return [(group.bytes_read / N, group.bytes_written / N) for group in groups]


def across(make: Callable[..., torch.Tensor]) -> Callable[..., Any]:
    """A value on both sides of a product that reads something else made from it."""

    def function(x, y, w):
        value = make(x, y)
        return torch.tanh(torch.relu(value) @ w) * value

    return function


def check_result(function: Callable[..., Any], *args: Any) -> None:
    torch.testing.assert_close(fusekit.fuse(function)(*args), function(*args))


def test_a_cheap_value_is_computed_on_both_sides() -> None:
    function = across(lambda x, y: x + 1)
    assert bytes_of(function, X, Y, W) == [(1, 1), (2, 1)]  # stored, the first would write 2
    check_result(function, X, Y, W)


def test_a_value_from_two_tensors_is_as_dear_to_read_again() -> None:
    assert bytes_of(across(lambda x, y: x + y), X, Y, W) == [(2, 2), (2, 1)]


def test_what_the_reader_loads_anyway_costs_nothing() -> None:
    def function(x, y, w):
        value = x + y
        return torch.tanh(torch.relu(value) @ w) * value + (x - y)

    assert bytes_of(function, X, Y, W) == [(2, 1), (3, 1)]
    check_result(function, X, Y, W)


def test_values_that_pay_only_together() -> None:
    def function(x, y, w):
        low, high = x + y, x * y
        total = torch.relu(low * high) @ w
        return torch.tanh(total) * low - high

    assert bytes_of(function, X, Y, W) == [(2, 1), (3, 1)]  # stored, 2 read and 3 written
    check_result(function, X, Y, W)


def test_a_value_and_what_follows_from_it() -> None:
    def function(x, w):
        low = x * 2
        high = low + 1
        return torch.tanh(torch.relu(high) @ w) * low / high

    assert bytes_of(function, X, W) == [(1, 1), (2, 1)]
    check_result(function, X, W)


def test_a_group_whose_results_are_all_computed_elsewhere_is_gone() -> None:
    def function(x, rows):
        return torch.exp(x) * rows

    # repeated for each row it takes 12 more additions an element, and saves 8 bytes of 12
    two, five = torch.randn(2, 64, 64), torch.randn(5, 64, 64)
    assert bytes_of(function, X, two) == [(3, 2)]
    assert bytes_of(function, X, five) == [(1, 1), (6, 5)]
    check_result(function, X, two)
    check_result(function, X, five)


def test_several_readers() -> None:
    def function(x, w):
        value = x * 3
        one = torch.tanh(torch.relu(value) @ w) + value
        other = torch.sigmoid(one @ w) - value
        return one, other

    assert bytes_of(function, X, W) == [(1, 1), (2, 1), (2, 1)]
    check_result(function, X, W)


def test_costly_work_is_not_repeated() -> None:
    function = across(lambda x, y: torch.lgamma(x))
    assert bytes_of(function, X, Y, W) == [(1, 2), (2, 1)]
    assert bytes_of(across(lambda x, y: torch.exp(torch.exp(x))), X, Y, W) == [(1, 2), (2, 1)]


def test_a_broadcast_operand_counts_its_own_elements() -> None:
    row = torch.randn(64)
    assert bytes_of(across(lambda x, y: x + y), X, row, W) == [
        (1 + 1 / 64, 1),
        (2 + 1 / 64, 1),
    ]


def n_times(op: str, function: Callable[..., Any], *args: Any) -> int:
    """In how many places the kernels of a call compute an op."""
    nodes = [node for call in program(function, *args).kernels for node in call.group.nodes]
    return [node.op for node in nodes].count(op)


def test_random_draws_are_never_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    assert n_times("philox", across(lambda x, y: torch.rand_like(x) + 1), X, Y, W) == 1
    monkeypatch.setattr(recompute_, "_FLOPS_PER_BYTE", 10**6)
    assert n_times("lgamma", across(lambda x, y: torch.lgamma(x) + 1), X, Y, W) == 2
    assert n_times("philox", across(lambda x, y: torch.rand_like(x) + 1), X, Y, W) == 1


def test_what_may_raise_is_never_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    def function(x, y, w):
        value = x // y
        return torch.relu(value.float()) @ w * value

    x, y = torch.randint(1, 9, (2, 64, 64))
    check_result(function, x, y, W)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        fusekit.fuse(function)(x, y * 0, W)
    monkeypatch.setattr(recompute_, "_FLOPS_PER_BYTE", 10**6)
    assert n_times("floordiv", lambda x, w: function(x, 3, w), x.int(), W) == 1
    assert n_times("add", lambda x, w: across(lambda x, y: x + 3)(x, x, w), x.float(), W) == 2


def test_a_view_of_what_is_loaded_anyway_frees_nothing() -> None:
    def function(x, y, w):
        product = x * y
        value = product + x.view(64, 64) + y.view(64, 64)
        return torch.tanh(torch.relu(product) @ w) * value, product

    assert bytes_of(function, X, Y, W) == [(2, 3), (2, 1)]
    check_result(function, X, Y, W)


def test_results_and_what_operators_read_are_in_memory_anyway() -> None:
    def returned(x, w):
        value = x + 1
        return torch.tanh(torch.relu(value) @ w) * value, value

    def read(x, w):
        value = x + 1
        return torch.tanh(value @ w) * value

    assert bytes_of(returned, X, W) == [(1, 2), (2, 1)]
    assert bytes_of(read, X, W) == [(1, 1), (2, 1)]


def test_the_argument_limit_holds() -> None:
    def function(x, y, w, *more):
        value = x + y
        result = torch.tanh(torch.relu(value) @ w) * value + (x - y)
        return functools.reduce(torch.add, more, result)

    more = [torch.randn(64, 64) for _ in range(4)]
    for limit in range(4, 12):
        for call in program(function, X, Y, W, *more, max_arguments=limit).kernels:
            assert len(call.reads) + len(call.writes) <= limit


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_rounding_stays_where_it_was(dtype: torch.dtype) -> None:
    def function(x, index):
        value = x * 3 + 1
        taken = torch.relu(value).gather(0, index)
        return taken + value * value

    x, index = torch.randn(64, 64).to(dtype), torch.randint(0, 64, (64, 64))
    found = fusekit.fuse(function)
    assert torch.equal(found(x, index), function(x, index))
    written = [group.bytes_written for group in found.explain(x, index).groups]
    assert written == [64 * 64 * dtype.itemsize] * 2


@hypothesis.given(programs(most=40))
def test_no_program_moves_more(given: Program) -> None:
    try:
        with warnings.catch_warnings(action="ignore"):
            graph = program(given.function(), *given.arguments(0)).graph
    except FusionDeclined:
        hypothesis.reject()
    for limit in (4, 128):
        stored = partition(graph, limit, recomputing=False)
        recomputed = partition(graph, limit)
        check(stored)
        check(recomputed)
        assert moved(recomputed) <= moved(stored)
        assert len(recomputed.groups) <= len(stored.groups)
        assert [n.op for g in recomputed.groups for n in g.nodes].count("philox") == [
            n.op for g in stored.groups for n in g.nodes
        ].count("philox")


@pytest.mark.filterwarnings("ignore:Using a target size")
@hypothesis.settings(max_examples=40, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(programs(most=40))
def test_no_bit_changes(given: Program) -> None:
    function = given.function()
    torch.manual_seed(0)
    found = _outcome(fusekit.fuse(function), given)
    off = functools.partial(partition, recomputing=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(programs_, "partition", off)
        torch.manual_seed(0)
        stored = _outcome(fusekit.fuse(function), given)
    assert type(found) is type(stored)
    if not isinstance(found, Exception):
        pairs = zip(pytree.tree_leaves(found), pytree.tree_leaves(stored), strict=True)
        for number, (ours, theirs) in enumerate(pairs):
            assert_same_bits(ours, theirs, f"result {number}")


def _outcome(function: Callable[..., Any], given: Program) -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):
            return function(*given.arguments(0))
    except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError) as error:
        return error
