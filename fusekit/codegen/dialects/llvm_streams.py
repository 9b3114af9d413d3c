"""Streaming stores: large results go to memory past the caches.

An ordinary store first reads the line that it writes to, and drives out of the cache what may still
be wanted. Whether a call is large is known when the kernel runs, since a kernel is for all sizes;
one branch in each step, the same way every time, costs nothing beside that. What is written
in place has just been read, so its lines are in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fusekit.codegen.dialects.llvm_tensors import Tensor
from fusekit.ir import DType
from fusekit.specs import Stride

__all__ = ["Streams"]

_LINE = 64
"""Bytes of a cache line: only whole ones may be streamed."""


class Streams:
    """Writes the stores that may stream, and what they need around them.

    Attributes:
        end: the label of the block in which the body ends.
    """

    def __init__(self, begin: int, extents: Sequence[str], outputs: Sequence[Tensor]) -> None:
        """Stream from `begin` elements on; never if that is 0."""
        self._begin = begin
        self._extents = extents
        self._outputs = [x for x in outputs if begin and _is_fit(x)]
        self.end = f"{self._outputs[-1].name}.stored" if self._outputs else "body"

    @property
    def metadata(self) -> tuple[str, ...]:
        """What the module must define."""
        return ("", "!0 = !{i32 1}") if self._outputs else ()

    def take(self, tensor: Tensor) -> bool:
        """Whether a store to `tensor` may stream."""
        return tensor in self._outputs

    def decide(self) -> Iterator[str]:
        """%large: whether this call is."""
        if not self._outputs:
            return
        numel = self._extents[0]
        for dim, extent in enumerate(self._extents[1:], start=1):
            yield f"  %numel.{dim} = mul i64 {numel}, {extent}"
            numel = f"%numel.{dim}"
        yield f"  %large = icmp uge i64 {numel}, {self._begin}"

    def store(self, tensor: Tensor, value: str) -> Iterator[str]:
        """Store a vector; past the caches if it is whole, on whole lines, and the call large."""
        name = f"%{tensor.name}"
        yield f"  {name}.at = ptrtoint ptr {tensor.here} to i64"
        yield f"  {name}.within = and i64 {name}.at, {_LINE - 1}"
        yield f"  {name}.lined = icmp eq i64 {name}.within, 0"
        yield f"  {name}.may = and i1 {name}.lined, %whole"
        yield f"  {name}.streams = and i1 {name}.may, %large"
        yield f"  br i1 {name}.streams, label {name}.stream, label {name}.keep"
        yield f"{tensor.name}.stream:"
        yield f"  store {tensor.whole} {value}, ptr {tensor.here}, align {_LINE}, !nontemporal !0"
        yield f"  br label {name}.stored"
        yield f"{tensor.name}.keep:"
        yield tensor.store(value, tensor.here)
        yield f"  br label {name}.stored"
        yield f"{tensor.name}.stored:"

    def drain(self) -> Iterator[str]:
        """Streamed stores come in any order: whoever is told of the end must see them all."""
        if not self._outputs:
            return
        yield "  br i1 %large, label %drain, label %drained"
        yield "drain:"
        yield "  fence seq_cst"
        yield "  br label %drained"
        yield "drained:"


def _is_fit(tensor: Tensor) -> bool:
    whole_lines = tensor.lanes * tensor.dtype.itemsize % _LINE == 0
    return whole_lines and tensor.inner is Stride.UNIT and tensor.dtype is not DType.BOOL
