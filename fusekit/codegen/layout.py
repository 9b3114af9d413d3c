"""The words that a kernel reads at run time, sizes and strides, in one agreed order.

CPU kernels find them in an array of int64, GPU kernels take each as a parameter (see `geometry`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

from fusekit.specs import ArgSpec, Stride

__all__ = ["Word", "layout_words"]


@dataclasses.dataclass(frozen=True, slots=True)
class Word:
    """One integer that a kernel is told.

    Attributes:
        kind: "size": the extent of the dimension; "stride": an operand's along it, in elements;
            "start": the value of an index where all coordinates are 0, of no dimension; "factor"
            and "shift": what divides by the extent.
        dim: the collapsed dimension, 0 the outermost.
        tensor: position in `ArgSpec.operands`, of a stride and a start; None otherwise.
    """

    kind: Literal["size", "stride", "start", "factor", "shift"]
    dim: int
    tensor: int | None = None

    def name(self, operands: Sequence[str]) -> str:
        """What dialects call it, given the operands' names: size0, in1_stride0, index0_start."""
        if self.tensor is None:
            return f"{self.kind}{self.dim}"
        part = "start" if self.kind == "start" else f"stride{self.dim}"
        return f"{operands[self.tensor]}_{part}"


def layout_words(args: ArgSpec) -> tuple[Word, ...]:
    """Every extent, outermost first; then of each operand the run-time strides, outermost first.

    The strides of an index come after its first value.
    """
    words = [Word("size", dim) for dim in range(args.ndim)]
    for position, desc in enumerate(args.operands):
        if position >= len(args.tensors):
            words.append(Word("start", 0, position))
        words += [
            Word("stride", dim, position)
            for dim, stride in enumerate(desc.strides)
            if stride is Stride.STRIDED
        ]
    return tuple(words)
