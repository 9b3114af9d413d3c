"""Many calls of one CPU kernel as one: tables of them, and a loop over these in threads.

The table of scalars and addresses is written anew at every call of a plan, because they change.
That of the pieces is a constant of the plan: each is a part of the outermost dimension of a call,
so that threads share the work evenly whatever the sizes.
"""

from __future__ import annotations

import ctypes
import functools
import math
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fusekit.codegen import Parameter, Schedule, Target, choose
from fusekit.codegen.dialects.llvm_batches import batch_source
from fusekit.codegen.layout import layout_words
from fusekit.compilers.base import Artifact
from fusekit.compilers.llvm_jit import LlvmJit
from fusekit.ir import DType
from fusekit.runtime.binding import Binding
from fusekit.specs import ArgSpec, KernelSpec, Stride

__all__ = ["cpu_batch"]

_MOST_PIECES = 256
"""Pieces beyond one for each call: enough for the threads of a CPU to end together."""

_UNIT = 1024
"""A line of elements is cut where this divides: whole vectors, and whole lines of the cache."""

_CODES = {DType.F64: "d", DType.I64: "q", DType.BOOL: "?7x"}
"""How a scalar is packed into a slot; an address is a "Q"."""


def cpu_batch(
    artifact: Artifact, spec: KernelSpec, bindings: Sequence[Binding]
) -> Callable[..., int]:
    """What runs the calls of a compiled kernel with these bindings as one.

    It is given the scalars and addresses of one call after the other; 1 means that a call trapped.

    Raises:
        CompileError: the loop over the tables does not compile.
    """
    total = sum(binding.numel for binding in bindings)
    schedule = choose(spec, bindings[0].args, Target())
    assert isinstance(schedule, Schedule)
    elements = max(schedule.grain, -(-total // _MOST_PIECES))
    table: list[int] = []
    layouts = []
    for call, binding in enumerate(bindings):
        for layout, offsets in _pieces(binding, elements):
            layouts.append(_array(layout))
            table += [call, ctypes.addressof(layouts[-1]), *offsets]
    pieces = _array(table)
    parameters = artifact.source.parameters
    codes = [_CODES[p.dtype] if p.kind == "scalar" else "Q" for p in parameters[1:]]
    loop, kernel, where = _loop(parameters), artifact.address, ctypes.addressof(pieces)
    pack = struct.Struct("=" + "".join(codes) * len(bindings)).pack
    count, threads = len(layouts), total // schedule.grain + 1

    def run(*slots: Any) -> int:
        return loop(kernel, pack(*slots), where, count, threads)

    vars(run)["keepalive"] = (artifact, pieces, layouts)  # they live as long as the function does
    return run


def _array(numbers: Sequence[int]) -> ctypes.Array[ctypes.c_int64]:
    return (ctypes.c_int64 * max(len(numbers), 1))(*numbers)


def _pieces(binding: Binding, elements: int) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Layouts that together make up a binding's, with the offset in bytes of each tensor."""
    args, layout = binding.args, binding.layout
    if not args.ndim:
        yield layout, (0,) * len(args.tensors)
        return
    steps = _outermost_steps(args, layout)
    inner = math.prod(layout[1 : args.ndim])
    unit = _UNIT if args.ndim == 1 else 1
    length = max(-(-elements // (inner * unit)) * unit, 1)
    starts = [at for at, word in enumerate(layout_words(args)) if word.kind == "start"]
    moving = dict(zip(starts, steps[len(args.tensors) :], strict=True))
    for first in range(0, layout[0], length):
        moved = [number + first * moving.get(i, 0) for i, number in enumerate(layout)]
        moved[0] = min(length, layout[0] - first)
        offsets = (
            first * step * desc.dtype.itemsize
            for step, desc in zip(steps, args.tensors, strict=False)
        )
        yield tuple(moved), tuple(offsets)


def _outermost_steps(args: ArgSpec, layout: Sequence[int]) -> list[int]:
    """The stride in elements of each operand along the outermost dimension."""
    stated = {
        word.tensor: number
        for word, number in zip(layout_words(args), layout, strict=True)
        if word.kind == "stride" and word.dim == 0
    }
    known = {Stride.BROADCAST: 0, Stride.UNIT: 1}
    return [
        stated[i] if desc.strides[0] is Stride.STRIDED else known[desc.strides[0]]
        for i, desc in enumerate(args.operands)
    ]


@functools.lru_cache(maxsize=256)
def _loop(parameters: tuple[Parameter, ...]) -> Callable[[int, bytes, int, int, int], int]:
    """The compiled loop over tables, which releases the GIL while it runs."""
    artifact = LlvmJit().compile(batch_source(parameters))
    kinds = [ctypes.c_void_p] * 3 + [ctypes.c_int64] * 2
    function: Any = ctypes.CFUNCTYPE(ctypes.c_int32, *kinds)(artifact.address)
    function.keepalive = artifact
    return function  # type: ignore[no-any-return]
