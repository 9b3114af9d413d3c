"""Instructions under construction: names, rows filled in, and which value stands on which lines."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from fusekit.codegen.dialects import llvm_types as types
from fusekit.ir import DType

__all__ = ["NAMES", "Code", "fill"]

NAMES = "xyzw"
"""What rows call their operands."""

_NAME = re.compile(r"%(?=\.\w| =)")
"""Where a row leaves the name of its result out."""


def fill(row: str, name: str, **holes: str) -> list[str]:
    """The instructions of a row; `name` is that of its result, with its percent sign."""
    text = _NAME.sub(name, textwrap.dedent(row).strip("\n").format(**holes))
    return [f"  {line}" for line in text.splitlines()]


class Code:
    """The instructions of one function, in two sections.

    Attributes:
        lanes: elements in a value.
        body: instructions, in order.
        once: those whose results are the same in every step, which stand before the loops; a
            function without loops has only the body.
        spans: value id -> the runs of lines that load, compute or store it: for each, the section
            and the indices of its first and last line in there.
        rounded: a half -> the float it was before it was narrowed, where a name has that.
    """

    def __init__(self, lanes: int, *, loops: bool) -> None:
        """Nothing yet."""
        self.lanes = lanes
        self.body: list[str] = []
        self.once: list[str] = [] if loops else self.body
        self.spans: dict[int, list[tuple[list[str], int, int]]] = {}
        self.rounded: dict[str, str] = {}
        self._steady: set[str] = set()
        self._values: dict[str, int] = {}

    def is_steady(self, *operands: str) -> bool:
        """True if every operand is a constant, or computed in `once`."""
        return all(x.startswith("splat") or x in self._steady for x in operands)

    def add(self, result: int, lines: Sequence[str], *, steady: bool, name: str = "") -> str:
        """Append what computes the value `result`, or a part of it called `name`; the name."""
        name = name or f"%n{result}"
        self._append(self.once if steady else self.body, lines, result)
        if steady:
            self._steady.add(name)
        self._values[name] = result
        return name

    def same(self, result: int, operand: str) -> str:
        """Have the value `result` be an operand: the lines of the one are those of the other."""
        if operand in self._values:
            self.spans.setdefault(result, []).extend(self.spans[self._values[operand]])
        return operand

    def step_of(self, result: int, operand: str, step: str) -> str:
        """Have the value `result` be a step on the way to an operand; its name."""
        self.same(result, operand)
        if operand in self._steady:
            self._steady.add(step)
        return step

    def store(self, result: int, lines: Sequence[str]) -> None:
        """Append what writes the value `result` to memory."""
        self._append(self.body, lines, result)

    def _append(self, section: list[str], lines: Sequence[str], result: int) -> None:
        runs = self.spans.setdefault(result, [])
        first = len(section)
        if runs and runs[-1][0] is section and runs[-1][2] == first - 1:
            first = runs.pop()[1]
        section += lines
        runs.append((section, first, len(section) - 1))

    def fill(
        self,
        row: str,
        result: int,
        dtype: DType,
        operands: Sequence[str],
        *,
        part: str = "",
        title: str = "",
        **holes: str,
    ) -> str:
        """Append a row whose operands {x}, {y}, {z} are of `dtype`; the result's name.

        With `part`, it is a step on the way to n<result>, called n<result>.<part>. The `title`
        stands above a row of several lines.
        """
        common = {
            "t": types.vector(dtype, self.lanes),
            "b": types.vector(DType.BOOL, self.lanes),
            "i": types.integer(dtype, self.lanes),
            "m": types.suffix(dtype, self.lanes),
            "e": types.element(dtype),
            "top": str(dtype.bits - 1),
            "L": str(self.lanes),
        }
        name = f"%n{result}.{part}" if part else f"%n{result}"
        named = dict(zip(NAMES, operands, strict=False))
        lines = fill(row, name, **common, **named, **holes)
        if title and len(lines) > 1:
            lines.insert(0, f"  ; n{result}: {title}")
        return self.add(result, lines, steady=self.is_steady(*operands), name=name)
