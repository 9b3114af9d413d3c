"""Runs of equal stretches in a sequence: the layers of a model in the order of its operators."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence

__all__ = ["Run", "repeats"]

LEAST = 3
"""Fewer repetitions than this are not worth a box of their own."""

_PERIODS = 24
"""Periods that are tried: the commonest distances between equal items."""


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """Items `start` to `start + period * count`, which are one stretch, `count` times.

    Attributes:
        start: index of the first item.
        period: items in one stretch.
        count: how many there are.
        slack: by how many items the run may begin later, and still hold as many.
    """

    start: int
    period: int
    count: int
    slack: int

    @property
    def stop(self) -> int:
        """The index after the last item."""
        return self.start + self.period * self.count


def repeats(items: Sequence[Hashable]) -> list[Run]:
    """The runs that cover most, disjoint and in order; it takes time in proportion to `items`.

    Of two that cover the same, the one of the shorter period.
    """
    found = [run for period in _periods(items) for run in _runs(items, period)]
    found.sort(key=lambda run: (-run.period * run.count, run.period, run.start))
    taken = bytearray(len(items))
    kept = []
    for run in found:
        if not taken[run.start] and not any(taken[run.start : run.stop]):
            taken[run.start : run.stop] = b"\1" * (run.stop - run.start)
            kept.append(run)
    return sorted(kept, key=lambda run: run.start)


def _periods(items: Sequence[Hashable]) -> list[int]:
    """Distances between an item and the next one that equals it, the commonest first."""
    last: dict[Hashable, int] = {}
    votes: Counter[int] = Counter()
    for index, item in enumerate(items):
        if item in last:
            votes[index - last[item]] += 1
        last[item] = index
    return [period for period, _ in votes.most_common(_PERIODS)]


def _runs(items: Sequence[Hashable], period: int) -> Iterator[Run]:
    start = 0
    for index in range(len(items) - period + 1):
        if index < len(items) - period and items[index] == items[index + period]:
            continue
        count = (index - start) // period + 1
        if count >= LEAST:
            yield Run(start, period, count, (index - start) % period)
        start = index + 1
