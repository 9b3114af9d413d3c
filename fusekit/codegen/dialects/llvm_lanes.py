"""What an LLVM kernel does one element at a time: moving elements between tensors and buffers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fusekit.codegen.dialects.llvm_tensors import Tensor

__all__ = ["from_buffer", "loop", "recall", "remember", "repeat_first", "to_buffer"]

_PURPOSES = {
    "gather": "elements that lie apart, into the buffers",
    "scatter": "results out of the buffers, to where they lie apart",
    "fill": "elements into the buffers, and where the results will go",
    "unpack": "results out of the buffers",
}


def loop(label: str, origin: str, target: str, count: str, lines: Iterable[str]) -> Iterator[str]:
    """The block `label` between two others, repeated for %<label>.lane from 0 to `count`."""
    lane = f"%{label}.lane"
    yield ""
    yield f"{label}:  ; {_PURPOSES[label]}"
    yield f"  {lane} = phi i64 [ 0, %{origin} ], [ {lane}.next, %{label} ]"
    yield from lines
    yield f"  {lane}.next = add i64 {lane}, 1"
    yield f"  {lane}.more = icmp ult i64 {lane}.next, {count}"
    yield f"  br i1 {lane}.more, label %{label}, label %{target}"


def to_buffer(tensor: Tensor, place: str, label: str) -> Iterator[str]:
    """Copy the element at `place` to this lane of the tensor's buffer."""
    one, slot = f"{place}.one", f"{place}.slot"
    yield f"  {one} = load {tensor.element}, ptr {place}"
    yield f"  {slot} = getelementptr {tensor.element}, ptr %{tensor.name}.pack, i64 %{label}.lane"
    yield f"  store {tensor.element} {one}, ptr {slot}"


def from_buffer(tensor: Tensor, place: str, label: str) -> Iterator[str]:
    """Copy this lane of the tensor's buffer to `place`."""
    one, slot = f"{place}.one", f"{place}.slot"
    yield f"  {slot} = getelementptr {tensor.element}, ptr %{tensor.name}.pack, i64 %{label}.lane"
    yield f"  {one} = load {tensor.element}, ptr {slot}"
    yield f"  store {tensor.element} {one}, ptr {place}"


def remember(tensor: Tensor, place: str) -> Iterator[str]:
    """Note that this lane's result belongs at `place`."""
    yield f"  {place}.slot = getelementptr ptr, ptr %{tensor.name}.where, i64 %fill.lane"
    yield f"  store ptr {place}, ptr {place}.slot"


def recall(tensor: Tensor, place: str) -> Iterator[str]:
    """Look up the `place` of this lane's result."""
    yield f"  {place}.note = getelementptr ptr, ptr %{tensor.name}.where, i64 %unpack.lane"
    yield f"  {place} = load ptr, ptr {place}.note"


def repeat_first(tensor: Tensor, place: str) -> Iterator[str]:
    """Fill the buffer of a tensor with its element at `place`."""
    name, whole = f"%{tensor.name}", tensor.whole
    every = f"<{tensor.lanes} x i32> zeroinitializer"
    yield f"  {name}.one = load {tensor.element}, ptr {place}"
    yield f"  {name}.lane = insertelement {whole} poison, {tensor.element} {name}.one, i64 0"
    yield f"  {name}.all = shufflevector {whole} {name}.lane, {whole} poison, {every}"
    yield f"  store {whole} {name}.all, ptr {name}.pack, align 64"
