"""Operators that are traced as other operators, because part of them is not elementwise.

Losses end in a reduction, which stays PyTorch's; glu takes its argument apart; batch norm is
elementwise if it does not train. Each operator that stands in for one of them is a site of its own,
and rounds as PyTorch's kernels do.

Source: in aten/src/ATen/native, Loss.cpp, GatedLinearUnit.cpp, cpu/Activation.cpp and
cpu/batch_norm_kernel.cpp.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch._decomp import decomposition_table

from fusekit.frontends.calls import bind, name_of
from fusekit.frontends.dtypes import FROM_TORCH, TO_TORCH, compute_dtype
from fusekit.ir.graph import broadcast_shapes

__all__ = ["expansion"]

Given = dict[str, Any]
"""Arguments by schema name, defaults filled in."""

_REDUCTIONS: Mapping[int, Callable[[torch.Tensor], torch.Tensor]] = {1: torch.mean, 2: torch.sum}
"""By the numbers that torch gives them; 0 stands for none."""


def expansion(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[[], Any] | None:
    """What does the same as an operator; None where nothing is gained, or eager would raise."""
    row = _EXPANSIONS.get(name_of(func))
    if row is None:
        return None
    applies, expand = row
    given = bind(func, args, kwargs)
    return functools.partial(expand, func, given) if applies(given) else None


def _is_reduced(given: Given) -> bool:
    return bool(given["reduction"])


def _is_regular(given: Given) -> bool:
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


def _is_halved(given: Given) -> bool:
    """True where eager's glu raises nothing."""
    x, dim = given["self"], given["dim"]
    fits = -x.dim() <= dim < x.dim() and x.shape[dim] % 2 == 0
    return bool(fits and x.is_floating_point() and x.dtype in FROM_TORCH)


def _reduced(loss: torch.Tensor, reduction: int) -> torch.Tensor:
    return _REDUCTIONS[reduction](loss) if reduction else loss


def _two_steps(func: Any, given: Given) -> torch.Tensor:
    """A loss that PyTorch's own kernel computes element by element, and then reduces."""
    return _reduced(func(**{**given, "reduction": 0}), given["reduction"])


def _soft_margin_loss(_: Any, given: Given) -> torch.Tensor:
    return _reduced((-given["self"] * given["target"]).exp().log1p(), given["reduction"])


def _binary_cross_entropy_with_logits(_: Any, given: Given) -> torch.Tensor:
    x, target, weight, pos_weight = (
        given[name] for name in ("self", "target", "weight", "pos_weight")
    )
    likelihood = torch.nn.functional.logsigmoid(x)
    if pos_weight is not None:
        likelihood = likelihood * ((pos_weight - 1) * target + 1)
    loss = (1 - target) * x - likelihood
    return _reduced(loss if weight is None else loss * weight, given["reduction"])


def _glu(_: Any, given: Given) -> torch.Tensor:
    """One half times the sigmoid of the other, rounded once."""
    x: torch.Tensor = given["self"]
    compute = TO_TORCH[compute_dtype(FROM_TORCH[x.dtype])]
    first, second = (half.to(compute) for half in x.chunk(2, given["dim"]))
    return (first * second.sigmoid()).to(x.dtype)


def _is_fixed(given: Given) -> bool:
    """True for batch norm by running statistics, of a layout that eager keeps."""
    x = given["input"]
    layouts = [torch.contiguous_format, *({4: [torch.channels_last]}.get(x.dim(), []))]
    numbers = [given[name] for name in ("weight", "bias", "running_mean", "running_var")]
    return (
        not given.get("training")
        and x.dim() >= 2
        and x.is_floating_point()
        and any(x.is_contiguous(memory_format=layout) for layout in layouts)
        and given["running_mean"] is not None
        and given["running_var"] is not None
        and all(n is None or n.dtype in (x.dtype, torch.float32) for n in numbers)
    )


def _batch_norm(_: Any, given: Given) -> tuple[torch.Tensor, ...]:
    """One factor and one summand for each channel; nothing is saved for the backward."""
    x: torch.Tensor = given["input"]
    compute = TO_TORCH[compute_dtype(FROM_TORCH[x.dtype])]
    shape = (-1, *(1 for _ in x.shape[2:]))
    mean, variance = (
        given[name].to(compute).reshape(shape) for name in ("running_mean", "running_var")
    )
    scale = 1 / (variance + given["eps"]).sqrt()
    if given["weight"] is not None:
        scale = scale * given["weight"].to(compute).reshape(shape)
    shift = -mean * scale
    if given["bias"] is not None:
        shift = shift + given["bias"].to(compute).reshape(shape)
    dtype = compute if x.is_cuda else given["running_mean"].dtype
    saved = (x.new_zeros((0,), dtype=dtype) for _ in range(2))
    return (x.to(compute) * scale + shift).to(x.dtype), *saved


def _as_torch_says(func: Any, given: Given) -> torch.Tensor:
    """By torch's own decomposition, which joins two halves."""
    made: torch.Tensor = decomposition_table[func](**given)
    return made


Row = tuple[Callable[[Given], bool], Callable[[Any, Given], Any]]

_EXPANSIONS: Mapping[str, Row] = {
    **{
        f"aten.{name}": (_is_reduced, _two_steps)
        for name in ("mse_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy")
    },
    "aten.soft_margin_loss": (_is_regular, _soft_margin_loss),
    "aten.binary_cross_entropy_with_logits": (_is_regular, _binary_cross_entropy_with_logits),
    **{
        f"aten.{name}": (_is_fixed, _batch_norm)
        for name in ("native_batch_norm", "_native_batch_norm_legit_no_training")
    },
    "aten.glu": (_is_halved, _glu),
    "aten.glu_backward": (_is_halved, _as_torch_says),
}
"""Operator -> which arguments, and what of them."""
