"""How an LLVM kernel counts elements: an index is computed from the coordinates into a buffer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fusekit.codegen.dialects.llvm_tensors import Tensor

__all__ = ["buffer", "one", "vector"]


def buffer(index: Tensor) -> str:
    """Where the body finds its current values."""
    return f"%{index.name}.pack"


def vector(index: Tensor, counters: Sequence[str]) -> Iterator[str]:
    """Fill the buffer for a whole step along the row, which begins where the counters say."""
    name, lanes = f"%{index.name}.direct", range(index.lanes)
    yield from _number(index, counters, name)
    yield f"  {name}.lane = insertelement {index.whole} poison, i64 {name}, i64 0"
    every = f"<{index.lanes} x i32> zeroinitializer"
    yield f"  {name}.all = shufflevector {index.whole} {name}.lane, {index.whole} poison, {every}"
    step = index.strides[-1]
    yield f"  {name}.by = insertelement {index.whole} poison, i64 {step}, i64 0"
    yield f"  {name}.step = shufflevector {index.whole} {name}.by, {index.whole} poison, {every}"
    count = ", ".join(f"i64 {lane}" for lane in lanes)
    yield f"  {name}.moved = mul {index.whole} {name}.step, <{count}>"
    yield f"  {name}.values = add {index.whole} {name}.all, {name}.moved"
    yield index.store(f"{name}.values", buffer(index))


def one(index: Tensor, counters: Sequence[str], slot: str) -> Iterator[str]:
    """Fill one slot of the buffer with the value where the counters say."""
    name = f"%{index.name}.fill"
    yield from _number(index, counters, name)
    yield f"  {name}.slot = getelementptr i64, ptr {buffer(index)}, i64 {slot}"
    yield f"  store i64 {name}, ptr {name}.slot"


def _number(index: Tensor, counters: Sequence[str], name: str) -> Iterator[str]:
    lines, offset = index.offset(counters, name)
    yield from lines
    yield f"  {name} = add i64 %{index.name}.start, {offset}"
