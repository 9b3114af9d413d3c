"""Distances between tensors in units of the last place: a histogram, the mean and the worst."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch

from fusekit.frontends.dtypes import TO_TORCH
from fusekit.ir import DType
from fusekit.ir.graph import Literal
from fusekit.runtime.columns import figure

__all__ = ["BUCKETS", "Distances", "differing", "distances", "ulps_of"]

_EDGES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 1024.0, math.inf)
"""Upper ends of the histogram's buckets, inclusive: a function rounded right stays within 0.5."""

BUCKETS = ("0", "≤ 0.5", "≤ 1", "≤ 2", "≤ 4", "≤ 8", "≤ 16", "≤ 64", "≤ 1024", "more")
"""What the buckets are called; the last holds infinite distances, too."""


@dataclasses.dataclass(frozen=True, slots=True)
class Distances:
    """Distances of some elements from what they should be.

    Attributes:
        histogram: how many fall into each of `BUCKETS`.
        mean: of the finite distances, in ulps.
        worst: the largest, in ulps; infinite where only one of the two is a finite number.
        index: of the element that is farthest.
        found: its value.
        wanted: what it should be.
        differing: elements that are not the same bits, NaNs aside.
    """

    histogram: tuple[int, ...]
    mean: float
    worst: float
    index: tuple[int, ...]
    found: Literal
    wanted: Literal
    differing: int

    def __str__(self) -> str:
        """The worst: `1.2 ulp`."""
        return f"{figure(self.worst)} ulp"

    def to_dict(self) -> dict[str, Any]:
        """What JSON holds; numbers that it does not hold as "nan", "inf", "-inf"."""
        return {
            "histogram": list(self.histogram),
            "mean": self.mean,
            "worst": _plain(self.worst),
            "index": list(self.index),
            "found": _plain(self.found),
            "wanted": _plain(self.wanted),
            "differing": self.differing,
        }


def ulps_of(found: torch.Tensor, wanted: torch.Tensor, dtype: DType) -> torch.Tensor:
    """`arithmetic.ulps_between`, for all elements of two tensors, as float64."""
    one, other = found.double(), wanted.double()
    gap = (one - other).abs()
    if dtype.is_float:
        info = torch.finfo(TO_TORCH[dtype])
        _, exponent = torch.frexp(other.abs().clamp(min=info.tiny, max=info.max).nan_to_num())
        # frexp's mantissa is in [0.5, 1), so the unit of the last place is eps * 2**(exponent - 1)
        gap = gap / torch.ldexp(torch.full_like(other, info.eps), exponent - 1)
    gap = torch.where(one.isfinite() & other.isfinite(), gap, math.inf)
    return torch.where((one == other) | (one.isnan() & other.isnan()), 0.0, gap)


def differing(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Where two tensors of one dtype have other bits, zeros' signs included, NaNs all alike."""
    if not found.is_floating_point():
        return found != wanted
    signs = (found == 0) & (torch.signbit(found) != torch.signbit(wanted))
    return ((found != wanted) | signs) & ~(found.isnan() & wanted.isnan())


def distances(
    found: torch.Tensor,
    wanted: torch.Tensor,
    dtype: DType,
    where: torch.Tensor,
    shape: tuple[int, ...],
) -> Distances | None:
    """Distances of elements at the row-major positions `where` of a tensor of that shape.

    None if there are none.
    """
    if not len(where):
        return None
    ulps = ulps_of(found, wanted, dtype)
    edges = torch.tensor(_EDGES, dtype=torch.float64)
    counts = torch.bincount(torch.bucketize(ulps, edges), minlength=len(_EDGES))
    finite = ulps[ulps.isfinite()]
    at = int(ulps.argmax())
    same = found.dtype == wanted.dtype
    differ = differing(found, wanted) if same else ulps != 0
    return Distances(
        histogram=tuple(counts.tolist()),
        mean=float(finite.mean()) if len(finite) else 0.0,
        worst=float(ulps[at]),
        index=tuple(int(number) for number in torch.unravel_index(where[at], shape)),
        found=found[at].item(),
        wanted=wanted[at].item(),
        differing=int(differ.sum()),
    )


def _plain(value: Literal) -> Any:
    if isinstance(value, bool | int) or math.isfinite(value):
        return value
    return str(value)
