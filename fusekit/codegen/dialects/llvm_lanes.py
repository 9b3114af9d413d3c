"""How an LLVM kernel moves the rest of a row between tensors and its buffers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from fusekit.codegen.dialects import llvm_types as types
from fusekit.codegen.dialects.llvm_tensors import Tensor
from fusekit.ir import DType

__all__ = ["copies", "first_lanes", "loop", "masked_moves", "place_in_buffer"]


def loop(label: str, origin: str, target: str, count: str, lines: Iterable[str]) -> Iterator[str]:
    """The block `label` between two others, repeated for %<label>.lane from 0 to `count`."""
    lane = f"%{label}.lane"
    yield ""
    yield f"{label}:"
    yield f"  {lane} = phi i64 [ 0, %{origin} ], [ {lane}.next, %{label} ]"
    yield from lines
    yield f"  {lane}.next = add i64 {lane}, 1"
    yield f"  {lane}.more = icmp ult i64 {lane}.next, {count}"
    yield f"  br i1 {lane}.more, label %{label}, label %{target}"


def place_in_buffer(label: str, slot: str) -> str:
    """Where the current element of `loop` stands in the buffers, of which `slot` is the first."""
    return f"%{label}.lane" if slot == "0" else f"%{label}.index"


def copies(
    label: str,
    moved: Sequence[tuple[Tensor, str]],
    counters: Sequence[str],
    slot: str,
    *,
    out: bool,
) -> Iterator[str]:
    """The lines of `loop` that copy an element of each tensor to its buffer, or `out` of it.

    The first is the one at `counters`, counted from the address that comes with the tensor; it
    belongs at `slot` of the buffer.
    """
    *outer, column = counters
    yield f"  %{label}.col = add i64 {column}, %{label}.lane"
    index = place_in_buffer(label, slot)
    if slot != "0":
        yield f"  {index} = add i64 {slot}, %{label}.lane"
    for tensor, base in moved:
        place = f"%{tensor.name}.{label}"
        one, kept = f"{place}.one", f"{place}.slot"
        yield from tensor.place(base, [*outer, f"%{label}.col"], place)
        yield f"  {kept} = getelementptr {tensor.element}, ptr %{tensor.name}.pack, i64 {index}"
        source, sink = (kept, place) if out else (place, kept)
        yield f"  {one} = load {tensor.element}, ptr {source}"
        yield f"  store {tensor.element} {one}, ptr {sink}"


def first_lanes(name: str, count: str, width: int) -> Iterator[str]:
    """The vector `name` of i1 whose first `count` lanes are true: at least one, and at most all."""
    word = f"i{width}"
    convert = "trunc" if width < 64 else "bitcast" if width == 64 else "zext"
    yield f"  {name}.idle = sub i64 {width}, {count}"
    yield f"  {name}.idle.word = {convert} i64 {name}.idle to {word}"
    yield f"  {name}.word = lshr {word} -1, {name}.idle.word"
    yield f"  {name} = bitcast {word} {name}.word to <{width} x i1>"


def masked_moves(
    label: str,
    moved: Sequence[tuple[Tensor, str]],
    counters: Sequence[str],
    slot: str,
    *,
    out: bool,
) -> Iterator[str]:
    """Copy the elements of `%<label>.mask` of each tensor to its buffer, or `out` of it.

    The rest of the address is as in `copies`; in the buffer, a whole vector is moved.
    """
    for tensor, base in moved:
        place = f"%{tensor.name}.{label}"
        value, kept = f"{place}.some", f"{place}.slot"
        mask = f"<{tensor.lanes} x i1> %{label}.mask"
        suffix, size = types.suffix(tensor.dtype, tensor.lanes), tensor.dtype.itemsize
        suffix = suffix.replace("i1", "i8") if tensor.dtype is DType.BOOL else suffix
        yield from tensor.place(base, counters, place)
        yield f"  {kept} = getelementptr {tensor.element}, ptr %{tensor.name}.pack, i64 {slot}"
        if out:
            yield tensor.load(value, kept)
            yield (
                f"  call void @llvm.masked.store.{suffix}.p0"
                f"({tensor.whole} {value}, ptr {place}, i32 {size}, {mask})"
            )
        else:
            yield (
                f"  {value} = call {tensor.whole} @llvm.masked.load.{suffix}.p0"
                f"(ptr {place}, i32 {size}, {mask}, {tensor.whole} zeroinitializer)"
            )
            yield tensor.store(value, kept)
