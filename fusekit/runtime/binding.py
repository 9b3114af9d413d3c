"""Binding: the tensors of one call -> ArgSpec and layout array.

Dimensions are collapsed jointly over all tensors: sorted by how far apart the outputs' elements
stand, those of extent 1 dropped, neighbours merged where every tensor steps through both as
through one.
"""

from __future__ import annotations

import ctypes
import dataclasses
from collections.abc import Sequence

from fusekit.codegen.layout import layout_fields
from fusekit.ir import DType
from fusekit.runtime.tiling import Dim, tile
from fusekit.specs import ArgSpec, Stride, TensorDesc

__all__ = ["Binding", "Operand", "bind", "expand_strides"]


@dataclasses.dataclass(frozen=True, slots=True)
class Operand:
    """One tensor of a kernel call: element type, and strides in elements over the map shape.

    Or one index, which is like a tensor that holds its own offsets: `start` is the first.
    """

    dtype: DType
    strides: tuple[int, ...]
    start: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Binding:
    """A kernel call's arguments but for the addresses.

    Attributes:
        args: what the kernel is specialised on.
        layout: extents and strides, as `layout_fields(args)` orders them.
        numel: the map size: how many elements are computed.
    """

    args: ArgSpec
    layout: tuple[int, ...]
    numel: int

    def layout_array(self) -> ctypes.Array[ctypes.c_int64]:
        """The layout in memory."""
        return (ctypes.c_int64 * max(len(self.layout), 1))(*self.layout)


def expand_strides(
    shape: Sequence[int], strides: Sequence[int], target: Sequence[int]
) -> tuple[int, ...]:
    """Strides over `target`, to which `shape` broadcasts: 0 where it has one element for many."""
    missing = len(target) - len(shape)
    own = tuple(
        0 if extent == 1 and full != 1 else stride
        for extent, stride, full in zip(shape, strides, target[missing:], strict=True)
    )
    return (0,) * missing + own


def bind(
    shape: Sequence[int],
    inputs: Sequence[Operand],
    outputs: Sequence[Operand],
    device: str = "cpu",
    indices: Sequence[Operand] = (),
) -> Binding:
    """The binding of operands whose strides are given over `shape`, the map shape."""
    operands = (*outputs, *inputs, *indices)
    n_tensors = len(outputs) + len(inputs)
    dims = tile(_collapse(shape, [operand.strides for operand in operands]), n_tensors)
    descs = [
        TensorDesc(
            operand.dtype,
            tuple(
                _stride_class(strides[position], is_inner=dim == len(dims) - 1)
                for dim, (_, strides) in enumerate(dims)
            ),
            operand.dtype.itemsize,
        )
        for position, operand in enumerate(operands)
    ]
    args = ArgSpec(
        device,
        len(dims),
        inputs=tuple(descs[len(outputs) : n_tensors]),
        outputs=tuple(descs[: len(outputs)]),
        indices=tuple(descs[n_tensors:]),
    )
    layout = []
    for field in layout_fields(args):
        position = field.tensor
        if position is not None and position < n_tensors:
            # ArgSpec counts inputs first, `operands` outputs first
            position = (position + len(outputs)) % n_tensors
        if position is None:
            layout.append(dims[field.dim][0])
        elif field.is_start:
            layout.append(operands[position].start)
        else:
            layout.append(dims[field.dim][1][position])
    numel = 1
    for extent in shape:
        numel *= extent
    return Binding(args, tuple(layout), numel)


def _collapse(shape: Sequence[int], strides: Sequence[tuple[int, ...]]) -> list[Dim]:
    """(extent, stride of each operand) for each dimension that is left, outermost first."""
    dims = [
        (extent, tuple(each[dim] for each in strides))
        for dim, extent in enumerate(shape)
        if extent != 1
    ]
    dims.sort(key=lambda dim: dim[1], reverse=True)
    merged: list[Dim] = []
    for extent, steps in dims:
        if merged:
            outer, outer_steps = merged[-1]
            if all(far == near * extent for far, near in zip(outer_steps, steps, strict=True)):
                merged[-1] = (outer * extent, steps)
                continue
        merged.append((extent, steps))
    return merged


def _stride_class(stride: int, *, is_inner: bool) -> Stride:
    if stride == 0:
        return Stride.BROADCAST
    return Stride.UNIT if is_inner and stride == 1 else Stride.STRIDED
