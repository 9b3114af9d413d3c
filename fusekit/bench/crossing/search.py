"""`crossover`: from which size on, in which dtype and layout, fused is faster than eager."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import importlib
import io
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from fusekit.api import FusedFunction, fuse
from fusekit.bench.crossing.grid import VERDICTS, Cell, guesses, next_cell
from fusekit.bench.crossing.rule import Rule, Sample, find_rule
from fusekit.bench.measuring.comparing import race
from fusekit.bench.measuring.comparison import Row, rounded
from fusekit.bench.measuring.stopwatch import Tell
from fusekit.bench.measuring.timing import Settings
from fusekit.bench.trying.alteration import (
    DTYPES,
    Alterable,
    Call,
    altered,
    dtype_named,
    layout_named,
)
from fusekit.errors import UsageError

__all__ = ["Crossing", "Crossover", "Measured", "Search", "crossover", "search_of"]

_PLOT = "fusekit.viz.measured.crossplot"
"""Imported when a notebook shows a map."""

_SLICE = 0.4
"""Seconds for the rounds of one cell, at most."""

_AGAIN = 4.0
"""What is left of the budget goes to unclear cells, each with so many times the slice."""

_OF = {"faster": "fused faster", "slower": "eager faster", "tie": "tie"}

Make = Callable[[int, str, str], Call]
"""Size, dtype, layout -> arguments and keyword arguments."""


@dataclasses.dataclass(frozen=True, slots=True)
class Crossing:
    """What one cell is: a size in a dtype and a layout."""

    size: int
    dtype: str
    layout: str


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """What one cell says.

    Attributes:
        verdict: of `VERDICTS`.
        numel: elements of the first tensor.
        contiguous: what its `is_contiguous()` says.
        ratio: eager's time over fused's; None where it is not fused.
        low: the lower end of its interval; None if there is none.
        high: the upper end.
        note: why it cannot be told, or fused; "" otherwise.
    """

    verdict: str
    numel: int
    contiguous: bool
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""


@dataclasses.dataclass(frozen=True, repr=False)
class Crossover:
    """A map of verdicts.

    Attributes:
        name: of the function.
        sizes: the columns, in increasing order.
        kinds: the rows: (dtype, layout).
        cells: what was measured.
        rule: when eager is the better choice, as far as that was found.
        finished: False if the budget, or the user, ended it before all borders were found.
    """

    name: str
    sizes: tuple[int, ...]
    kinds: tuple[tuple[str, str], ...]
    cells: dict[Cell, Measured]
    rule: Rule
    finished: bool

    @property
    def guessed(self) -> dict[Cell, str]:
        """Cells that were not measured, between two that agree, and what those say."""
        return guesses({cell: found.verdict for cell, found in self.cells.items()}, len(self.kinds))

    def at(self, cell: Cell) -> Crossing:
        """What a cell is."""
        return Crossing(self.sizes[cell.size], *self.kinds[cell.kind])

    def csv(self) -> str:
        """One line for each cell that was measured, with a header."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*_COLUMNS])
        writer.writerows([row[name] for name in _COLUMNS] for row in self._rows())
        return text.getvalue()

    def to_dict(self) -> dict[str, Any]:
        """All of it as values that JSON has."""
        return {
            "name": self.name,
            "sizes": list(self.sizes),
            "kinds": [list(kind) for kind in self.kinds],
            "cells": list(self._rows()),
            "rule": dataclasses.asdict(self.rule) | {"code": self.rule.code},
            "finished": self.finished,
        }

    def _rows(self) -> Iterator[dict[str, Any]]:
        for cell, found in sorted(self.cells.items()):
            row = dataclasses.asdict(self.at(cell)) | dataclasses.asdict(found)
            for name in ("ratio", "low", "high"):
                row[name] = None if row[name] is None else rounded(row[name])
            yield row

    def __repr__(self) -> str:
        """The map's extent: the same on every machine."""
        rows = ", ".join(f"{dtype} {layout}" for dtype, layout in self.kinds)
        return f"Crossover({self.name})  sizes {self.sizes[0]:,} to {self.sizes[-1]:,}; {rows}"

    __str__ = __repr__

    def text(self) -> str:
        """With the verdicts and the rule, for a terminal."""
        letters = dict(zip(VERDICTS, "F=E-?", strict=True))
        wide = max(len(f"{dtype} {layout}") for dtype, layout in self.kinds)
        lines = [repr(self), "F fused faster, = tie, E eager faster, - cannot fuse, ? cannot tell"]
        for number, (dtype, layout) in enumerate(self.kinds):
            cells = (self.cells.get(Cell(number, i)) for i in range(len(self.sizes)))
            row = " ".join(letters[found.verdict] if found else "." for found in cells)
            lines.append(f"{f'{dtype} {layout}'.ljust(wide)}  {row}")
        said = f"wrong for {self.rule.wrong} of {self.rule.samples} measured"
        return "\n".join([*lines, f"use_eager = {self.rule.code}  # {said}"])

    def _repr_html_(self) -> str:
        """The map, its table and the rule."""
        return str(importlib.import_module(_PLOT).shown(self))


