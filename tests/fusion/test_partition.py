"""Which nodes share a kernel, and why others do not."""

from __future__ import annotations

import pytest
import torch

import fusekit
from fusekit.specs import Reason
from tests.fusion.programs import n_groups, program, steps

X = torch.randn(4, 4)
Y = torch.randn(4, 4)


def test_a_chain_is_one_kernel_with_one_result() -> None:
    divided = program(lambda x, y: torch.tanh(x * y + 1) - x, X, Y)
    (call,) = divided.kernels
    assert len(call.group.inputs) == 2
    assert len(call.group.outputs) == 1
    assert not divided.partition.seams


def test_what_would_wait_for_itself_is_two_kernels() -> None:
    def function(x):
        low = torch.relu(x)
        return torch.tanh(low @ low) * low

    divided = program(function, X)
    assert steps(divided)[1] == "mm"
    assert len(divided.kernels) == 2
    reasons = {seam.reason for seam in divided.partition.seams}
    assert Reason.CYCLE in reasons or Reason.OPAQUE_OP in reasons
    fused = fusekit.fuse(function)
    torch.testing.assert_close(fused(X), function(X))


def test_two_cycles_one_after_the_other() -> None:
    def function(x):
        for _ in range(3):
            x = torch.sigmoid(x @ x) + x
        return x

    assert len(program(function, X).kernels) == 3
    torch.testing.assert_close(fusekit.fuse(function)(X), function(X))


def test_independent_chains_that_read_one_tensor_are_one_kernel() -> None:
    assert n_groups(lambda x, y: (torch.exp(x), torch.sin(x) * y, y + 1), X, Y) == 1


def test_independent_chains_without_a_common_tensor_stay_apart() -> None:
    assert n_groups(lambda x, y: (torch.exp(x), torch.sin(y)), X, Y) == 2


def test_other_shapes_are_other_kernels() -> None:
    divided = program(lambda x: (x.exp(), x[0].exp().sin()), X)
    assert len(divided.kernels) == 2


def test_a_small_operand_is_computed_in_its_reader() -> None:
    assert n_groups(lambda x, y: x * (y[0] + 1), X, Y) == 1
    assert n_groups(lambda x, s: x * (s * 2 + 1), X, 0.5) == 1


def test_a_division_that_may_raise_is_not_repeated_or_dropped() -> None:
    def function(x, y):
        unused = x // y
        return x + 1, unused.shape

    zeros = torch.zeros(3, dtype=torch.int64)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        fusekit.fuse(function)(torch.arange(3), zeros)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        fusekit.fuse(lambda x, y: (x // y)[:1] * 2)(torch.arange(3), torch.tensor([1, 1, 0]))


@pytest.mark.parametrize("limit", [3, 4, 8, 128])
def test_a_kernel_takes_no_more_tensors_than_the_limit(limit: int) -> None:
    def function(*tensors):
        total = tensors[0]
        for tensor in tensors[1:]:
            total = torch.relu(total + tensor)
        return total

    given = [torch.randn(5) for _ in range(20)]
    divided = program(function, *given, max_arguments=limit)
    for call in divided.kernels:
        assert len(call.reads) + len(call.writes) <= limit
    assert (len(divided.kernels) == 1) == (limit == 128)
    with fusekit.options(max_arguments=limit):
        assert torch.equal(fusekit.fuse(function)(*given), function(*given))


def test_random_draws_keep_their_order() -> None:
    def function(x):
        one = torch.randn_like(x) * 2
        other = torch.randn_like(x) - one
        return other, torch.randn_like(x) + 1

    fused = fusekit.fuse(function)
    for run in range(3):
        torch.manual_seed(run)
        ours = fused(X)
        torch.manual_seed(run)
        for mine, yours in zip(ours, function(X), strict=True):
            assert torch.equal(mine, yours)


def test_equal_work_is_done_once() -> None:
    (call,) = program(lambda x: torch.exp(x) + torch.exp(x), X).kernels
    assert [node.op for node in call.group.nodes].count("exp") == 1


def test_equal_values_in_other_layouts_stay_apart() -> None:
    def function(x):
        floored = torch.floor(x)
        return floored + 1, x.reshape(-1)

    x = torch.arange(6, dtype=torch.int32).view(2, 3).t()
    for ours, theirs in zip(fusekit.fuse(function)(x), function(x), strict=True):
        assert torch.equal(ours, theirs)
        assert ours.stride() == theirs.stride()
