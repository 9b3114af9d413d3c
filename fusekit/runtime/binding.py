"""Binding: the tensors of one call -> ArgSpec and layout array.

Dimensions are collapsed jointly over all tensors: sorted by how far apart the outputs' elements
stand, those of extent 1 dropped, neighbours merged where every tensor steps through both as
through one.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import math
import operator
from collections.abc import Sequence

from fusekit.codegen.layout import layout_words
from fusekit.runtime.devices import kind_of
from fusekit.runtime.operand import Dim, Operand, Operands
from fusekit.specs import ArgSpec

__all__ = ["Binding", "bind", "expand_strides"]


@dataclasses.dataclass(frozen=True, slots=True)
class Binding:
    """A kernel call's arguments but for the addresses.

    Attributes:
        args: what the kernel is specialised on.
        layout: extents and strides, as `layout_words(args)` orders them.
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
    if shape == target:
        return tuple(strides)
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
    *,
    in_place: tuple[tuple[int, int], ...] = (),
) -> Binding:
    """The binding of operands whose strides are given over `shape`, the map shape.

    `in_place` is as in `ArgSpec`.
    """
    operands = Operands(outputs, inputs, indices)
    dims = _collapse(shape, [operand.strides for operand in operands.all])
    walked = kind_of(device).walk(dims, operands)
    n_outputs, n_tensors = len(outputs), operands.n_tensors
    args = ArgSpec(
        device,
        len(walked.dims),
        inputs=tuple(walked.descs[n_outputs:n_tensors]),
        outputs=tuple(walked.descs[:n_outputs]),
        indices=tuple(walked.descs[n_tensors:]),
        index_bits=walked.index_bits,
        inner_multiple=walked.inner_multiple,
        period=walked.period,
        in_place=in_place,
    )
    return Binding(args, _layout(args, walked.dims, indices), math.prod(shape))


def _layout(args: ArgSpec, dims: Sequence[Dim], indices: Sequence[Operand]) -> tuple[int, ...]:
    """What `layout_words` asks for; `dims` count outputs, then inputs, then indices."""
    extents = [extent for extent, _ in dims]
    stated = [
        dims[dim][1][position] if dim >= 0 else indices[position].offset
        for dim, position in _stated(args)
    ]
    return (*extents, *stated)


@functools.lru_cache(maxsize=1024)
def _stated(args: ArgSpec) -> tuple[tuple[int, int], ...]:
    """The words after the extents: (dimension, operand as `dims` count them); or (-1, index)."""
    n_inputs, n_tensors = len(args.inputs), len(args.tensors)
    found = []
    for word in layout_words(args)[args.ndim :]:
        position = word.tensor
        assert position is not None
        if word.kind == "start":
            found.append((-1, position - n_tensors))
        else:
            if position < n_tensors:
                position = (position + n_tensors - n_inputs) % n_tensors
            found.append((word.dim, position))
    return tuple(found)


def _collapse(shape: Sequence[int], strides: Sequence[tuple[int, ...]]) -> list[Dim]:
    """(extent, stride of each operand) for each dimension that is left, outermost first."""
    dims = [dim for dim in zip(shape, zip(*strides, strict=True), strict=True) if dim[0] != 1]
    dims.sort(key=operator.itemgetter(1), reverse=True)
    merged: list[Dim] = []
    for extent, steps in dims:
        if merged:
            outer, outer_steps = merged[-1]
            if outer_steps == tuple([step * extent for step in steps]):
                merged[-1] = (outer * extent, steps)
                continue
        merged.append((extent, steps))
    return merged
