"""Elements that are asked for before they are read.

Processors see by themselves how a few inputs go on, within a page. Many inputs whose rows are
pieces of longer ones, like the gates of an LSTM, leave them behind: each row is a new beginning, of
each input. So a step asks for what lies a row further on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fusekit.codegen.dialects.llvm_tensors import Tensor
from fusekit.specs import Stride

__all__ = ["LINE", "next_rows", "prefetch"]

LINE = 64
"""Bytes of a cache line."""

_MANY = 4
"""Inputs from which it pays: 9 in an LSTM cell took a third to two thirds off; 2 lost a fifth where
they were in the cache already.
"""


def prefetch(place: str) -> str:
    """The instruction that asks for the line at an address."""
    return f"  call void @llvm.prefetch.p0(ptr {place}, i32 0, i32 3, i32 1)"


def next_rows(inputs: Sequence[Tensor]) -> Iterator[str]:
    """Ask for the lines a row after those at %<name>.direct, of each input with rows of its own."""
    moving = [x for x in inputs if x.inner is Stride.UNIT and x.strides[-2:-1] not in ((), ("0",))]
    if len(moving) < _MANY:
        return
    for tensor in moving:
        row = f"%{tensor.name}.ahead"
        origin, stride = f"%{tensor.name}.direct", tensor.strides[-2]
        yield f"  {row} = getelementptr {tensor.element}, ptr {origin}, i64 {stride}"
        for at in range(0, tensor.lanes * tensor.dtype.itemsize, LINE):
            yield f"  {row}.at{at} = getelementptr i8, ptr {row}, i64 {at}"
            yield prefetch(f"{row}.at{at}")
