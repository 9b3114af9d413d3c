"""Places: where the values of a program lie in memory."""

from __future__ import annotations

import dataclasses
import math

from fusekit.fusion.motion import Geometry

__all__ = ["Place"]


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where a value lies: the tensor that owns the memory, and how to find the value in it.

    Attributes:
        base: id of the value that is a tensor of its own.
        shape: extents.
        strides: in elements.
        offset: in elements, from the base's first.
    """

    base: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0

    @property
    def footprint(self) -> int:
        """Distinct elements: a broadcast one counts once."""
        pairs = zip(self.shape, self.strides, strict=True)
        return math.prod(extent for extent, stride in pairs if stride or not extent)

    @property
    def geometry(self) -> Geometry:
        """Shape, strides, offset."""
        return self.shape, self.strides, self.offset

    def is_like(self, other: Place) -> bool:
        """True if each element lies where the other's lies, should their bases be one tensor."""
        steps = zip(self.shape, self.strides, other.strides, strict=False)
        return (
            self.shape == other.shape
            and self.offset == other.offset
            and all(extent == 1 or mine == theirs for extent, mine, theirs in steps)
        )