_COLUMNS = tuple(field.name for kind in (Crossing, Measured) for field in dataclasses.fields(kind))


@dataclasses.dataclass
class Search:
    """A map in the making: what is measured stays when it is stopped.

    Attributes:
        name: of the function.
        sizes: to choose from.
        kinds: (dtype, layout) to choose from.
        measure: a cell's size, dtype and layout, and seconds to spend -> what it says.
        cells: what is known.
        finished: True when every border was found.
    """

    name: str
    sizes: tuple[int, ...]
    kinds: tuple[tuple[str, str], ...]
    measure: Callable[[Crossing, float], Measured]
    cells: dict[Cell, Measured] = dataclasses.field(default_factory=dict)
    finished: bool = False

    def run(
        self, budget: float, tell: Tell | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Measure for `budget` seconds, or until it is finished; `tell` stops it by raising."""
        begin = clock()
        while (left := budget - (clock() - begin)) > 0:
            if tell is not None:
                said = f"{len(self.cells)} cells measured, {left:.0f} s left"
                tell(int(10 * (budget - left)), int(10 * budget), said)
            cell = self._next()
            if cell is None:
                break
            seconds = _SLICE * (_AGAIN if cell in self.cells else 1.0)
            found = self.measure(self._crossing(cell), min(seconds, max(left, 0.05)))
            if cell in self.cells and found.verdict == "cannot tell":
                found = dataclasses.replace(found, note=found.note or "unclear twice")
                self._given_up.add(cell)
            self.cells[cell] = found

    _given_up: set[Cell] = dataclasses.field(default_factory=set)

    def _next(self) -> Cell | None:
        known = {cell: found.verdict for cell, found in self.cells.items()}
        cell = next_cell(known, len(self.kinds), len(self.sizes))
        if cell is not None:
            return cell
        self.finished = True
        unclear = [c for c, said in sorted(known.items()) if said == "cannot tell"]
        return next((c for c in unclear if c not in self._given_up), None)

    def _crossing(self, cell: Cell) -> Crossing:
        return Crossing(self.sizes[cell.size], *self.kinds[cell.kind])

    def result(self) -> Crossover:
        """The map as far as it goes."""
        samples = [
            Sample(
                numel=found.numel,
                dtype=self.kinds[cell.kind][0],
                contiguous=found.contiguous,
                eager=found.verdict != "fused faster",
            )
            for cell, found in sorted(self.cells.items())
            if found.verdict in ("fused faster", "eager faster", "cannot fuse")
        ]
        rule = find_rule(samples)
        return Crossover(self.name, self.sizes, self.kinds, dict(self.cells), rule, self.finished)


def search_of(
    fn: Callable[..., Any], make: Make, sizes: Sequence[int], kinds: Sequence[tuple[str, str]]
) -> Search:
    """A search over a function's calls; `make` says what they are."""
    fused = fn if isinstance(fn, FusedFunction) else fuse(fn)
    if not sizes or not kinds:
        raise UsageError("crossover takes at least one size, one dtype and one layout")

    def measure(at: Crossing, seconds: float) -> Measured:
        args, kwargs = make(at.size, at.dtype, at.layout)
        return _measure(fused, args, kwargs, seconds)

    return Search(fused.name, tuple(sorted(set(sizes))), tuple(kinds), measure)


def _measure(
    fused: FusedFunction, args: tuple[Any, ...], kwargs: dict[str, Any], seconds: float
) -> Measured:
    tensors = [x for x in pytree.tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
    if not tensors:
        raise UsageError("crossover takes a call with at least one tensor")
    first = tensors[0]
    shape = first.numel(), first.is_contiguous()
    entry = fused.entry(args, kwargs)
    if entry.plan is None:
        return Measured("cannot fuse", *shape, note=str(entry.decline or ""))
    found = race(
        fused, args, kwargs, devices=[first.device.type], settings=Settings(seconds=seconds)
    )
    row = found.row("fused")
    if row is None or row.declined:
        return Measured("cannot fuse", *shape, note=row.declined if row else "it did not run")
    return _said(row, *shape)


def _said(row: Row, numel: int, contiguous: bool) -> Measured:  # noqa: FBT001  a property of x
    low, high = row.interval or (None, None)
    verdict = _OF.get(row.outcome, "cannot tell")
    note = row.reason if verdict == "cannot tell" else ""
    return Measured(verdict, numel, contiguous, row.ratio, low, high, note)


def crossover(
    fn: Callable[..., Any],
    *args: Any,
    make_args: Callable[[int, torch.dtype], Any] | None = None,
    sizes: Sequence[int] | None = None,
    dtypes: Sequence[str | torch.dtype] = ("float32",),
    layouts: Sequence[str] = ("contiguous",),
    budget_seconds: float = 20.0,
    tell: Tell | None = None,
    **kwargs: Any,
) -> Crossover:
    """Find out from which size on fused is faster than eager, for each dtype and layout.

    A coarse grid is measured first, then the middle of every gap whose ends differ, until the
    borders lie between neighbours or the budget is spent; cells that could not be told are
    measured again with what is left. Caches are warm, as in a loop. An interrupt (the notebook's
    stop button) ends the search, and what was measured until then is returned.

    Args:
        fn: a function over tensors, or a `FusedFunction`.
        *args: a call, whose first tensor's first extent is changed, in all arguments that have
            it; floating point arguments are cast and laid out anew. Or none, with `make_args`.
        make_args: size and dtype -> the arguments, as a tuple; anything else is the only argument.
        sizes: what to choose from; None for powers of two up to the call's extent, or, with
            `make_args`, from 64 to 4,194,304.
        dtypes: of "float32", "float64", "float16", "bfloat16", or torch's.
        layouts: "contiguous"; "transposed": the last two dimensions swapped in memory;
            "channels_last": of four dimensions the second innermost; "strided": every second
            element of rows twice as long. A tensor with too few dimensions stays as it is.
        budget_seconds: when to stop; what is being measured then is finished.
        tell: told how much is done, of how much, and a word; it stops the search by raising.
        **kwargs: of the call.

    Raises:
        UsageError: there is nothing to choose from, or no such dtype or layout.
    """
    names = [str(dtype_named(dtype)).removeprefix("torch.") for dtype in dtypes]
    if (make_args is None) == (not args and not kwargs):
        raise UsageError("crossover takes the arguments of a call, or make_args, and not both")
    kinds = list(itertools.product(names, map(layout_named, layouts)))
    if make_args is None:
        call = Alterable(args, kwargs)
        chosen = list(sizes) if sizes else call.powers(1, max(call.extent, 1))
        search = search_of(fn, call.make, chosen, kinds)
    else:
        chosen = list(sizes) if sizes else [1 << power for power in range(6, 23)]
        search = search_of(fn, _maker(make_args), chosen, kinds)
    with contextlib.suppress(KeyboardInterrupt):
        search.run(budget_seconds, tell)
    return search.result()


def _maker(make_args: Callable[[int, torch.dtype], Any]) -> Make:
    def make(size: int, dtype: str, layout: str) -> Call:
        made = make_args(size, DTYPES[dtype])
        given = tuple(made) if isinstance(made, tuple | list) else (made,)
        return altered(given, {}, layout=layout)

    return make
