"""Loops for machines that load and store any part of a vector at full speed (AVX-512).

Every step masks its loads and stores: the last one of a row is like the others.
"""

from __future__ import annotations

from collections.abc import Iterator

from fusekit.codegen.dialects.llvm_loops import Loops
from fusekit.codegen.dialects.llvm_tensors import Tensor
from fusekit.specs import Stride

__all__ = ["MaskedLoops"]


class MaskedLoops(Loops):
    """See the module."""

    def _load(self, tensor: Tensor, value: str) -> str:
        if tensor.inner is not Stride.UNIT:
            return f"  {value} = load {tensor.whole}, ptr {tensor.here}, align 64"
        return (
            f"  {value} = call {tensor.whole} @llvm.masked.load.{tensor.suffix}.p0(ptr "
            f"{tensor.here}, i32 {tensor.dtype.itemsize}, {self._mask}, "
            f"{tensor.whole} zeroinitializer)"
        )

    def _store(self, tensor: Tensor, value: str) -> str:
        if tensor.inner is not Stride.UNIT:
            return f"  store {tensor.whole} {value}, ptr {tensor.here}, align 64"
        return (
            f"  call void @llvm.masked.store.{tensor.suffix}.p0({tensor.whole} {value}, ptr "
            f"{tensor.here}, i32 {tensor.dtype.itemsize}, {self._mask})"
        )

    @property
    def _mask(self) -> str:
        return f"<{self._lanes} x i1> {self.ACTIVE}"

    def _buffers(self) -> Iterator[str]:
        for tensor in (*self.inputs, *self.outputs):
            if tensor.inner is not Stride.UNIT:
                yield f"  %{tensor.name}.pack = alloca {tensor.whole}, align 64"
        for tensor in self._strided_inputs:
            # lanes without an element compute on this, or on what was there before
            yield f"  store {tensor.whole} zeroinitializer, ptr %{tensor.name}.pack, align 64"

    def _step(self) -> Iterator[str]:
        yield ""
        yield "step:"
        yield from self._columns()
        yield f"  %many = call i64 @llvm.umin.i64(i64 %left, i64 {self._lanes})"
        yield from self._active_lanes("%many", self.ACTIVE)
        yield from self._contiguous("here")
        yield from self._to_body("step", "%many")
        yield ""
        yield "body:"

    def _after_body(self) -> Iterator[str]:
        yield f"  br label %{'scatter' if self._strided_outputs else 'onward'}"
        yield from self._onward("%many")

    def _coordinate_after(self, dim: int) -> str:
        return f"%i{dim}.below" if dim < self._inner else "0"
