"""The loops around the body of an LLVM kernel.

Elements are counted as if the iteration space were flat. The function that is written here computes
the elements [first, last). It walks row by row (a row is a run along the innermost dimension; there
is only one if there is only one dimension), and each row in steps of a vector:

    row:     where does this row begin in each tensor?
    step:    is a whole vector left of it?
    direct:  yes: the body reads and writes contiguous tensors where they are
    gather:       and others in buffers on the stack, filled by shuffles or one element at a time
    pack:    no: what is left of the row, or as many rows as fit if they are shorter than a vector,
    fill:         is copied to the buffers, piece by piece, and the body works on those
    body:    the instructions of the graph, which stand in the text only once
    scatter: results that do not lie together, out of their buffers
    unpack:  results that were packed, out of their buffers
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from fusekit.codegen.dialects import llvm_indices as indices
from fusekit.codegen.dialects import llvm_lanes as lanes
from fusekit.codegen.dialects.llvm_picks import picked
from fusekit.codegen.dialects.llvm_prefetch import next_rows
from fusekit.codegen.dialects.llvm_streams import Streams
from fusekit.codegen.dialects.llvm_tensors import Tensor, extents, read_layout, tensors
from fusekit.codegen.schedule import Schedule
from fusekit.ir import DType
from fusekit.specs import ArgSpec, Stride

__all__ = ["Loops"]

_LEAST_MASKED = 16
"""Elements of a row from which moving them as a vector beats one at a time where several rows make
up a step: what was stored so has to reach the cache before the body can load it as one."""


class Loops:
    """Writes the blocks of a kernel's innermost function around its body.

    Attributes:
        inputs: the tensors that are loaded.
        indices: numbers that are computed from the coordinates, always in a buffer.
        outputs: the tensors that are stored.
    """

    ACTIVE = "%active"
    """The vector of i1 that says which lanes hold an element; only in kernels that trap."""

    def __init__(self, args: ArgSpec, schedule: Schedule, *, traps: bool) -> None:
        """Loops for arguments like `args`; `traps` asks for ACTIVE."""
        self.inputs, self.outputs, self.indices = tensors(args, schedule.lanes)
        self._args = args
        self._lanes = schedule.lanes
        self._masked = schedule.masked
        self._traps = traps
        self._extents = extents(args)
        self._inner = len(self._extents) - 1
        self._outer = [f"%i{dim}" for dim in range(self._inner)]
        self._rows = self._inner > 0
        fresh = [x for i, x in enumerate(self.outputs) if i not in dict(args.in_place).values()]
        self._streams = Streams(schedule.streams_from, self._extents, fresh)
        self._strided_inputs = [x for x in self.inputs if x.inner is Stride.STRIDED and not x.step]
        self._strided_outputs = [x for x in self.outputs if x.inner is Stride.STRIDED]

    @property
    def helpers(self) -> Iterable[tuple[str, list[str]]]:
        """The functions that the loops call, by name."""
        return ()

    @property
    def metadata(self) -> tuple[str, ...]:
        """What stands at the end of the module."""
        return self._streams.metadata

    # the body

    def index(self, position: int, value: str) -> list[str]:
        """The instruction of the body that loads an index."""
        tensor = self.indices[position]
        return [tensor.load(value, indices.buffer(tensor))]

    def load(self, index: int, value: str) -> list[str]:
        """The instructions of the body that load an input."""
        tensor = self.inputs[index]
        if tensor.dtype is not DType.BOOL:
            return [tensor.load(value, tensor.here)]
        return [
            tensor.load(f"{value}.byte", tensor.here),
            f"  {value} = icmp ne {tensor.whole} {value}.byte, zeroinitializer",
        ]

    def store(self, index: int, value: str) -> list[str]:
        """The instructions of the body that store an output."""
        tensor = self.outputs[index]
        if self._streams.take(tensor):
            return list(self._streams.store(tensor, value))
        if tensor.dtype is not DType.BOOL:
            return [tensor.store(value, tensor.here)]
        byte = f"%{tensor.name}.byte"
        return [
            f"  {byte} = zext <{self._lanes} x i1> {value} to {tensor.whole}",
            tensor.store(byte, tensor.here),
        ]

    def before(self, once: Sequence[str]) -> Iterator[str]:
        """The blocks up to the body; `once` is computed before the loops."""
        yield from self._entry(once)
        yield from self._step()
        yield from self._pack()
        yield from self._body()

    def after(self) -> Iterator[str]:
        """The blocks from the end of the body."""
        scatter = "scatter" if self._strided_outputs else "onward"
        yield f"  br i1 %whole, label %{scatter}, label %unpack"
        yield from self._onward()
        yield from self._pieces("unpack", self._streams.end, self._row_end, self.outputs)
        yield from self._next_row()
        yield ""
        yield "done:"
        yield from self._streams.drain()
        if self._traps:
            yield "  %any = load i1, ptr %trapped"
            yield "  %answer = zext i1 %any to i32"
        yield f"  ret i32 {'%answer' if self._traps else 0}"

    # the function and its rows

    def _entry(self, once: Sequence[str]) -> Iterator[str]:
        yield "entry:"
        yield from read_layout(self._args, strides=True)
        yield from self._buffers()
        if self._traps:
            yield "  %trapped = alloca i1"
            yield "  store i1 false, ptr %trapped"
        yield from self._streams.decide()
        yield from once
        yield from self._begin()

    def _begin(self) -> Iterator[str]:
        """From the entry to the first row."""
        rest = "%first"
        for dim in range(self._inner, 0, -1):  # the coordinates of the first element
            above = f"%first.above{dim}" if dim > 1 else "%first.i0"
            yield f"  %first.i{dim} = urem i64 {rest}, {self._extents[dim]}"
            yield f"  {above} = udiv i64 {rest}, {self._extents[dim]}"
            rest = above
        if self._rows:  # elements in as many whole rows as fit into a vector
            yield f"  %waste = urem i64 {self._lanes}, {self._extents[-1]}"
            yield f"  %fit = sub i64 {self._lanes}, %waste"
            yield "  br label %row"
            yield from self._row()
        else:
            yield from self._repeat_first()
            yield "  br label %step"

    def _buffers(self) -> Iterator[str]:
        """Room for a vector of each tensor on the stack."""
        for tensor in (*self.inputs, *self.outputs, *self.indices):
            # whole vectors are stored and loaded wherever a row begins
            moves = tensor.inner is Stride.BROADCAST or self._is_masked(tensor)
            room = ", i32 2" if self._rows and moves else ""
            yield f"  %{tensor.name}.pack = alloca {tensor.whole}{room}, align 64"
        for tensor in self.inputs:
            # lanes without an element compute on this, or on what was there before
            yield f"  store {tensor.whole} zeroinitializer, ptr %{tensor.name}.pack, align 64"

    def _is_masked(self, tensor: Tensor) -> bool:
        """True if what is left of a row of this tensor is moved as a vector."""
        return self._masked and tensor.inner is Stride.UNIT

    def _row(self) -> Iterator[str]:
        yield ""
        yield "row:"
        yield "  %at = phi i64 [ %first, %entry ], [ %at.after, %row.end ]"
        for dim in range(self._inner + 1):
            yield f"  %i{dim} = phi i64 [ %first.i{dim}, %entry ], [ %i{dim}.after, %row.end ]"
        for tensor in (*self.inputs, *self.outputs):
            yield from tensor.place(f"%{tensor.name}", [*self._outer, "0"], self._base(tensor))
        yield from self._repeat_first()
        yield f"  %row.left = sub i64 {self._extents[-1]}, %i{self._inner}"
        yield "  %range.left = sub i64 %last, %at"
        yield "  %span = call i64 @llvm.umin.i64(i64 %row.left, i64 %range.left)"
        yield f"  %stop = add i64 %i{self._inner}, %span"
        yield "  %at.below = add i64 %at, %span"
        yield from self._advance(self._outer, "below")
        yield "  br label %step"

    def _next_row(self) -> Iterator[str]:
        if self._rows:
            yield ""
            yield "row.end:"
            yield "  %more.rows = icmp ult i64 %at.after, %last"
            yield "  br i1 %more.rows, label %row, label %done"

    def _base(self, tensor: Tensor) -> str:
        """Where the current row begins."""
        return f"%{tensor.name}.row" if self._rows else f"%{tensor.name}"

    def _repeat_first(self) -> Iterator[str]:
        """A tensor that does not move along the row is a buffer full of one element."""
        for tensor in self.inputs:
            if tensor.inner is Stride.BROADCAST:
                base, name = self._base(tensor), f"%{tensor.name}"
                yield from tensor.repeat(base, f"{name}.pack", name)

    def _advance(self, counters: Sequence[str], name: str, by: str = "1") -> Iterator[str]:
        """Move the last of the counters, with carries; %i<dim>.<name> are their new values."""
        carry = by
        for dim in range(len(counters) - 1, 0, -1):
            new = f"%i{dim}.{name}"
            yield f"  {new}.up = add i64 {counters[dim]}, {carry}"
            yield f"  {new}.full = icmp eq i64 {new}.up, {self._extents[dim]}"
            yield f"  {new} = select i1 {new}.full, i64 0, i64 {new}.up"
            yield f"  {new}.carry = zext i1 {new}.full to i64"
            carry = f"{new}.carry"
        yield f"  %i0.{name} = add i64 {counters[0]}, {carry}"

    # steps of a whole vector

    @property
    def _row_end(self) -> str:
        """Where to go at the end of a row."""
        return "row.end" if self._rows else "done"

    @property
    def _start(self) -> tuple[str, str]:
        """The first column of the current row, and the block that leads to its steps."""
        return (f"%i{self._inner}", "row") if self._rows else ("%first", "entry")

    @property
    def _stop(self) -> str:
        """The column where the current row, or what is asked of it, ends."""
        return "%stop" if self._rows else "%last"

    def _step(self) -> Iterator[str]:
        start, origin = self._start
        yield ""
        yield "step:"
        yield f"  %col = phi i64 [ {start}, %{origin} ], [ %col.next, %onward ]"
        yield from self._step_begins()
        yield f"  %left = sub i64 {self._stop}, %col"
        yield f"  %whole = icmp uge i64 %left, {self._lanes}"
        yield "  br i1 %whole, label %direct, label %pack"
        yield ""
        yield "direct:"
        for tensor in (*self.inputs, *self.outputs):
            place = f"%{tensor.name}.direct"
            if tensor.inner is Stride.UNIT or tensor.step:
                yield from tensor.place(self._base(tensor), ["%col"], place)
            if tensor.step:
                yield from picked(tensor, place)
        yield from next_rows(self.inputs)
        for tensor in self.indices:
            yield from indices.vector(tensor, [*self._outer, "%col"])
        if self._strided_inputs:
            yield "  br label %gather"
            yield from self._each_lane("gather", "direct", "body", self._strided_inputs)
        else:
            yield "  br label %body"

    def _step_begins(self) -> Iterable[str]:
        """What stands first in each step."""
        return ()

    def _body(self) -> Iterator[str]:
        """The head of the body, where both ways meet."""
        direct = "gather" if self._strided_inputs else "direct"
        packed = "%fill.end"
        yield ""
        yield "body:"
        for tensor in (*self.inputs, *self.outputs):
            if tensor.inner is Stride.UNIT:
                x = f"%{tensor.name}"
                yield f"  {x}.here = phi ptr [ {x}.direct, %{direct} ], [ {x}.pack, {packed} ]"
        if self._rows:
            yield f"  %many = phi i64 [ {self._lanes}, %{direct} ], [ %packed, {packed} ]"
            yield f"  %at.after = phi i64 [ %at.below, %{direct} ], [ %at.packed, {packed} ]"
            for dim in range(self._inner + 1):
                i, below = f"%i{dim}", f"%i{dim}.below" if dim < self._inner else "0"
                yield f"  {i}.after = phi i64 [ {below}, %{direct} ], [ {i}.fill.next, {packed} ]"
        if self._traps:
            every = f"<{self._lanes} x i1>"
            ways = f"[ splat (i1 true), %{direct} ], [ %active.packed, {packed} ]"
            yield f"  {self.ACTIVE} = phi {every} {ways}"

    def _onward(self) -> Iterator[str]:
        if self._strided_outputs:
            yield from self._each_lane(
                "scatter", self._streams.end, "onward", self._strided_outputs
            )
        yield ""
        yield "onward:"
        yield f"  %col.next = add i64 %col, {self._lanes}"
        yield f"  %more = icmp ult i64 %col.next, {self._stop}"
        yield f"  br i1 %more, label %step, label %{self._row_end}"

    def _each_lane(
        self, label: str, origin: str, target: str, strided: Sequence[Tensor]
    ) -> Iterator[str]:
        """Copy whole vectors of tensors with a stride, one element at a time."""
        moved = [(tensor, self._base(tensor)) for tensor in strided]
        lines = lanes.copies(label, moved, ["%col"], "0", out=label == "scatter")
        yield from lanes.loop(label, origin, target, str(self._lanes), lines)

    # what is left

    def _pack(self) -> Iterator[str]:
        yield ""
        yield "pack:"
        if self._rows:
            yield f"  %passed = sub i64 %col, %i{self._inner}"
            yield "  %at.col = add i64 %at, %passed"
            yield "  %rest = sub i64 %last, %at.col"
            yield "  %room = call i64 @llvm.umax.i64(i64 %left, i64 %fit)"
            yield "  %packed = call i64 @llvm.umin.i64(i64 %room, i64 %rest)"
            yield "  %at.packed = add i64 %at.col, %packed"
        if self._traps:
            count = "%packed" if self._rows else "%left"
            yield from lanes.first_lanes("%active.packed", count, self._lanes)
        yield "  br label %fill"
        yield from self._pieces("fill", "pack", "body", self.inputs)

    def _pieces(
        self, label: str, origin: str, target: str, chosen: Sequence[Tensor]
    ) -> Iterator[str]:
        """Copy between tensors and buffers, from each row the piece that is packed.

        Without rows there is one piece: what is left.
        """
        each, end, out = f"{label}.each", f"{label}.end", label == "unpack"
        counters, slot, count = ["%col"], "0", "%left"
        yield ""
        yield f"{label}:"
        if self._rows:
            counters = [f"%i{dim}.{label}" for dim in range(self._inner + 1)]
            slot, count = f"%{label}.slot", f"%{label}.count"
            yield from self._piece(label, origin, counters)
            if label == "fill":
                yield from self._repeat_here(counters, slot)
        moved = [
            (x, f"%{x.name}" if self._rows else self._base(x))
            for x in chosen
            if x.inner is not Stride.BROADCAST
        ]
        counted = self.indices and not out
        masked = moved and not counted and all(self._is_masked(tensor) for tensor, _ in moved)
        if masked and self._rows:
            yield f"  %{label}.large = icmp uge i64 {count}, {_LEAST_MASKED}"
            yield f"  %{label}.single = icmp uge i64 {self._extents[-1]}, {self._lanes}"
            yield f"  %{label}.pays = or i1 %{label}.large, %{label}.single"
            yield f"  br i1 %{label}.pays, label %{label}.some, label %{each}"
            yield ""
            yield f"{label}.some:"
        if masked:
            yield from lanes.first_lanes(f"%{label}.mask", count, self._lanes)
            yield from lanes.masked_moves(label, moved, counters, slot, out=out)
        singly = self._rows if masked else moved or counted
        yield f"  br label %{each if singly and not masked else end}"
        lines = [*lanes.copies(each, moved, counters, slot, out=out)]
        if not out:
            outer, lane = counters[:-1] if self._rows else self._outer, f"%{each}.col"
            for tensor in self.indices:
                lines += indices.one(tensor, [*outer, lane], lanes.place_in_buffer(each, slot))
        if singly:
            yield from lanes.loop(each, label, end, count, lines)
        yield ""
        yield f"{end}:"
        if not self._rows:
            yield f"  br label %{target}"
        else:
            yield f"  {slot}.next = add i64 {slot}, {count}"
            yield from self._advance(counters, f"{label}.next", count)
            packed = "%many" if label == "unpack" else "%packed"
            yield f"  {slot}.more = icmp ult i64 {slot}.next, {packed}"
            yield f"  br i1 {slot}.more, label %{label}, label %{target}"

    def _repeat_here(self, counters: Sequence[str], slot: str) -> Iterator[str]:
        """The piece of a tensor that does not move along the row."""
        for tensor in self.inputs:
            if tensor.inner is Stride.BROADCAST:
                name = f"%{tensor.name}"
                yield from tensor.place(name, counters, f"{name}.fill")
                element = f"{tensor.element}, ptr {name}.pack"
                yield f"  {name}.fill.slot = getelementptr {element}, i64 {slot}"
                yield from tensor.repeat(f"{name}.fill", f"{name}.fill.slot", f"{name}.fill")

    def _piece(self, label: str, origin: str, counters: Sequence[str]) -> Iterator[str]:
        """Where a piece begins, in the tensors and in the buffers, and how long it is."""
        slot, end, inner = f"%{label}.slot", f"%{label}.end", self._inner
        packed = "%packed" if label == "fill" else "%many"
        yield f"  {slot} = phi i64 [ 0, %{origin} ], [ {slot}.next, {end} ]"
        for dim, counter in enumerate(counters):
            start = f"%i{dim}" if dim < inner else "%col"
            yield f"  {counter} = phi i64 [ {start}, %{origin} ], [ {counter}.next, {end} ]"
        yield f"  %{label}.left = sub i64 {self._extents[-1]}, {counters[-1]}"
        yield f"  %{label}.room = sub i64 {packed}, {slot}"
        yield f"  %{label}.count = call i64 @llvm.umin.i64(i64 %{label}.left, i64 %{label}.room)"
