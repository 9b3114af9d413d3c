"""Binding: the tensors of one call -> ArgSpec and layout array.

Dimensions are collapsed jointly over all tensors: sorted by how far apart the outputs' elements
stand, those of extent 1 dropped, neighbours merged where every tensor steps through both as
through one.
"""

from __future__ import annotations

import ctypes
import dataclasses
import math
from collections.abc import Sequence

from fusekit.codegen.layout import layout_fields
from fusekit.runtime.gpu_binding import describe_gpu, index_bits, inner_multiple
from fusekit.runtime.operand import Operand, stride_class
from fusekit.runtime.tiling import Dim, tile
from fusekit.specs import ArgSpec, TensorDesc

__all__ = ["Binding", "bind", "expand_strides"]


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
    shape: Sequence[int], inputs: Sequence[Operand], outputs: Sequence[Operand], device: str = "cpu"
) -> Binding:
    """The binding of operands whose strides are given over `shape`, the map shape."""
    operands = (*outputs, *inputs)
    dims = _collapse(shape, [operand.strides for operand in operands])
    if device == "cpu":
        dims = tile(dims)
        descs = [
            _described(operand, [strides[i] for _, strides in dims])
            for i, operand in enumerate(operands)
        ]
    else:
        descs = describe_gpu(dims, operands, len(outputs))
    found, results = tuple(descs[len(outputs) :]), tuple(descs[: len(outputs)])
    args = ArgSpec(device, len(dims), found, results)
    if device != "cpu":
        args = dataclasses.replace(
            args, index_bits=index_bits(dims), inner_multiple=inner_multiple(dims)
        )
    layout = []
    for field in layout_fields(args):
        extent, strides = dims[field.dim]
        if field.tensor is None:
            layout.append(extent)
        else:  # ArgSpec counts inputs first, `operands` outputs first
            layout.append(strides[(field.tensor + len(outputs)) % len(operands)])
    return Binding(args, tuple(layout), math.prod(shape))


def _described(operand: Operand, steps: Sequence[int]) -> TensorDesc:
    """What a CPU kernel is specialised on."""
    strides = tuple(
        stride_class(step, may_be_unit=dim == len(steps) - 1) for dim, step in enumerate(steps)
    )
    return TensorDesc(operand.dtype, strides, operand.dtype.itemsize)


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
