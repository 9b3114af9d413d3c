"""The loops of an LLVM kernel with short rows that are read again and again: as one long row.

Where all tensors run on from row to row, but for inputs whose one row every row reads (a bias, the
mean of each channel), a vector need not end with a row. Those inputs are written to the stack as
often as fills a vector from any column on; `%phase` is the column of the current element.
"""

from __future__ import annotations

from collections.abc import Iterator

from fusekit.codegen.cpu_walks import LONGEST_PERIOD
from fusekit.codegen.dialects import llvm_lanes as lanes
from fusekit.codegen.dialects.llvm_loops import Loops
from fusekit.codegen.dialects.llvm_tensors import Tensor
from fusekit.codegen.schedule import Schedule
from fusekit.specs import ArgSpec

__all__ = ["PeriodicLoops"]


class PeriodicLoops(Loops):
    """Writes the blocks of a kernel's innermost function around its body."""

    def __init__(self, args: ArgSpec, schedule: Schedule, *, traps: bool) -> None:
        """Loops for arguments like `args`, of which all but the repeated ones are `flat`."""
        super().__init__(args, schedule, traps=traps)
        self._rows = False
        self._repeated = [
            tensor for tensor, desc in zip(self.inputs, args.inputs, strict=True) if not desc.flat
        ]

    def _buffers(self) -> Iterator[str]:
        yield from super()._buffers()
        for tensor in self._repeated:
            size = LONGEST_PERIOD + self._lanes
            yield f"  %{tensor.name}.wrap = alloca [{size} x {tensor.element}], align 64"

    def _begin(self) -> Iterator[str]:
        period = self._extents[-1]
        yield f"  %phase.first = urem i64 %first, {period}"
        yield f"  %hop = urem i64 {self._lanes}, {period}"
        yield f"  %wrap.size = add i64 {period}, {self._lanes}"
        yield "  br label %wrap"
        yield from lanes.loop("wrap", "entry", "wrapped", "%wrap.size", self._wrapped())
        yield ""
        yield "wrapped:"
        yield "  br label %step"

    def _wrapped(self) -> Iterator[str]:
        yield f"  %wrap.column = urem i64 %wrap.lane, {self._extents[-1]}"
        for tensor in self._repeated:
            name, element = f"%{tensor.name}.wrap", tensor.element
            yield f"  {name}.from = getelementptr {element}, ptr %{tensor.name}, i64 %wrap.column"
            yield f"  {name}.one = load {element}, ptr {name}.from"
            yield f"  {name}.to = getelementptr {element}, ptr {name}, i64 %wrap.lane"
            yield f"  store {element} {name}.one, ptr {name}.to"

    def _step_begins(self) -> Iterator[str]:
        period = self._extents[-1]
        yield "  %phase = phi i64 [ %phase.first, %wrapped ], [ %phase.next, %onward ]"
        yield "  %phase.moved = add i64 %phase, %hop"
        yield f"  %phase.wraps = icmp uge i64 %phase.moved, {period}"
        yield f"  %phase.less = sub i64 %phase.moved, {period}"
        yield "  %phase.next = select i1 %phase.wraps, i64 %phase.less, i64 %phase.moved"
        yield "  %phase.base = sub i64 %phase, %col"
        for tensor in self._repeated:
            name = f"%{tensor.name}"
            yield f"  {name}.row = getelementptr {tensor.element}, ptr {name}.wrap, i64 %phase.base"

    def _base(self, tensor: Tensor) -> str:
        return f"%{tensor.name}.row" if tensor in self._repeated else f"%{tensor.name}"

    @property
    def _start(self) -> tuple[str, str]:
        return "%first", "wrapped"
