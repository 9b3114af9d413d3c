"""Launching a GPU kernel: its grid, and the words it takes beside pointers and scalars.

A kernel is never specialised on sizes, so extents and strides are arguments. Dividing by an extent
is dear on a GPU; in kernels with 32-bit indices it is a multiplication by a factor computed here:
x // d == x * factor >> shift for all x below 2**31, with factor = ceil(2**shift / d) and
shift = 31 + ceil(log2(d)) (Granlund and Montgomery, "Division by invariant integers using
multiplication", 1994).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from fusekit.codegen.gpu_schedule import GpuSchedule
from fusekit.codegen.layout import Word, layout_words
from fusekit.specs import ArgSpec

__all__ = ["Geometry"]


@dataclasses.dataclass(frozen=True, slots=True)
class Geometry:
    """How a kernel's grid and words follow from a call's layout.

    Attributes:
        args: what the kernel is specialised on.
        schedule: how it walks.
    """

    args: ArgSpec
    schedule: GpuSchedule

    @property
    def divides_by_factor(self) -> bool:
        """True if kernels divide indices by multiplying."""
        return self.args.index_bits == 32 and not self.schedule.tile

    @property
    def words(self) -> tuple[Word, ...]:
        """The parameters after the pointers, in order."""
        found = [*layout_words(self.args)]
        if self.divides_by_factor:
            for dim in range(1, self.args.ndim):
                found += [Word("factor", dim), Word("shift", dim)]
        return tuple(found)

    def steps(self, dim: int) -> int:
        """By how many elements the walk moves along a dimension."""
        is_vector = self.schedule.adjacent and not (self.schedule.tile or self.schedule.flat)
        return self.schedule.lanes if is_vector and dim == self.args.ndim - 1 else 1

    def values(self, layout: Sequence[int]) -> tuple[int, ...]:
        """The words of a call whose layout is `layout` (see `layout_words`)."""
        divisors = {
            dim: _factor(layout[dim] // self.steps(dim)) for dim in range(1, self.args.ndim)
        }
        given = iter(layout)
        return tuple(
            divisors[word.dim][word.kind == "shift"]
            if word.kind in ("factor", "shift")
            else next(given)
            for word in self.words
        )

    def blocks(self, layout: Sequence[int]) -> int:
        """How many blocks a call takes."""
        extents = list(layout[: self.args.ndim])
        if not self.schedule.tile:
            return -(-math.prod(extents) // self.schedule.elements)
        for dim in (self.schedule.tile_dim, self.args.ndim - 1):
            extents[dim] = -(-extents[dim] // self.schedule.tile)
        return math.prod(extents)


def _factor(divisor: int) -> tuple[int, int]:
    """(factor, shift) to divide by `divisor`, at least 1 and below 2**31."""
    shift = 31 + (divisor - 1).bit_length()
    return -(-(1 << shift) // divisor), shift
