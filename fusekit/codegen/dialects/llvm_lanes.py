"""How an LLVM kernel moves elements between tensors and its buffers, one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from fusekit.codegen.dialects.llvm_tensors import Tensor

__all__ = ["copies", "loop", "place_in_buffer"]


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
