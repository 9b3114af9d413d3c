"""The loops around the body of an LLVM kernel.

Elements are counted as if the iteration space were flat. The function that is written here computes
the elements [first, last). It walks row by row (a row is a run along the innermost dimension; there
is only one if there is only one dimension), and each row in steps of a vector:

    row:     where does this row begin in each tensor?
    step:    where are the elements of this step?
    gather:  elements with a stride along the row, one by one into a buffer
    body:    the instructions of the graph, which stand in the text only once
    scatter: results with a stride along the row, one by one out of their buffer
    onward:  the next step

Rows that are no multiple of a vector need more than that. There are two ways, one for machines that
can load and store a part of a vector (llvm_masked), one for the others (llvm_packed).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fusekit.codegen.dialects import llvm_lanes as lanes
from fusekit.codegen.dialects.llvm_tensors import Tensor, extents, read_layout, tensors
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
    """The vector of i1 that says which lanes hold an element."""

    def __init__(self, args: ArgSpec, lanes: int, *, traps: bool) -> None:
        """Loops for arguments like `args`, in steps of `lanes`."""
        self.inputs, self.outputs = tensors(args, lanes)
        self._args = args
        self._lanes = lanes
        self._traps = traps
        self._extents = extents(args)
        self._inner = len(self._extents) - 1
        self._rows = self._inner > 0
        self._strided_inputs = [x for x in self.inputs if x.inner is Stride.STRIDED]
        self._strided_outputs = [x for x in self.outputs if x.inner is Stride.STRIDED]

    # what a way to treat incomplete vectors has to say

    def _load(self, tensor: Tensor, value: str) -> str:
        """The instruction of the body that loads a vector of a tensor's elements."""
        raise NotImplementedError

    def _store(self, tensor: Tensor, value: str) -> str:
        """The instruction of the body that stores one."""
        raise NotImplementedError

    def _buffers(self) -> Iterator[str]:
        """Room on the stack."""
        raise NotImplementedError

    def _step(self) -> Iterator[str]:
        """From the row to the first instruction of the body."""
        raise NotImplementedError

    def _after_body(self) -> Iterator[str]:
        """From the last instruction of the body to the row's end."""
        raise NotImplementedError

    def _coordinate_after(self, dim: int) -> str:
        """A coordinate of the element that comes after the row (or after what was packed)."""
        raise NotImplementedError

    # the body

    def load(self, index: int, value: str) -> list[str]:
        """The instructions of the body that load an input."""
        tensor = self.inputs[index]
        if tensor.dtype is not DType.BOOL:
            return [self._load(tensor, value)]
        return [
            self._load(tensor, f"{value}.byte"),
            f"  {value} = icmp ne {tensor.whole} {value}.byte, zeroinitializer",
        ]

    def store(self, index: int, value: str) -> list[str]:
        """The instructions of the body that store an output."""
        tensor = self.outputs[index]
        if tensor.dtype is not DType.BOOL:
            return [self._store(tensor, value)]
        byte = f"%{tensor.name}.byte"
        return [
            f"  {byte} = zext <{self._lanes} x i1> {value} to {tensor.whole}",
            self._store(tensor, byte),
        ]

    def before(self, once: Sequence[str]) -> Iterator[str]:
        """The blocks up to the body; `once` is computed before the loops."""
        yield from self._entry(once)
        if self._rows:
            yield from self._row()
        yield from self._step()

    def after(self) -> Iterator[str]:
        """The blocks from the end of the body."""
        yield from self._after_body()
        if self._rows:
            yield ""
            yield "row.end:"
            yield f"  %more.rows = icmp ult i64 {self._at_after}, %last"
            yield "  br i1 %more.rows, label %row, label %done"
        yield ""
        yield "done:"
        if self._traps:
            yield "  %any = load i1, ptr %trapped"
            yield "  %answer = zext i1 %any to i32"
        yield f"  ret i32 {'%answer' if self._traps else 0}"

    # the function and its rows

    _at_after = "%at.below"
    """The number of the element that comes after the row (or after what was packed)."""

    def _entry(self, once: Sequence[str]) -> Iterator[str]:
        yield "entry:"
        yield from read_layout(self._args, strides=True)
        yield from self._buffers()
        if self._traps:
            yield "  %trapped = alloca i1"
            yield "  store i1 false, ptr %trapped"
        yield from once
        rest = "%first"
        for dim in range(self._inner, 0, -1):  # the coordinates of the first element
            above = f"%first.above{dim}" if dim > 1 else "%first.i0"
            yield f"  %first.i{dim} = urem i64 {rest}, {self._extents[dim]}"
            yield f"  {above} = udiv i64 {rest}, {self._extents[dim]}"
            rest = above
        if not self._rows:
            yield from self._repeat_first()
        yield f"  br label %{'row' if self._rows else 'step'}"

    def _row(self) -> Iterator[str]:
        yield ""
        yield "row:"
        yield f"  %at = phi i64 [ %first, %entry ], [ {self._at_after}, %row.end ]"
        for dim in range(self._inner + 1):
            after = self._coordinate_after(dim)
            yield f"  %i{dim} = phi i64 [ %first.i{dim}, %entry ], [ {after}, %row.end ]"
        outer = [f"%i{dim}" for dim in range(self._inner)]
        for tensor in (*self.inputs, *self.outputs):
            yield from tensor.place(f"%{tensor.name}", [*outer, "0"], self._base(tensor))
        yield from self._repeat_first()
        yield f"  %row.left = sub i64 {self._extents[-1]}, %i{self._inner}"
        yield "  %range.left = sub i64 %last, %at"
        yield "  %span = call i64 @llvm.umin.i64(i64 %row.left, i64 %range.left)"
        yield f"  %stop = add i64 %i{self._inner}, %span"
        yield "  %at.below = add i64 %at, %span"
        yield from self._advance(outer, "below")
        yield "  br label %step"

    def _base(self, tensor: Tensor) -> str:
        """Where the current row begins."""
        return f"%{tensor.name}.row" if self._rows else f"%{tensor.name}"

    def _repeat_first(self) -> Iterator[str]:
        """A tensor that does not move along the row is a buffer full of one element."""
        for tensor in self.inputs:
            if tensor.inner is Stride.BROADCAST:
                yield from lanes.repeat_first(tensor, self._base(tensor))

    def _advance(self, counters: Sequence[str], name: str) -> Iterator[str]:
        """Count the last of the counters up, with carries; %i<dim>.<name> are their new values."""
        carry = "1"
        for dim in range(len(counters) - 1, 0, -1):
            new = f"%i{dim}.{name}"
            yield f"  {new}.up = add i64 {counters[dim]}, {carry}"
            yield f"  {new}.full = icmp eq i64 {new}.up, {self._extents[dim]}"
            yield f"  {new} = select i1 {new}.full, i64 0, i64 {new}.up"
            yield f"  {new}.carry = zext i1 {new}.full to i64"
            carry = f"{new}.carry"
        yield f"  %i0.{name} = add i64 {counters[0]}, {carry}"

    # steps

    @property
    def _row_end(self) -> str:
        """Where to go at the end of a row."""
        return "row.end" if self._rows else "done"

    @property
    def _stop(self) -> str:
        """The column where the current row, or what is asked of it, ends."""
        return "%stop" if self._rows else "%last"

    def _columns(self) -> Iterator[str]:
        """The step's place in its row, and what is left of that."""
        start, origin = (f"%i{self._inner}", "row") if self._rows else ("%first", "entry")
        yield f"  %col = phi i64 [ {start}, %{origin} ], [ %col.next, %onward ]"
        yield f"  %left = sub i64 {self._stop}, %col"

    def _contiguous(self, name: str) -> Iterator[str]:
        """The current addresses of contiguous tensors, %<tensor>.<name>."""
        for tensor in (*self.inputs, *self.outputs):
            if tensor.inner is Stride.UNIT:
                yield from tensor.place(self._base(tensor), ["%col"], f"%{tensor.name}.{name}")

    def _to_body(self, origin: str, count: str) -> Iterator[str]:
        """From the block `origin` to the body, by way of gather where there is need."""
        if self._strided_inputs:
            yield "  br label %gather"
            yield from lanes.loop("gather", origin, "body", count, self._gather())
        else:
            yield "  br label %body"

    def _onward(self, count: str) -> Iterator[str]:
        if self._strided_outputs:
            yield from lanes.loop("scatter", "body", "onward", count, self._scatter())
        yield ""
        yield "onward:"
        yield f"  %col.next = add i64 %col, {self._lanes}"
        yield f"  %more = icmp ult i64 %col.next, {self._stop}"
        yield f"  br i1 %more, label %step, label %{self._row_end}"

    def _gather(self) -> Iterator[str]:
        yield "  %gather.col = add i64 %col, %gather.lane"
        for tensor in self._strided_inputs:
            place = f"%{tensor.name}.gather"
            yield from tensor.place(self._base(tensor), ["%gather.col"], place)
            yield from lanes.to_buffer(tensor, place, "gather")

    def _scatter(self) -> Iterator[str]:
        yield "  %scatter.col = add i64 %col, %scatter.lane"
        for tensor in self._strided_outputs:
            place = f"%{tensor.name}.scatter"
            yield from tensor.place(self._base(tensor), ["%scatter.col"], place)
            yield from lanes.from_buffer(tensor, place, "scatter")

    def _active_lanes(self, count: str, name: str) -> Iterator[str]:
        """`name`: the vector of i1 whose first `count` lanes (at least one) are true."""
        word = f"i{self._lanes}"
        convert = "trunc" if self._lanes < 64 else "bitcast" if self._lanes == 64 else "zext"
        yield f"  %idle = sub i64 {self._lanes}, {count}"
        yield f"  %idle.{word} = {convert} i64 %idle to {word}"
        yield f"  {name}.{word} = lshr {word} -1, %idle.{word}"
        yield f"  {name} = bitcast {word} {name}.{word} to <{self._lanes} x i1>"
