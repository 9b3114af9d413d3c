"""How far a result is from the same computation in float64."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch.utils import _pytree as pytree

__all__ = ["Distance", "distance", "reference"]


@dataclasses.dataclass(frozen=True, slots=True)
class Distance:
    """The worst element's.

    Attributes:
        ulp: in units of the last place of the result's dtype at the exact value.
        absolute: as it is.
    """

    ulp: float
    absolute: float

    def __str__(self) -> str:
        """`1.2 ulp`, or `3e-08` where cancellation makes ulp meaningless."""
        return f"{self.ulp:.3g} ulp" if self.ulp < 1000 else f"{self.absolute:.2g} abs"


def reference(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What `fn` gives in float64: every floating argument is widened first."""

    def widened(leaf: Any) -> Any:
        if isinstance(leaf, torch.Tensor) and leaf.is_floating_point():
            return leaf.detach().double()
        return leaf

    with torch.no_grad():
        return fn(*pytree.tree_map(widened, args), **pytree.tree_map(widened, kwargs))


def distance(result: Any, exact: Any) -> Distance:
    """The largest distance of any floating tensor in `result` from its twin in `exact`."""
    pairs = zip(pytree.tree_leaves(result), pytree.tree_leaves(exact), strict=True)
    found = [
        _distance(got.detach(), wanted)
        for got, wanted in pairs
        if isinstance(got, torch.Tensor) and got.is_floating_point() and got.numel()
    ]
    ulp = max((item.ulp for item in found), default=0.0)
    return Distance(ulp, max((item.absolute for item in found), default=0.0))


def _distance(got: torch.Tensor, wanted: torch.Tensor) -> Distance:
    # elements that are not finite in the exact result have no distance: other tests compare them
    info = torch.finfo(got.dtype)
    wide = wanted.double()
    gap = (got.double() - wide).abs()
    _, exponent = torch.frexp(wide.abs().clamp(min=info.tiny, max=info.max))
    # frexp's mantissa is in [0.5, 1), so the unit of the last place is eps * 2**(exponent - 1)
    unit = torch.ldexp(torch.full_like(wide, info.eps), exponent - 1)
    counts = torch.isfinite(wide) & (wide.abs() <= info.max)
    zero = torch.zeros_like(gap)
    ulp = torch.where(counts, gap / unit, zero).max().item()
    return Distance(ulp, torch.where(counts, gap, zero).max().item())
