"""A function that copies a block of a transposed tensor, row by row: transposed in registers.

It reads squares, each column of which is contiguous in memory and fills a register, or a part of
one. Interleaving the first half of the registers with the second, log2(side) times, gives the rows:
each pass turns the bits of a place's number (its register's, then its lane's) by one, until the two
have changed sides.

The last square of a row or column begins earlier, so that none is cut.
"""

from __future__ import annotations

from collections.abc import Iterator

from fusekit.codegen.cpu_walks import LEAST_SIDE

__all__ = ["definition", "name"]

_REGISTER = 512
"""Bits that a column fills at most: more would leave too few registers for all of them."""


def name(bits: int) -> str:
    """The function for elements of so many bits."""
    return f"turn_i{bits}"


def definition(bits: int, pitch: int) -> list[str]:
    """`void f(ptr from, i64 step, ptr to, i64 rows, i64 columns)`.

    Columns at `from` are `step` bytes apart, rows at `to` are `pitch` elements; at least
    LEAST_SIDE rows and columns are copied, at most `pitch` columns.
    """
    side = min(LEAST_SIDE, _REGISTER // bits)
    given = "ptr %from, i64 %step, ptr %to, i64 %rows, i64 %columns"
    return [
        f"define internal void @{name(bits)}({given}) noinline {{",
        "entry:",
        *(f"  %{x}.last = sub i64 %{x}s, {side}" for x in ("row", "column")),
        "  br label %across",
        "",
        "across:",
        "  %column.at = phi i64 [ 0, %entry ], [ %column.next, %across.end ]",
        "  %column = call i64 @llvm.umin.i64(i64 %column.at, i64 %column.last)",
        "  br label %down",
        "",
        "down:",
        "  %row.at = phi i64 [ 0, %across ], [ %row.next, %down ]",
        "  %row = call i64 @llvm.umin.i64(i64 %row.at, i64 %row.last)",
        *_square(bits, side, pitch),
        *_next("row", side, again="down", done="across.end"),
        "",
        "across.end:",
        *_next("column", side, again="across", done="done"),
        "",
        "done:",
        "  ret void",
        "}",
    ]


def _next(counter: str, side: int, *, again: str, done: str) -> Iterator[str]:
    yield f"  %{counter}.next = add i64 %{counter}.at, {side}"
    yield f"  %{counter}.more = icmp ult i64 %{counter}.next, %{counter}s"
    yield f"  br i1 %{counter}.more, label %{again}, label %{done}"


def _square(bits: int, side: int, pitch: int) -> Iterator[str]:
    """The square at (%row, %column)."""
    vector, size = f"<{side} x i{bits}>", bits // 8
    yield "  %begin = mul i64 %column, %step"
    yield f"  %inside = mul i64 %row, {size}"
    yield "  %corner = add i64 %begin, %inside"
    for column in range(side):
        place = "%corner" if not column else f"%place{column}"
        if column:
            before = "%corner" if column == 1 else f"%place{column - 1}"
            yield f"  {place} = add i64 {before}, %step"
        yield f"  %at{column} = getelementptr i8, ptr %from, i64 {place}"
        yield f"  %r0.{column} = load {vector}, ptr %at{column}, align {size}"
    passes = side.bit_length() - 1
    for number in range(1, passes + 1):
        yield from _interleave(f"%r{number - 1}", f"%r{number}", side, vector)
    yield f"  %to.row = mul i64 %row, {pitch}"
    yield "  %to.first = add i64 %to.row, %column"
    yield f"  %to.at = getelementptr i{bits}, ptr %to, i64 %to.first"
    for row in range(side):
        yield f"  %to.{row} = getelementptr i{bits}, ptr %to.at, i64 {row * pitch}"
        yield f"  store {vector} %r{passes}.{row}, ptr %to.{row}, align {size}"


def _interleave(old: str, new: str, side: int, vector: str) -> Iterator[str]:
    for pair in range(side // 2):
        operands = f"{vector} {old}.{pair}, {vector} {old}.{pair + side // 2}"
        for part in range(2):
            lanes = [lane + part * side // 2 for lane in range(side // 2)]
            mask = ", ".join(f"i32 {x}" for lane in lanes for x in (lane, lane + side))
            row = f"{new}.{2 * pair + part}"
            yield f"  {row} = shufflevector {operands}, <{side} x i32> <{mask}>"
