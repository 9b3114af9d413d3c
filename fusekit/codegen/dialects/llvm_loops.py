"""The loops around the body of an LLVM kernel.

Elements are counted as if the iteration space were flat. The function that is written here computes
the elements [first, last). It walks row by row (a row is a run along the innermost dimension) and
each row in steps of a vector:

    row:     where does this row begin in each tensor?
    step:    is a whole vector left of it?
    direct:  yes: the body reads and writes contiguous tensors where they are
    pack:    no: what is left is copied to buffers of one vector each, the body works on those, and
             unpack copies the results out. If a row is shorter than a vector, the buffers take as
             many rows as they hold.
    body:    the instructions of the graph, which stand in the text only once

A tensor with a stride along the rows always goes through its buffer (gather, scatter), and one
that does not move along them fills its buffer once for each row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fusekit.codegen.dialects import llvm_lanes as lanes
from fusekit.codegen.dialects.llvm_tensors import extents, read_layout, tensors
from fusekit.ir import DType
from fusekit.specs import ArgSpec, Stride

__all__ = ["Loops"]


class Loops:
    """Writes the blocks of a kernel's innermost function around its body.

    Attributes:
        inputs: the tensors that are loaded.
        outputs: the tensors that are stored.
    """

    ACTIVE = "%active"
    """The vector of i1 that says which lanes hold an element; only in kernels that trap."""

    def __init__(self, args: ArgSpec, lanes: int, *, traps: bool) -> None:
        """Loops for arguments like `args`, in steps of `lanes`."""
        self.inputs, self.outputs = tensors(args, lanes)
        self._args = args
        self._lanes = lanes
        self._traps = traps
        self._extents = extents(args)
        self._inner = len(self._extents) - 1
        self._strided_inputs = [x for x in self.inputs if x.inner is Stride.STRIDED]
        self._strided_outputs = [x for x in self.outputs if x.inner is Stride.STRIDED]

    def load(self, index: int, value: str) -> list[str]:
        """The instructions of the body that load an input."""
        tensor = self.inputs[index]
        if tensor.dtype is not DType.BOOL:
            align = tensor.dtype.itemsize
            return [f"  {value} = load {tensor.whole}, ptr {tensor.here}, align {align}"]
        return [
            f"  {value}.byte = load {tensor.whole}, ptr {tensor.here}, align 1",
            f"  {value} = icmp ne {tensor.whole} {value}.byte, zeroinitializer",
        ]

    def store(self, index: int, value: str) -> list[str]:
        """The instructions of the body that store an output."""
        tensor = self.outputs[index]
        if tensor.dtype is not DType.BOOL:
            align = tensor.dtype.itemsize
            return [f"  store {tensor.whole} {value}, ptr {tensor.here}, align {align}"]
        byte = f"%{tensor.name}.byte"
        return [
            f"  {byte} = zext <{self._lanes} x i1> {value} to {tensor.whole}",
            f"  store {tensor.whole} {byte}, ptr {tensor.here}, align 1",
        ]

    def before(self, once: Sequence[str]) -> Iterator[str]:
        """The blocks up to the body; `once` is computed before the loops."""
        yield from self._entry(once)
        yield from self._row()
        yield from self._step()
        yield from self._direct()
        yield from self._pack()
        yield from self._body()

    def after(self) -> Iterator[str]:
        """The blocks from the end of the body."""
        scatter = "scatter" if self._strided_outputs else "onward"
        yield f"  br i1 %whole, label %{scatter}, label %unpack"
        yield from self._onward()
        yield from lanes.loop("unpack", "body", "row.end", "%many", self._unpack())
        yield from self._row_end()

    # the function and its rows

    def _entry(self, once: Sequence[str]) -> Iterator[str]:
        yield "entry:"
        yield from read_layout(self._args, strides=True)
        yield from self._buffers()
        yield from once
        rest = "%first"
        for dim in range(self._inner, 0, -1):  # the coordinates of the first element
            yield f"  %first.i{dim} = urem i64 {rest}, {self._extents[dim]}"
            yield f"  %first.above{dim} = udiv i64 {rest}, {self._extents[dim]}"
            rest = f"%first.above{dim}"
        yield "  br label %row"

    def _buffers(self) -> Iterator[str]:
        for tensor in self.inputs:
            yield f"  %{tensor.name}.pack = alloca {tensor.whole}, align 64"
            # lanes without an element compute on this, or on what was there before
            yield f"  store {tensor.whole} zeroinitializer, ptr %{tensor.name}.pack, align 64"
        for tensor in self.outputs:
            yield f"  %{tensor.name}.pack = alloca {tensor.whole}, align 64"
            yield f"  %{tensor.name}.where = alloca <{self._lanes} x ptr>, align 64"
        if self._traps:
            yield "  %trapped = alloca i1"
            yield "  store i1 false, ptr %trapped"

    def _row(self) -> Iterator[str]:
        yield ""
        yield "row:  ; a run along the innermost dimension"
        yield "  %at = phi i64 [ %first, %entry ], [ %at.after, %row.end ]"
        for dim in range(self._inner + 1):
            first = f"%first.i{dim}" if dim else f"%first.above{dim + 1}"
            first = first if self._inner else "%first"
            yield f"  %i{dim} = phi i64 [ {first}, %entry ], [ %i{dim}.after, %row.end ]"
        outer = [f"%i{dim}" for dim in range(self._inner)]
        for tensor in (*self.inputs, *self.outputs):
            yield from tensor.place(f"%{tensor.name}", [*outer, "0"], f"%{tensor.name}.row")
            if tensor.inner is Stride.BROADCAST:
                yield from lanes.repeat_first(tensor)
        yield f"  %row.left = sub i64 {self._extents[-1]}, %i{self._inner}"
        yield "  %range.left = sub i64 %last, %at"
        yield "  %span = call i64 @llvm.umin.i64(i64 %row.left, i64 %range.left)"
        yield f"  %stop = add i64 %i{self._inner}, %span"
        yield "  %at.below = add i64 %at, %span"
        yield from self._advance(outer, "below")
        yield "  br label %step"

    def _row_end(self) -> Iterator[str]:
        yield ""
        yield "row.end:"
        yield "  %more.rows = icmp ult i64 %at.after, %last"
        yield "  br i1 %more.rows, label %row, label %done"
        yield ""
        yield "done:"
        if self._traps:
            yield "  %any = load i1, ptr %trapped"
            yield "  %answer = zext i1 %any to i32"
        yield f"  ret i32 {'%answer' if self._traps else 0}"

    def _advance(self, counters: Sequence[str], name: str) -> Iterator[str]:
        """Count the last of the counters up, with carries; %i<dim>.<name> are their new values."""
        carry = "1"
        for dim in range(len(counters) - 1, -1, -1):
            new = f"%i{dim}.{name}"
            if dim == 0:
                yield f"  {new} = add i64 {counters[dim]}, {carry}"
                return
            yield f"  {new}.up = add i64 {counters[dim]}, {carry}"
            yield f"  {new}.full = icmp eq i64 {new}.up, {self._extents[dim]}"
            yield f"  {new} = select i1 {new}.full, i64 0, i64 {new}.up"
            yield f"  {new}.carry = zext i1 {new}.full to i64"
            carry = f"{new}.carry"

    # steps of a whole vector

    def _step(self) -> Iterator[str]:
        yield ""
        yield "step:"
        yield f"  %col = phi i64 [ %i{self._inner}, %row ], [ %col.next, %onward ]"
        yield "  %left = sub i64 %stop, %col"
        yield f"  %whole = icmp uge i64 %left, {self._lanes}"
        yield "  br i1 %whole, label %direct, label %pack"

    def _direct(self) -> Iterator[str]:
        yield ""
        yield "direct:  ; a whole vector, where it is"
        for tensor in (*self.inputs, *self.outputs):
            if tensor.inner is Stride.UNIT:
                row = f"%{tensor.name}.row"
                yield from tensor.place(row, ["%col"], f"%{tensor.name}.direct")
        if self._strided_inputs:
            yield "  br label %gather"
            count = str(self._lanes)
            yield from lanes.loop("gather", "direct", "body", count, self._gather())
        else:
            yield "  br label %body"

    def _body(self) -> Iterator[str]:
        direct = "gather" if self._strided_inputs else "direct"
        yield ""
        yield "body:"
        for tensor in (*self.inputs, *self.outputs):
            if tensor.inner is Stride.UNIT:
                name = f"%{tensor.name}"
                yield f"  {name}.here = phi ptr [ {name}.direct, %{direct} ], [ {name}.pack, %fill ]"
        yield f"  %many = phi i64 [ {self._lanes}, %{direct} ], [ %many.packed, %fill ]"
        yield f"  %at.after = phi i64 [ %at.below, %{direct} ], [ %at.packed, %fill ]"
        for dim in range(self._inner + 1):
            below = f"%i{dim}.below" if dim < self._inner else "0"
            after = f"%i{dim}.after"
            yield f"  {after} = phi i64 [ {below}, %{direct} ], [ %i{dim}.packed, %fill ]"
        if self._traps:
            everywhere = f"<{self._lanes} x i1>"
            yield (
                f"  {self.ACTIVE} = phi {everywhere} [ splat (i1 true), %{direct} ], "
                "[ %active.packed, %fill ]"
            )

    def _onward(self) -> Iterator[str]:
        if self._strided_outputs:
            count = str(self._lanes)
            yield from lanes.loop("scatter", "body", "onward", count, self._scatter())
        yield ""
        yield "onward:"
        yield f"  %col.next = add i64 %col, {self._lanes}"
        yield "  %more = icmp ult i64 %col.next, %stop"
        yield "  br i1 %more, label %step, label %row.end"

    # steps through the buffers

    def _pack(self) -> Iterator[str]:
        yield ""
        yield "pack:  ; what is left of this row, or as many short rows as fill a vector"
        yield f"  %short = icmp ult i64 {self._extents[-1]}, {self._lanes}"
        yield f"  %room = select i1 %short, i64 {self._lanes}, i64 %left"
        yield f"  %passed = sub i64 %col, %i{self._inner}"
        yield "  %at.col = add i64 %at, %passed"
        yield "  %rest = sub i64 %last, %at.col"
        yield "  %many.packed = call i64 @llvm.umin.i64(i64 %room, i64 %rest)"
        yield "  %at.packed = add i64 %at.col, %many.packed"
        if self._traps:
            yield from self._active_lanes()
        yield "  br label %fill"
        yield from lanes.loop("fill", "pack", "body", "%many.packed", self._fill())

    def _active_lanes(self) -> Iterator[str]:
        lanes = self._lanes
        word = f"i{lanes}"
        yield f"  %idle = sub i64 {lanes}, %many.packed"
        convert = "trunc" if lanes < 64 else "bitcast" if lanes == 64 else "zext"
        yield f"  %idle.word = {convert} i64 %idle to {word}"
        yield f"  %active.word = lshr {word} -1, %idle.word"
        yield f"  %active.packed = bitcast {word} %active.word to <{lanes} x i1>"

    # one lane at a time

    def _gather(self) -> Iterator[str]:
        yield "  %gather.col = add i64 %col, %gather.lane"
        for tensor in self._strided_inputs:
            place = f"%{tensor.name}.gather"
            yield from tensor.place(f"%{tensor.name}.row", ["%gather.col"], place)
            yield from lanes.to_buffer(tensor, place, "gather")

    def _scatter(self) -> Iterator[str]:
        yield "  %scatter.col = add i64 %col, %scatter.lane"
        for tensor in self._strided_outputs:
            place = f"%{tensor.name}.scatter"
            yield from tensor.place(f"%{tensor.name}.row", ["%scatter.col"], place)
            yield from lanes.from_buffer(tensor, place, "scatter")

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
