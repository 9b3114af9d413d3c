"""Whether a contender computes what eager PyTorch does, said in a few words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils import _pytree as pytree

__all__ = ["Check", "close", "same_statistics"]

Check = Callable[[Any, Any, tuple[Any, ...]], str]
"""(result, eager's result, arguments) -> what is wrong, "" if nothing is."""

_TOLERANCE = {
    torch.float64: 1e-10,
    torch.float32: 1e-4,
    torch.float16: 2.0**-7,
    torch.bfloat16: 2.0**-5,
}
"""Relative and absolute: a thousand units of the last place of float32, for cancellation; four of
bfloat16, which some contenders round to after each operation and some at the end. A contender that
computes something else is what this finds; accuracy has tests of its own."""


def close(result: Any, expected: Any, _args: tuple[Any, ...]) -> str:
    """Tensor by tensor: dtype, shape, and values within the dtype's tolerance."""
    got, wanted = pytree.tree_leaves(result), pytree.tree_leaves(expected)
    if len(got) != len(wanted):
        return f"{len(got)} results instead of {len(wanted)}"
    found = (_difference(g, w) for g, w in zip(got, wanted, strict=True))
    return next(filter(None, found), "")


def _difference(got: Any, wanted: torch.Tensor) -> str:
    if not isinstance(got, torch.Tensor):
        return f"a {type(got).__name__} instead of a tensor"
    if (got.dtype, got.shape) != (wanted.dtype, wanted.shape):
        return (
            f"{got.dtype} {list(got.shape)} instead of {wanted.dtype} {list(wanted.shape)}".replace(
                "torch.", ""
            )
        )
    if not wanted.is_floating_point():
        return "" if torch.equal(got, wanted) else "integers differ"
    tolerance = _TOLERANCE[wanted.dtype]
    if torch.allclose(got, wanted, rtol=tolerance, atol=tolerance, equal_nan=True):
        return ""
    return f"off by {(got - wanted).abs().max().item():.2g}"


def same_statistics(result: Any, expected: Any, args: tuple[Any, ...]) -> str:
    """For dropout plus residual, where no two runs agree: as many dropped, spread as wide."""
    if (result.dtype, result.shape) != (expected.dtype, expected.shape):
        return close(result, expected, args)
    slack = 0.01 + 4 / result.numel() ** 0.5
    for what, of in (("share of dropped", _dropped), ("standard deviation", _deviation)):
        got, wanted = of(result, args[1]), of(expected, args[1])
        if not abs(got - wanted) <= slack:
            return f"{what} {got:.3g} instead of {wanted:.3g}"
    return ""


def _dropped(result: torch.Tensor, residual: torch.Tensor) -> float:
    return (result == residual).float().mean().item()


def _deviation(result: torch.Tensor, residual: torch.Tensor) -> float:
    return (result.float() - residual.float()).std().item()
