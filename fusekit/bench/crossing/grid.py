"""Where to measure next in a grid of sizes and kinds, so that borders are found with few cells."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping

__all__ = ["VERDICTS", "Cell", "Outcomes", "guesses", "next_cell"]

VERDICTS = ("fused faster", "tie", "eager faster", "cannot fuse", "cannot tell")
"""What a cell can say."""

_COARSE = 4
"""At first every fourth size is measured, and the last."""


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Cell:
    """A place in the grid: the number of a kind (dtype and layout), the number of a size."""

    kind: int
    size: int


Outcomes = Mapping[Cell, str]


def next_cell(outcomes: Outcomes, kinds: int, sizes: int) -> Cell | None:
    """The cell to measure next; None if every border lies between neighbours.

    First a coarse grid, size by size, so that whatever the budget allows is spread over all kinds;
    then the middle of the widest gap whose ends differ. Cells that could not be told are no ends.
    """
    for size in _coarse(sizes):
        for kind in range(kinds):
            if Cell(kind, size) not in outcomes:
                return Cell(kind, size)
    gaps = [
        (high - low, -kind, -low)
        for kind in range(kinds)
        for low, high in _gaps(outcomes, kind)
        if outcomes[Cell(kind, low)] != outcomes[Cell(kind, high)]
        and Cell(kind, _middle(low, high)) not in outcomes
    ]
    if not gaps:
        return None
    width, kind, low = max(gaps)
    return Cell(-kind, _middle(-low, width - low))


def _middle(low: int, high: int) -> int:
    """Between the two; `low` itself, which is measured, if they are neighbours."""
    return (low + high) // 2


def _coarse(sizes: int) -> list[int]:
    """The ends first, then what lies between."""
    inner = list(range(_COARSE, sizes - 1, _COARSE))
    return list(dict.fromkeys([0, sizes - 1, *inner]))


def _gaps(outcomes: Outcomes, kind: int) -> list[tuple[int, int]]:
    found = sorted(
        cell.size for cell, said in outcomes.items() if cell.kind == kind and said != "cannot tell"
    )
    return list(itertools.pairwise(found))


def guesses(outcomes: Outcomes, kinds: int) -> dict[Cell, str]:
    """Cells that were not measured, but lie between two that agree: what those say."""
    return {
        Cell(kind, size): outcomes[Cell(kind, low)]
        for kind in range(kinds)
        for low, high in _gaps(outcomes, kind)
        if outcomes[Cell(kind, low)] == outcomes[Cell(kind, high)]
        for size in range(low + 1, high)
        if Cell(kind, size) not in outcomes
    }
