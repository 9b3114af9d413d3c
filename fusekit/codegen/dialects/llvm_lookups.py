"""Numbers out of small tables: a permutation with the table as what is permuted.

AVX-512 takes each of 16 lanes from any of 16 or 32, at the rate of an addition. Elsewhere a lookup
is a load for each lane, which is dearer than the arithmetic that it saves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fusekit.codegen.dialects import llvm_types as types
from fusekit.codegen.schedule import Target
from fusekit.ir import DType
from fusekit.ir.graph import Literal

__all__ = ["fits", "row"]

_WIDTH = 16
"""Lanes of float32 in a register."""

_PERMUTATIONS = {
    16: "@llvm.x86.avx512.permvar.sf.512({f} {low}, {i} {x})",
    32: "@llvm.x86.avx512.vpermi2var.ps.512({f} {low}, {i} {x}, {f} {high})",
}
"""Entries of a table -> the call; higher bits of the numbers are ignored."""


def fits(lanes: int, target: Target) -> bool:
    """True where values of so many lanes fill registers that can be permuted so."""
    return lanes % _WIDTH == 0 and "+avx512f" in target.features.split(",")


def row(table: Sequence[Literal], lanes: int) -> str:
    """The row for a table of 16 or 32 float32 numbers; its result has the type {r}."""
    count = lanes // _WIDTH
    parts = [f"%.{part}" for part in range(count)] if count > 1 else ["%"]
    return "\n".join([*_looked_up(table, parts), *_joined(parts, _WIDTH)])


def _looked_up(table: Sequence[Literal], parts: Sequence[str]) -> Iterator[str]:
    halves = [_constant(table[start : start + _WIDTH]) for start in (0, len(table) - _WIDTH)]
    numbers, floats = f"<{_WIDTH} x i32>", f"<{_WIDTH} x float>"
    for index, part in enumerate(parts):
        mask = ", ".join(f"i32 {index * _WIDTH + lane}" for lane in range(_WIDTH))
        call = _PERMUTATIONS[len(table)].format(
            f=floats, i=numbers, low=halves[0], high=halves[1], x=f"{part}.number"
        )
        yield f"{part}.number = shufflevector {{t}} {{x}}, {{t}} poison, {numbers} <{mask}>"
        yield f"{part} = call {floats} {call}"


def _joined(parts: Sequence[str], width: int) -> Iterator[str]:
    """The parts side by side, pair by pair; the last name is the row's result."""
    if len(parts) == 1:
        return
    pairs = list(zip(parts[::2], parts[1::2], strict=True))
    names = [f"{first}.and" for first, _ in pairs] if len(pairs) > 1 else ["%"]
    for name, (first, second) in zip(names, pairs, strict=True):
        operands = f"{_floats(width)} {first}, {_floats(width)} {second}"
        yield f"{name} = shufflevector {operands}, {_mask(2 * width)}"
    yield from _joined(names, 2 * width)


def _floats(width: int) -> str:
    return f"<{width} x float>"


def _mask(width: int) -> str:
    return f"<{width} x i32> <{', '.join(f'i32 {lane}' for lane in range(width))}>"


def _constant(entries: Sequence[Literal]) -> str:
    """A vector of float32 numbers, as an operand."""
    return f"<{', '.join(f'float {types.number(entry, DType.F32)}' for entry in entries)}>"
