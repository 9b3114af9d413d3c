"""Losses: elementwise but for a reduction at the end, which stays PyTorch's.

Source: aten/src/ATen/native/Loss.cpp and cpu/BinaryOpsKernel.cpp.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch

from fusekit.frontends.calls import bind, name_of
from fusekit.frontends.lowering import Lowering, Rule, valid
from fusekit.ir.graph import broadcast_shapes
from fusekit.vecmath.expression import Expr

__all__ = ["RULES", "expansion"]

Expansion = Callable[..., torch.Tensor]

_REDUCTIONS: Mapping[int, Callable[[torch.Tensor], torch.Tensor]] = {1: torch.mean, 2: torch.sum}
"""By the numbers that torch gives them; 0 stands for none."""

_TWO_STEPS = frozenset(
    f"aten.{name}" for name in ("mse_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy")
)
"""Losses that PyTorch's own kernels compute element by element, and then reduce."""


def expansion(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Expansion | None:
    """A loss by the operators that its own kernel runs; None for what is none, or one step."""
    name = name_of(func)
    if name in _TWO_STEPS and bind(func, args, kwargs)["reduction"]:
        return functools.partial(_two_steps, func)
    found = _EXPANSIONS.get(name)
    return found if found and _is_regular(bind(func, args, kwargs)) else None


def _is_regular(given: dict[str, Any]) -> bool:
    """True for one floating dtype, and a target and weights that broadcast to the input.

    Of all else eager raises, or converts as its kernels happen to.
    """
    first = given["self"]
    shape = tuple(first.shape)
    return first.is_floating_point() and all(
        x.dtype == first.dtype and broadcast_shapes([tuple(x.shape), shape]) == shape
        for x in given.values()
        if isinstance(x, torch.Tensor)
    )


def _two_steps(func: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
    given = bind(func, args, kwargs)
    return _reduced(func(**{**given, "reduction": 0}), given["reduction"])


def _reduced(loss: torch.Tensor, reduction: int) -> torch.Tensor:
    return _REDUCTIONS[reduction](loss) if reduction else loss


def _soft_margin_loss(self: torch.Tensor, target: torch.Tensor, reduction: int = 1) -> torch.Tensor:
    return _reduced((-self * target).exp().log1p(), reduction)


def _binary_cross_entropy_with_logits(
    self: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor | None = None,
    pos_weight: torch.Tensor | None = None,
    reduction: int = 1,
) -> torch.Tensor:
    likelihood = torch.nn.functional.logsigmoid(self)
    if pos_weight is not None:
        likelihood = likelihood * ((pos_weight - 1) * target + 1)
    loss = (1 - target) * self - likelihood
    return _reduced(loss if weight is None else loss * weight, reduction)


_EXPANSIONS: Mapping[str, Expansion] = {
    "aten.soft_margin_loss": _soft_margin_loss,
    "aten.binary_cross_entropy_with_logits": _binary_cross_entropy_with_logits,
}


def binary_cross_entropy(op: Lowering) -> Expr | None:
    """Of probabilities: (y-1) * max(log(1-x), -100) - y * max(log(x), -100)."""
    if op["reduction"]:
        return None
    x, y = op.tensor("self"), op.tensor("target")
    log_not = (-x).apply("log1p").apply("maximum", -100.0)
    loss = (y - 1.0) * log_not - y * x.apply("log").apply("maximum", -100.0)
    if op["weight"] is not None:
        loss = loss.cast(op.result).cast(op.compute) * op.tensor("weight")
    if op["self"].device.type != "cpu":
        return loss  # eager stops the device there
    return valid((x >= 0.0) & (x <= 1.0), loss)


RULES: Mapping[str, Rule] = {"aten.binary_cross_entropy": binary_cross_entropy}
"""Operator -> formula."""
