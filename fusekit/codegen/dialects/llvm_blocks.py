"""The loops of an LLVM kernel whose inputs are in part transposed: block by block.

What is counted are blocks. The function that is written here computes the blocks [first, last):

    block:   where does it begin, how many rows and columns has it?
    turn:    each transposed input, copied to the stack the right way round, in registers
    copy:    or one element at a time, where there are too few rows or columns for that
    row:     the steps of one row, as in `llvm_loops`, which find those inputs on the stack
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from fusekit.codegen.cpu_walks import LEAST_SIDE, transposed
from fusekit.codegen.dialects import llvm_transposition as transposition
from fusekit.codegen.dialects.llvm_loops import Loops
from fusekit.codegen.dialects.llvm_prefetch import LINE, prefetch
from fusekit.codegen.dialects.llvm_tensors import Tensor
from fusekit.codegen.dialects.llvm_threads import blocks_along
from fusekit.codegen.schedule import Schedule
from fusekit.specs import ArgSpec, Stride

__all__ = ["BlockLoops"]


class BlockLoops(Loops):
    """Writes the blocks of a kernel's innermost function around its body."""

    def __init__(self, args: ArgSpec, schedule: Schedule, *, traps: bool) -> None:
        """Loops for arguments like `args`, in steps that divide a block's width."""
        super().__init__(args, schedule, traps=traps)
        self._rows = False  # a step never joins two of them
        self._block = schedule.block
        self._turned = [self.inputs[position] for position in transposed(args)]
        self._steps = {tensor.name: tensor.strides[-1] for tensor in self._turned}
        self.inputs = tuple(self._on_stack(x) if x in self._turned else x for x in self.inputs)
        self._strided_inputs = [x for x in self._strided_inputs if x in self.inputs]

    @property
    def helpers(self) -> Iterator[tuple[str, list[str]]]:
        """The functions that copy a block, by name."""
        for bits in dict.fromkeys(x.dtype.itemsize * 8 for x in self._turned):
            yield transposition.name(bits), transposition.definition(bits, self._pitch(bits // 8))

    def _pitch(self, itemsize: int) -> int:
        """Elements from one row on the stack to the next: in other sets of the cache."""
        return self._block[1] + LINE // itemsize

    def _on_stack(self, tensor: Tensor) -> Tensor:
        """A transposed tensor as the rows of a block see it."""
        return dataclasses.replace(tensor, strides=("1",), inner=Stride.UNIT)

    def _buffers(self) -> Iterator[str]:
        yield from super()._buffers()
        for tensor in self._turned:
            size = self._block[0] * self._pitch(tensor.dtype.itemsize)
            yield f"  %{tensor.name}.block = alloca [{size} x {tensor.element}], align 64"

    def _begin(self) -> Iterator[str]:
        rows, columns = self._extents[-2:]
        yield from blocks_along(rows, columns, self._block)
        for name, extent in (("rows", rows), ("columns", columns)):
            yield f"  %{name}.last = call i64 @llvm.usub.sat.i64(i64 {extent}, i64 {LEAST_SIDE})"
        yield f"  %rows.do = icmp uge i64 {rows}, {LEAST_SIDE}"
        yield f"  %columns.do = icmp uge i64 {columns}, {LEAST_SIDE}"
        yield "  %turns = and i1 %rows.do, %columns.do"
        yield "  br label %block"
        yield ""
        yield "block:"
        yield "  %number = phi i64 [ %first, %entry ], [ %number.next, %block.end ]"
        yield from self._coordinates()
        yield from self._copied()
        yield from self._each_row()

    def _coordinates(self) -> Iterator[str]:
        """Of a block: its place among the outer dimensions, its rows, its columns."""
        sides = [("column", "across", self._extents[-1], self._block[1])]
        sides += [("row", "down", self._extents[-2], self._block[0])]
        rest = "%number"
        for name, count, extent, side in sides:
            yield f"  %{name}.block = urem i64 {rest}, %{count}"
            yield f"  %{name}.others = udiv i64 {rest}, %{count}"
            yield f"  %{name}.first = mul i64 %{name}.block, {side}"
            yield f"  %{name}.full = add i64 %{name}.first, {side}"
            yield f"  %{name}.stop = call i64 @llvm.umin.i64(i64 %{name}.full, i64 {extent})"
            # what is copied begins earlier if the block is too small to be turned
            yield f"  %{name}.from = call i64 @llvm.umin.i64(i64 %{name}.first, i64 %{name}s.last)"
            yield f"  %{name}.count = sub i64 %{name}.stop, %{name}.from"
            rest = f"%{name}.others"
        for dim in range(self._inner - 2, -1, -1):
            above = f"%i{dim}.others"
            yield f"  %i{dim} = urem i64 {rest}, {self._extents[dim]}"
            yield f"  {above} = udiv i64 {rest}, {self._extents[dim]}"
            rest = above

    def _copied(self) -> Iterator[str]:
        outer = self._outer[:-1]
        for tensor in self._turned:
            corner = f"%{tensor.name}.corner"
            yield from tensor.place(
                f"%{tensor.name}", [*outer, "%row.from", "%column.from"], corner
            )
        # the next block, if it is not further down, is read while this one is computed
        yield f"  %next.ends = add i64 %column.full, {self._block[1]}"
        yield f"  %next.is = icmp ule i64 %next.ends, {self._extents[-1]}"
        yield f"  %next.by = select i1 %next.is, i64 {self._block[1]}, i64 0"
        yield "  br i1 %turns, label %turn, label %copy"
        yield ""
        yield "turn:"
        for tensor in self._turned:
            name, size = f"%{tensor.name}", tensor.dtype.itemsize
            yield f"  {name}.bytes = mul i64 {tensor.strides[-1]}, {size}"
            yield (
                f"  call void @{transposition.name(8 * size)}(ptr {name}.corner, "
                f"i64 {name}.bytes, ptr {name}.block, i64 %row.count, i64 %column.count)"
            )
        yield "  br label %copied"
        yield from self._copied_singly()
        yield ""
        yield "copied:"
        yield "  br label %row"

    def _copied_singly(self) -> Iterator[str]:
        yield ""
        yield "copy:"
        yield "  %copy.row = phi i64 [ 0, %block ], [ %copy.row.next, %copy.end ]"
        yield "  br label %copy.each"
        yield ""
        yield "copy.each:"
        yield "  %copy.col = phi i64 [ 0, %copy ], [ %copy.col.next, %copy.each ]"
        for tensor in self._turned:
            name, element = f"%{tensor.name}.copy", tensor.element
            yield f"  {name}.slot = mul i64 %copy.row, {self._pitch(tensor.dtype.itemsize)}"
            yield f"  {name}.index = add i64 {name}.slot, %copy.col"
            yield from tensor.place(f"%{tensor.name}.corner", ["%copy.row", "%copy.col"], name)
            yield f"  {name}.one = load {element}, ptr {name}"
            slot = f"ptr %{tensor.name}.block, i64 {name}.index"
            yield f"  {name}.to = getelementptr {element}, {slot}"
            yield f"  store {element} {name}.one, ptr {name}.to"
        yield "  %copy.col.next = add i64 %copy.col, 1"
        yield "  %copy.col.more = icmp ult i64 %copy.col.next, %column.count"
        yield "  br i1 %copy.col.more, label %copy.each, label %copy.end"
        yield ""
        yield "copy.end:"
        yield "  %copy.row.next = add i64 %copy.row, 1"
        yield "  %copy.row.more = icmp ult i64 %copy.row.next, %row.count"
        yield "  br i1 %copy.row.more, label %copy, label %copied"

    def _each_row(self) -> Iterator[str]:
        row = self._outer[-1]
        yield ""
        yield "row:"
        yield f"  {row} = phi i64 [ %row.first, %copied ], [ {row}.next, %row.end ]"
        yield f"  %row.within = sub i64 {row}, %row.from"
        turned = {tensor.name for tensor in self._turned}
        for tensor in (*self.inputs, *self.outputs):
            name = f"%{tensor.name}"
            if tensor.name in turned:
                element = f"{tensor.element}, ptr {name}.block"
                yield f"  {name}.slot = mul i64 %row.within, {self._pitch(tensor.dtype.itemsize)}"
                yield f"  {name}.base = sub i64 {name}.slot, %column.from"
                yield f"  {name}.row = getelementptr {element}, i64 {name}.base"
            else:
                yield from tensor.place(name, [*self._outer, "0"], f"{name}.row")
        yield from self._fetch()
        yield from self._repeat_first()
        yield "  br label %step"

    def _fetch(self) -> Iterator[str]:
        """Have the processor fetch one row's share of the next block of each input."""
        turned = {tensor.name for tensor in self._turned}
        for tensor in self.inputs:
            name, size = f"%{tensor.name}.soon", tensor.dtype.itemsize
            if tensor.name in turned:
                height, width = self._block
                each = width // height  # columns of it
                yield f"  {name}.within = mul i64 %row.within, {each}"
                yield f"  {name}.0 = add i64 {name}.within, %next.by"
                step = self._steps[tensor.name]
                for column in range(each):
                    yield f"  {name}.{column + 1} = add i64 {name}.{column}, 1"
                    yield f"  {name}.begin{column} = mul i64 {name}.{column}, {step}"
                    begin, corner = f"{name}.begin{column}", f"%{tensor.name}.corner"
                    yield from _fetched(tensor, corner, begin, height * size)
            elif tensor.inner is Stride.UNIT:
                yield f"  {name} = add i64 %column.first, %next.by"
                yield from _fetched(tensor, f"%{tensor.name}.row", name, self._block[1] * size)

    def _next_row(self) -> Iterator[str]:
        row = self._outer[-1]
        yield ""
        yield "row.end:"
        yield f"  {row}.next = add i64 {row}, 1"
        yield f"  %row.more = icmp ult i64 {row}.next, %row.stop"
        yield "  br i1 %row.more, label %row, label %block.end"
        yield ""
        yield "block.end:"
        yield "  %number.next = add i64 %number, 1"
        yield "  %number.more = icmp ult i64 %number.next, %last"
        yield "  br i1 %number.more, label %block, label %done"

    def _base(self, tensor: Tensor) -> str:
        return f"%{tensor.name}.row"

    @property
    def _row_end(self) -> str:
        return "row.end"

    @property
    def _start(self) -> tuple[str, str]:
        return "%column.first", "row"

    @property
    def _stop(self) -> str:
        return "%column.stop"


def _fetched(tensor: Tensor, base: str, begin: str, size: int) -> Iterator[str]:
    """Fetch so many bytes from element `begin` on."""
    for line in range(-(-size // LINE)):
        place = f"{begin}.line{line}"
        yield f"  {place}.at = add i64 {begin}, {line * LINE // tensor.dtype.itemsize}"
        yield f"  {place} = getelementptr {tensor.element}, ptr {base}, i64 {place}.at"
        yield prefetch(place)
