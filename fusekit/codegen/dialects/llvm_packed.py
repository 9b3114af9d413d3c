"""Loops for machines that load and store whole vectors only.

    direct: a step that a row fills works on the tensors where they are.
    pack:   what is left of a row is copied to buffers of one vector each (fill), the body works on
            those, and the results are copied out (unpack). If a row is shorter than a vector, the
            buffers take as many rows as they hold.
"""

from __future__ import annotations

from collections.abc import Iterator

from fusekit.codegen.dialects import llvm_lanes as lanes
from fusekit.codegen.dialects.llvm_loops import Loops
from fusekit.codegen.dialects.llvm_tensors import Tensor
from fusekit.specs import Stride

__all__ = ["PackedLoops"]


class PackedLoops(Loops):
    """See the module."""

    _at_after = "%at.after"

    def _load(self, tensor: Tensor, value: str) -> str:
        align = tensor.dtype.itemsize
        return f"  {value} = load {tensor.whole}, ptr {tensor.here}, align {align}"

    def _store(self, tensor: Tensor, value: str) -> str:
        align = tensor.dtype.itemsize
        return f"  store {tensor.whole} {value}, ptr {tensor.here}, align {align}"

    def _buffers(self) -> Iterator[str]:
        for tensor in self.inputs:
            yield f"  %{tensor.name}.pack = alloca {tensor.whole}, align 64"
            # lanes without an element compute on this, or on what was there before
            yield f"  store {tensor.whole} zeroinitializer, ptr %{tensor.name}.pack, align 64"
        for tensor in self.outputs:
            yield f"  %{tensor.name}.pack = alloca {tensor.whole}, align 64"
            yield f"  %{tensor.name}.where = alloca <{self._lanes} x ptr>, align 64"

    def _step(self) -> Iterator[str]:
        yield ""
        yield "step:"
        yield from self._columns()
        yield f"  %whole = icmp uge i64 %left, {self._lanes}"
        yield "  br i1 %whole, label %direct, label %pack"
        yield ""
        yield "direct:"
        yield from self._contiguous("direct")
        yield from self._to_body("direct", str(self._lanes))
        yield from self._pack()
        yield from self._body()

    def _after_body(self) -> Iterator[str]:
        scatter = "scatter" if self._strided_outputs else "onward"
        yield f"  br i1 %whole, label %{scatter}, label %unpack"
        yield from self._onward(str(self._lanes))
        yield from lanes.loop("unpack", "body", self._row_end, "%many", self._unpack())

    def _coordinate_after(self, dim: int) -> str:
        return f"%i{dim}.after"

    def _pack(self) -> Iterator[str]:
        yield ""
        yield "pack:"
        if self._rows:
            yield f"  %short = icmp ult i64 {self._extents[-1]}, {self._lanes}"
            yield f"  %room = select i1 %short, i64 {self._lanes}, i64 %left"
            yield f"  %passed = sub i64 %col, %i{self._inner}"
            yield "  %at.col = add i64 %at, %passed"
            yield "  %rest = sub i64 %last, %at.col"
            yield "  %packed = call i64 @llvm.umin.i64(i64 %room, i64 %rest)"
            yield "  %at.packed = add i64 %at.col, %packed"
        if self._traps:
            yield from self._active_lanes(self._packed, "%active.packed")
        yield "  br label %fill"
        yield from lanes.loop("fill", "pack", "body", self._packed, self._fill())

    @property
    def _packed(self) -> str:
        """How many elements go through the buffers."""
        return "%packed" if self._rows else "%left"

    def _body(self) -> Iterator[str]:
        """The head of the body, where both ways meet."""
        direct = "gather" if self._strided_inputs else "direct"
        yield ""
        yield "body:"
        for tensor in (*self.inputs, *self.outputs):
            if tensor.inner is Stride.UNIT:
                x = f"%{tensor.name}"
                yield f"  {x}.here = phi ptr [ {x}.direct, %{direct} ], [ {x}.pack, %fill ]"
        yield f"  %many = phi i64 [ {self._lanes}, %{direct} ], [ {self._packed}, %fill ]"
        if self._rows:
            yield f"  %at.after = phi i64 [ %at.below, %{direct} ], [ %at.packed, %fill ]"
            for dim in range(self._inner + 1):
                i, below = f"%i{dim}", f"%i{dim}.below" if dim < self._inner else "0"
                yield f"  {i}.after = phi i64 [ {below}, %{direct} ], [ {i}.packed, %fill ]"
        if self._traps:
            every = f"<{self._lanes} x i1>"
            ways = f"[ splat (i1 true), %{direct} ], [ %active.packed, %fill ]"
            yield f"  {self.ACTIVE} = phi {every} {ways}"

    def _fill(self) -> Iterator[str]:
        counters = [f"%i{dim}.fill" for dim in range(self._inner + 1)]
        for dim, counter in enumerate(counters):
            start = f"%i{dim}" if dim < self._inner else "%col"
            yield f"  {counter} = phi i64 [ {start}, %pack ], [ %i{dim}.packed, %fill ]"
        for tensor in self.inputs:
            place = f"%{tensor.name}.fill"
            yield from tensor.place(f"%{tensor.name}", counters, place)
            yield from lanes.to_buffer(tensor, place, "fill")
        for tensor in self.outputs:
            place = f"%{tensor.name}.fill"
            yield from tensor.place(f"%{tensor.name}", counters, place)
            yield from lanes.remember(tensor, place)
        yield from self._advance(counters, "packed")

    def _unpack(self) -> Iterator[str]:
        for tensor in self.outputs:
            place = f"%{tensor.name}.unpack"
            yield from lanes.recall(tensor, place)
            yield from lanes.from_buffer(tensor, place, "unpack")
