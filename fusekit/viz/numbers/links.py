"""From the program's values to those that nodes, lines and rows of a view stand for."""

from __future__ import annotations

from collections.abc import Iterable

from fusekit.runtime.program import Program
from fusekit.viz.collect.boxes import boxes

__all__ = ["Links"]


class Links:
    """Finds what to link to."""

    def __init__(self, program: Program) -> None:
        """Of the program of a view."""
        self._program = program
        self._box = {value: box.value for box in boxes(program) for value in box.makes}

    def attribute(self, values: Iterable[int]) -> str:
        """` data-v="3 5"`, or "" where nothing in a view stands for these values."""
        shown = sorted({self._box.get(i, self._program.graph.viewed(i)) for i in values})
        return f' data-v="{" ".join(map(str, shown))}"' if shown else ""
