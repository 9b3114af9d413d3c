"""The layout array: the sizes and strides that a kernel reads at run time, in one agreed order."""

from __future__ import annotations

import dataclasses

from fusekit.specs import ArgSpec, Stride

__all__ = ["Field", "layout_fields"]


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """One int64 of the layout array.

    Attributes:
        dim: the collapsed dimension, 0 the outermost.
        tensor: the tensor whose stride in elements it is (an index into `ArgSpec.tensors`), or
            None for the extent of the dimension.
    """

    dim: int
    tensor: int | None = None


def layout_fields(args: ArgSpec) -> tuple[Field, ...]:
    """Every extent, outermost first, then each tensor's run-time strides, outermost first."""
    extents = [Field(dim) for dim in range(args.ndim)]
    strides = [
        Field(dim, tensor)
        for tensor, desc in enumerate(args.tensors)
        for dim, stride in enumerate(desc.strides)
        if stride is Stride.STRIDED
    ]
    return (*extents, *strides)
