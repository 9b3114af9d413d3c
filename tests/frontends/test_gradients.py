"""Gradients of fused functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  the usual name
from torch.utils import _pytree as pytree

import fusekit


def leaf(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "chain": lambda x, y: torch.tanh(x * y) + torch.exp(-x * x),
    "broadcast": lambda x, y: torch.sigmoid(x * y[0]) * y.sum(),
    "activations": lambda x, y: F.gelu(x) * F.silu(y) + F.softplus(x) - F.elu(y),
    "views": lambda x, y: torch.cat([x.t() * 2, y.t()[1:] + 1]),
    "where": lambda x, y: torch.where(x > y, x * x, y),
    "several": lambda x, y: (x * y, (x > 0), torch.atan2(x, y * y + 1)),
    "unused": lambda x, y: x.sin(),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_first_and_second_derivatives(name: str) -> None:
    fused = fusekit.fuse(FUNCTIONS[name])
    x, y = leaf(3, 3), leaf(3, 3)

    def differentiable(*args: torch.Tensor) -> Any:
        made = fused(*args)
        return made if isinstance(made, torch.Tensor) else (made[0], made[2])

    assert torch.autograd.gradcheck(differentiable, (x, y))
    assert torch.autograd.gradgradcheck(differentiable, (x, y))


def test_gradients_equal_those_of_eager() -> None:
    def function(x, *, scale, table):
        return torch.tanh(x * scale) * table["y"], x > 0

    x, y = leaf(4, 3), leaf(3)
    found = []
    for run in (fusekit.fuse(function), function):
        made, mask = run(x, scale=0.5, table={"y": y})
        assert made.requires_grad
        assert not mask.requires_grad
        found.append(torch.autograd.grad(made.sum(), (x, y)))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)
        assert ours.stride() == theirs.stride()


def test_a_result_that_nobody_differentiates() -> None:
    fused = fusekit.fuse(lambda x, y: (x * 2, y + 1))
    x, y = leaf(3), torch.randn(3)
    made, other = fused(x, y)
    made.sum().backward()
    torch.testing.assert_close(x.grad, torch.full((3,), 2.0, dtype=torch.float64))
    with torch.no_grad():
        assert not fused(x, y)[0].requires_grad
    assert torch.equal(other, y + 1)


def test_parameters_of_a_module() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.GELU(), torch.nn.Linear(3, 2))
    x = torch.randn(5, 3)
    found = []
    for run in (fusekit.fuse(module), module):
        module.zero_grad()
        run(x).square().sum().backward()
        found.append([parameter.grad.clone() for parameter in module.parameters()])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_an_argument_written_in_place_keeps_its_history() -> None:
    def function(x, y):
        return x.mul_(y) + 1

    y = leaf(3)
    found = []
    for run in (fusekit.fuse(function), function):
        x = torch.ones(3, dtype=torch.float64) * 2
        found.append(torch.autograd.grad(run(x, y).sum(), y)[0])
    torch.testing.assert_close(*found)


class Outside:
    """What a function may read besides its arguments."""

    scale = torch.tensor([2.0])
    pair = (torch.tensor([2.0]), 1)


def test_backward_sees_what_the_forward_read():
    factor, weight, pair, outside = 3.0, torch.tensor([2.0]), (torch.tensor([2.0]), 1), Outside()
    table = {"w": torch.tensor([2.0])}

    def fn(x):
        return x * x * factor * weight * pair[0] * outside.scale * table["w"]

    fused = fusekit.fuse(fn)
    for _ in range(2):
        factor, weight, pair = 3.0, torch.tensor([2.0]), (torch.tensor([2.0]), 1)
        outside.scale, table["w"] = torch.tensor([2.0]), torch.tensor([2.0])
        x = torch.ones(1, requires_grad=True)
        y = fused(x)
        factor, weight, pair = 7.0, torch.tensor([5.0]), (torch.tensor([5.0]), 1)
        outside.scale, table["w"] = torch.tensor([5.0]), torch.tensor([5.0])
        y.backward()
        assert x.grad.item() == 2 * 3 * 2**4
        assert (factor, weight.item(), pair[0].item()) == (7.0, 5.0, 5.0)
        assert outside.scale.item() == table["w"].item() == 5.0


def test_a_closed_over_tensor_written_in_place_is_an_error_as_in_eager():
    weight = torch.tensor([2.0])

    def fn(x):
        return x * x * weight

    for function in (fn, fusekit.fuse(fn)):
        x = torch.ones(1, requires_grad=True)
        y = function(x)
        weight.mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.backward()


def test_backward_of_a_function_that_closes_over_a_tensor_is_fused():
    weight = torch.rand(8)
    fused = fusekit.fuse(lambda x: torch.tanh(x) * weight)
    x = torch.rand(8, requires_grad=True)
    before = fusekit.stats()
    fused(x).sum().backward()
    assert fusekit.stats().fallbacks == before.fallbacks
    torch.testing.assert_close(x.grad, (1 - torch.tanh(x.detach()) ** 2) * weight)


def test_losses_are_fused_forward_and_backward():
    x, y = torch.rand(64, requires_grad=True), torch.rand(64)

    def loss(x, y):
        return torch.nn.functional.mse_loss(torch.tanh(x), y)

    before = fusekit.stats()
    fusekit.fuse(loss)(x, y).backward()
    after = fusekit.stats()
    assert after.fallbacks == before.fallbacks
    assert after.launches - before.launches <= 3
    assert after.opaque_calls - before.opaque_calls == 1  # the mean, forward
    found, x.grad = x.grad, None
    loss(x, y).backward()
    torch.testing.assert_close(found, x.grad)


def quiet_factor(x):
    with torch.no_grad():
        factor = x * 2
    return x * factor, factor


@torch.no_grad()
def quiet(x):
    return x * 2


ATTACHED = {
    "quiet_factor": quiet_factor,
    "quiet": quiet,
    "mask": lambda x: ((x > 0).double(), x * 2),
    "detached": lambda x: (x.detach() + 1, x * 2),
    "data": lambda x: (x.data + 1, x * 2),
    "constant": lambda x: (torch.zeros_like(x) + 1, x * 2),
    "no_derivative": lambda x: (torch.special.bessel_j0(x) * 2, x * 2),
    "rounded": lambda x: (torch.sign(x), torch.floor(x) * x),
    "by_mode": lambda x: x * 2 if torch.is_grad_enabled() else x * 3,
    "by_argument": lambda x: x * 2 if x.requires_grad else x * 3,
}


@pytest.mark.parametrize("name", ATTACHED)
def test_what_autograd_attaches_is_what_it_attaches_in_eager(name: str) -> None:
    fused = fusekit.fuse(ATTACHED[name])
    for size, wants, is_on in (
        (3, True, True),
        (5, True, True),
        (3, False, True),
        (3, True, False),
    ):
        x = torch.randn(size, dtype=torch.float64, requires_grad=wants)
        with torch.set_grad_enabled(is_on):
            pairs = zip(*map(pytree.tree_leaves, (fused(x), fused.function(x))), strict=True)
        for ours, theirs in pairs:
            assert torch.allclose(ours, theirs)
            assert ours.requires_grad == theirs.requires_grad
            if ours.requires_grad:
                found = [torch.autograd.grad(y.sum(), x, retain_graph=True) for y in (ours, theirs)]
                assert torch.allclose(found[0][0], found[1][0])


def test_a_plan_is_for_one_grad_mode_also_where_nothing_is_recorded() -> None:
    fused, x = fusekit.fuse(ATTACHED["by_mode"]), torch.ones(4)
    for is_on in (True, False, True, False):
        with torch.set_grad_enabled(is_on):
            assert torch.equal(fused(x), fused.function(x))
