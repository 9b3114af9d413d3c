"""Assembly to read: text without directives, and for each line the source line it stems from.

Compilers write debug line information between the instructions; from it follows which line of the
source an instruction was made for. An instruction of a helper that was inlined counts for the line
that calls the helper, the outermost one where helpers call helpers.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

from fusekit.codegen.source import Spans

__all__ = ["NOWHERE", "Listing", "instruction", "runs_of"]

NOWHERE = 0
"""The origin of a line that the compiler made for no line of the source."""

_SAME = re.compile(r"\[(([^,\]]+)(?:,\2)+)\]")
"""A vector with the same in every lane, as LLVM remarks."""

_MNEMONIC_WIDTH = 12


@dataclasses.dataclass(frozen=True, slots=True)
class Listing:
    """Assembly to read.

    Attributes:
        language: "asm", "ptx" or "sass".
        text: labels, instructions and the constants that they name; no directives.
        origins: for each line of `text`, the line of the source that it was made for, counted from
            1; NOWHERE for what serves no single line, such as the set-up of a loop.
    """

    language: str
    text: str
    origins: tuple[int, ...]

    @classmethod
    def of(cls, language: str, lines: Iterable[tuple[str, int]]) -> Listing:
        """From (line, origin)."""
        pairs = list(lines)
        text = "".join(f"{line}\n" for line, _ in pairs)
        return cls(language, text, tuple(origin for _, origin in pairs))

    def links(self, lines: Iterable[tuple[int, Spans]]) -> dict[int, Spans]:
        """`KernelSource.lines`, for the lines of this text; without values that have none."""
        made: dict[int, list[int]] = {}
        for number, origin in enumerate(self.origins, start=1):
            if origin != NOWHERE:
                made.setdefault(origin, []).append(number)
        found = {}
        for value, spans in lines:
            origins = (line for first, last in spans for line in range(first, last + 1))
            numbers = sorted(number for origin in origins for number in made.get(origin, ()))
            if numbers:
                found[value] = runs_of(numbers)
        return found


def runs_of(numbers: Iterable[int]) -> Spans:
    """Increasing numbers as (first, last) of each run."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        first = runs.pop()[0] if runs and runs[-1][1] == number - 1 else number
        runs.append((first, number))
    return tuple(runs)


def instruction(text: str, comment: str = "//") -> str:
    """One instruction, in columns: what it does, on what, and the compiler's remark."""
    code, sign, remark = text.strip().partition(comment)
    words = code.split()
    named = 2 if words[0].startswith("@") else 1  # a predicate belongs to the name
    name, operands = " ".join(words[:named]), " ".join(words[named:])
    line = f"  {name:<{_MNEMONIC_WIDTH}} {operands}".rstrip()
    if not sign:
        return line
    said = _SAME.sub(lambda m: f"[{m[2]} x {m[1].count(',') + 1}]", remark.strip())
    return f"{line}  {sign} {said}"
