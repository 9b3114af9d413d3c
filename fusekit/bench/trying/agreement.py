"""Does a fused result agree with eager PyTorch's?

It does where it has eager's dtype, shape and strides, and each element is eager's; or, as
operators of several steps round, within `ROUNDINGS` units in the last place of it; or about as far
from what float64 gives as eager's is, there or where eager is worst.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch.utils import _pytree as pytree

from fusekit.bench.accuracy import distance

__all__ = ["CANCELLED", "FARTHER", "ROUNDINGS", "WORST", "Agreement", "agreement"]

ROUNDINGS = 8
"""Units of the last place by which an operator of several steps may differ from eager's."""

FARTHER = 4
"""How many times as far from float64 as eager a result may be: both have rounded as often."""

WORST = 1.5
"""How many times as far from float64 as eager's worst element any element may be ..."""

CANCELLED = 64.0
"""... and no farther than so many units in the last place of the largest element."""


@dataclasses.dataclass(frozen=True, slots=True)
class Agreement:
    """What a comparison with eager found.

    Attributes:
        ulp: the largest distance from eager's result, in units in the last place; 0 where all bits
            agree, or nothing is a floating point number.
        complaint: the first thing that does not agree, in a sentence; "" if everything does.
    """

    ulp: float
    complaint: str = ""

    @property
    def holds(self) -> bool:
        """True if everything agrees."""
        return not self.complaint

    def __str__(self) -> str:
        """`0 ulp`, `1.5 ulp`, or the complaint."""
        digits = ",.0f" if self.ulp >= 1000 else ".3g"
        return self.complaint or f"{self.ulp:{digits}} ulp"


def agreement(ours: Any, theirs: Any, wide: Any = None) -> Agreement:
    """Compare results leaf by leaf.

    Args:
        ours: the fused function's.
        theirs: eager PyTorch's for the same arguments.
        wide: what eager gives in float64; None where that is not to be had.
    """
    mine, yours = pytree.tree_leaves(ours), pytree.tree_leaves(theirs)
    exact = pytree.tree_leaves(wide)
    if len(mine) != len(yours):
        return Agreement(0.0, f"{len(mine)} results, eager has {len(yours)}")
    ulp = 0.0
    for number, (one, other) in enumerate(zip(mine, yours, strict=True)):
        centre = exact[number] if len(exact) == len(yours) else None
        complaint = _complaint(one, other, centre)
        if complaint:
            return Agreement(ulp, f"result {number}: {complaint}")
        if isinstance(other, torch.Tensor) and other.is_floating_point():
            ulp = max(ulp, distance(_but_denormals(one, other), other).ulp)
    return Agreement(ulp)


def _but_denormals(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """Our result, but eager's where the two differ by less than the smallest normal number.

    Eager's vectorised functions flush what is smaller.
    """
    tiny = torch.finfo(theirs.dtype).tiny
    near = (ours.double() - theirs.double()).abs() <= tiny
    return torch.where(near, theirs, ours).detach()


def _complaint(ours: Any, theirs: Any, wide: Any) -> str:
    if not isinstance(theirs, torch.Tensor) or not isinstance(ours, torch.Tensor):
        same = type(ours) is type(theirs) and repr(ours) == repr(theirs)  # a NaN is itself
        return "" if same else f"{ours!r}, eager has {theirs!r}"
    if (ours.dtype, ours.shape) != (theirs.dtype, theirs.shape):
        return f"{ours.dtype}{list(ours.shape)}, eager has {theirs.dtype}{list(theirs.shape)}"
    steps = zip(theirs.shape, ours.stride(), theirs.stride(), strict=True)
    if theirs.numel() and any(one != other for n, one, other in steps if n > 1):
        return f"strides {ours.stride()}, eager has {theirs.stride()}"
    wrong = ~_agree(ours.detach(), theirs.detach(), wide)
    count = int(wrong.sum())
    if not count:
        return ""
    where = tuple(int(i) for i in wrong.nonzero()[0])
    pair = f"{ours[where].item()!r}, eager has {theirs[where].item()!r}"
    return f"{pair} at {list(where)} ({count} of {wrong.numel()} elements differ)"


def _agree(ours: torch.Tensor, theirs: torch.Tensor, wide: Any) -> torch.Tensor:
    good = (ours == theirs) | (ours.isnan() & theirs.isnan())
    if not theirs.is_floating_point():
        return good
    info = torch.finfo(theirs.dtype)
    slack = ROUNDINGS * info.eps * theirs.double().abs() + info.tiny
    good |= (ours.double() - theirs.double()).abs() <= slack
    if isinstance(wide, torch.Tensor) and wide.shape == theirs.shape:
        off, eager = ((each.double() - wide.double()).abs() for each in (ours, theirs))
        good |= (off <= FARTHER * eager) & eager.isfinite()
        # Where a sum cancels, eager is far off as well, though not in the same elements.
        worst, largest = (_largest(each) for each in (eager, wide))
        good |= off <= min(WORST * worst, CANCELLED * info.eps * largest)
    return good


def _largest(tensor: torch.Tensor) -> float:
    """The largest finite size of an element; 0 if there is none."""
    sizes = tensor.double().abs().nan_to_num(0.0, 0.0, 0.0)
    return float(sizes.max()) if sizes.numel() else 0.0
