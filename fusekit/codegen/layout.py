"""The layout array: the sizes and strides that a kernel reads at run time, in one agreed order."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from fusekit.specs import ArgSpec, Stride

__all__ = ["Field", "layout_fields"]


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """One int64 of the layout array.

    Attributes:
        dim: the collapsed dimension, 0 the outermost.
        tensor: the operand whose stride in elements it is (a position in `ArgSpec.operands`), or
            None for the extent of the dimension.
        is_start: it is the index's value where all coordinates are 0, and of no dimension.
    """

    dim: int
    tensor: int | None = None
    is_start: bool = False

    def name(self, operands: Sequence[str]) -> str:
        """What dialects call it, given the operands' names: size0, in1_stride0, index0_start."""
        if self.tensor is None:
            return f"size{self.dim}"
        return f"{operands[self.tensor]}_{'start' if self.is_start else f'stride{self.dim}'}"


def layout_fields(args: ArgSpec) -> tuple[Field, ...]:
    """Every extent, outermost first; then of each operand the run-time strides, outermost first.

    The strides of an index come after its first value.
    """
    fields = [Field(dim) for dim in range(args.ndim)]
    for position, desc in enumerate(args.operands):
        if position >= len(args.tensors):
            fields.append(Field(0, position, is_start=True))
        fields += [
            Field(dim, position)
            for dim, stride in enumerate(desc.strides)
            if stride is Stride.STRIDED
        ]
    return tuple(fields)
