"""Gradients of functions that draw: the backward meets the forward's numbers again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  the usual name

import fusekit
from fusekit.frontends.seeds import draw_seed
from fusekit.runtime.seeded import Seeded
from tests.frontends.test_draws import only_the_seed

engines = pytest.mark.parametrize("engine", ["llvm", "reference"])


def leaf(*shape: int) -> torch.Tensor:
    return (torch.rand(*shape, dtype=torch.float64) + 0.5).requires_grad_()


@engines
def test_the_gradient_of_dropout_uses_the_forwards_mask(engine: str) -> None:
    fused = fusekit.fuse(lambda x: F.dropout(x * 3, 0.25), engine=engine)
    before = fusekit.stats().fallbacks
    masks = []
    for _ in range(3):
        x = leaf(50, 7)
        made = fused(x)
        made.sum().backward()
        masks.append(made != 0)
        torch.testing.assert_close(x.grad, masks[-1].double() * 4)
        assert 0.5 < masks[-1].double().mean() < 0.95
    assert not torch.equal(masks[0], masks[1])
    assert fusekit.stats().fallbacks == before


@engines
def test_second_derivatives(engine: str) -> None:
    fused = fusekit.fuse(
        lambda x, y: F.dropout(x**3, 0.5) * torch.rand_like(y) * y**2, engine=engine
    )
    x, y = leaf(6, 5), leaf(6, 5)
    made = fused(x, y)
    weight = (made / (x**3 * y**2)).detach()
    (first,) = torch.autograd.grad(made.sum(), x, create_graph=True)
    torch.testing.assert_close(first, weight * 3 * x**2 * y**2)
    second, mixed = torch.autograd.grad(first.sum(), (x, y), create_graph=True)
    torch.testing.assert_close(second, weight * 6 * x * y**2)
    torch.testing.assert_close(mixed, weight * 6 * x**2 * y)
    (third,) = torch.autograd.grad(second.sum(), x)
    torch.testing.assert_close(third, weight * 6 * y**2)


def test_a_seed_means_the_same_with_and_without_gradients() -> None:
    fused = fusekit.fuse(lambda x: F.dropout(x) + torch.rand_like(x))
    x = torch.randn(99)
    found = []
    for given in (x, x.clone().requires_grad_()):
        torch.manual_seed(2)
        found.append(fused(given).detach())
    assert torch.equal(*found)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "dropout": lambda x: F.dropout(x, 0.3),
    "native": lambda x: torch.native_dropout(x, 0.3, True)[0] + torch.rand(5, 4),
    "bernoulli": lambda x: x * torch.bernoulli(torch.full_like(x, 0.5)) * torch.bernoulli(x, 0.5),
    "in place": lambda x: x * torch.empty_like(x).uniform_(2, 3) + x.detach().clone().bernoulli_(),
    "transposed": lambda x: F.dropout(x.t(), 0.5) * torch.rand_like(x.t(), dtype=torch.float32),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_pytorch_draws_what_kernels_draw_when_it_has_to_step_in(name: str) -> None:
    """Where a backward cannot be fused, eager recomputes the forward on the same numbers."""
    x = leaf(5, 4)
    fused, function = fusekit.fuse(FUNCTIONS[name]), Seeded(FUNCTIONS[name])
    torch.manual_seed(0)
    seed = draw_seed(torch.device("cpu"))
    torch.manual_seed(0)
    with torch.no_grad():
        made = fused(x)
    assert only_the_seed(fused, x.detach())
    for _ in range(2):
        replayed = function(seed, x)
        assert torch.equal(replayed, made)
        assert replayed.stride() == made.stride()


def test_a_backward_that_runs_in_pytorch_sees_the_forwards_mask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fused = fusekit.fuse(lambda x: F.dropout(x * 3, 0.25))
    x = leaf(50, 7)
    made = fused(x)

    def refuse(*_: Any, **__: Any) -> Any:
        raise fusekit.FusionDeclined(fusekit.Decline(fusekit.Reason.COMPILE_FAILED))

    monkeypatch.setattr("fusekit.runtime.dispatch.make_plan", refuse)
    before = fusekit.stats().fallbacks.get("FK0303", 0)
    made.sum().backward()
    assert fusekit.stats().fallbacks["FK0303"] == before + 1
    torch.testing.assert_close(x.grad, (made != 0).double() * 4)


def test_what_it_closes_over_is_still_read() -> None:
    scale = torch.full((3,), 2.0)

    def function(x):
        return F.dropout(x, 0.5) * scale

    fused = fusekit.fuse(function)
    x = torch.ones(3, requires_grad=True)
    assert set(fused(x).tolist()) <= {0.0, 4.0}
    scale.fill_(8.0)
    made = fused(x)
    assert set(made.tolist()) <= {0.0, 16.0}
    made.sum().backward()
    torch.testing.assert_close(x.grad, made.detach())


def test_operators_that_kernels_do_not_draw_keep_eager_gradients() -> None:
    fused = fusekit.fuse(lambda x: F.dropout(x) * torch.randn_like(x))
    x = leaf(4)
    assert fused.explain(x).declined[0].reason is fusekit.Reason.GRADIENT
    made = fused(x)
    made.sum().backward()
    torch.testing.assert_close(x.grad * x, made)
