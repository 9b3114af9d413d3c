"""Operands of a kernel call, before and after a kind of device decides how to walk them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fusekit.ir import DType
from fusekit.specs import Stride, TensorDesc

__all__ = ["Dim", "Operand", "Operands", "Walked", "stride_class"]

Dim = tuple[int, tuple[int, ...]]
"""An extent, and each operand's stride along it."""


class Operand(NamedTuple):
    """One tensor of a kernel call; or one index, which is a tensor that holds its own offsets.

    Attributes:
        dtype: element type.
        strides: in elements, over the map shape.
        offset: in elements, of its first from the start of its memory.
    """

    dtype: DType
    strides: tuple[int, ...]
    offset: int = 0


class Operands(NamedTuple):
    """All operands of a kernel call: its tensors, then what counts elements.

    Attributes:
        outputs: what is stored.
        inputs: what is loaded.
        indices: what is not in memory: its offset is its value.
    """

    outputs: Sequence[Operand]
    inputs: Sequence[Operand]
    indices: Sequence[Operand]

    @property
    def all(self) -> tuple[Operand, ...]:
        """Outputs, inputs, indices."""
        return (*self.outputs, *self.inputs, *self.indices)

    @property
    def n_tensors(self) -> int:
        """How many are in memory."""
        return len(self.outputs) + len(self.inputs)


class Walked(NamedTuple):
    """How a kind of device walks collapsed dimensions.

    Attributes:
        dims: the dimensions that its kernels have.
        descs: one for each of `Operands.all`.
        index_bits: as in `ArgSpec`.
        inner_multiple: as in `ArgSpec`.
        period: as in `ArgSpec`.
    """

    dims: Sequence[Dim]
    descs: Sequence[TensorDesc]
    index_bits: int = 64
    inner_multiple: int = 1
    period: int = 0


def stride_class(stride: int, *, may_be_unit: bool) -> Stride:
    """What a kernel knows at compile time of a stride."""
    if stride == 0:
        return Stride.BROADCAST
    return Stride.UNIT if may_be_unit and stride == 1 else Stride.STRIDED
