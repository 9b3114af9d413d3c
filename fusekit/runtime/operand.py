"""Operand: one tensor of a kernel call, before anything is decided about it."""

from __future__ import annotations

import dataclasses

from fusekit.ir import DType
from fusekit.specs import Stride

__all__ = ["Operand", "stride_class"]


@dataclasses.dataclass(frozen=True, slots=True)
class Operand:
    """One tensor of a kernel call; or one index, which is a tensor that holds its own offsets.

    Attributes:
        dtype: element type.
        strides: in elements, over the map shape.
        offset: in elements, of its first from the start of its memory.
    """

    dtype: DType
    strides: tuple[int, ...]
    offset: int = 0


def stride_class(stride: int, *, may_be_unit: bool) -> Stride:
    """What a kernel knows at compile time of a stride."""
    if stride == 0:
        return Stride.BROADCAST
    return Stride.UNIT if may_be_unit and stride == 1 else Stride.STRIDED
