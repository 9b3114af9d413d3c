"""Gradients of fused functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  the usual name

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
