"""Rounds of all contenders on the CPU, each in the state that it leaves behind itself.

A call of the contender goes before each of its samples, untimed: what another one left in the
caches, or gave back to the heap, is nobody's merit and nobody's fault. Rounds begin with another
contender each time.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping

from fusekit.bench.measuring.observer import Observer
from fusekit.bench.measuring.timing import Settings, Watch, no_collection

__all__ = ["Rounds", "Taken", "take_rounds"]

_SHORT = 0.1
"""Seconds; what takes longer than that finds its own state in any case."""

_PATIENCE = 3
"""Times `seconds` after which even fewer rounds than `least` must do."""


@dataclasses.dataclass(frozen=True, slots=True)
class Rounds:
    """How many.

    Attributes:
        most: undisturbed rounds that are enough.
        least: as many are tried for, also when `seconds` are over.
        seconds: for one race.
    """

    most: int = 31
    least: int = 9
    seconds: float = 6.0


@dataclasses.dataclass(frozen=True)
class Taken:
    """The samples of one race.

    Attributes:
        samples: contender -> seconds of one call in each undisturbed round.
        lost: rounds that were dropped.
        load: share of the processor that others took; None if unknown.
    """

    samples: Mapping[str, tuple[float, ...]]
    lost: int
    load: float | None


def take_rounds(calls: Mapping[str, Callable[[], object]], how: Rounds) -> Taken:
    """Time every call in rounds."""
    watches = [Watch(name, call, Settings(), None) for name, call in calls.items()]
    for watch in watches:
        watch.start(0.0)
    observer = Observer()
    with no_collection():
        for watch in watches:
            watch.sample()
            watch.clear()
        _rounds(watches, how)
    kept = _kept(watches)
    fine = kept if any(kept) else [True] * len(kept)  # better disturbed samples than none
    samples = {
        watch.name: tuple(
            total / watch.inner for total, keep in zip(watch.totals, fine, strict=True) if keep
        )
        for watch in watches
    }
    lost = len(kept) - sum(kept)
    return Taken(samples, lost, observer.surroundings(sum(kept), lost).others)


def _rounds(watches: list[Watch], how: Rounds) -> None:
    begin = time.perf_counter()
    number = 0
    while True:
        turn = number % len(watches)
        for watch in watches[turn:] + watches[:turn]:
            if not watch.totals or watch.totals[-1] < _SHORT:
                watch.call()
            watch.sample()
        number += 1
        spent, counted = time.perf_counter() - begin, sum(_kept(watches))
        if counted >= how.most or spent > _PATIENCE * how.seconds:
            return
        if spent > how.seconds and counted >= how.least:
            return


def _kept(watches: list[Watch]) -> list[bool]:
    """For each round, whether no sample of it is disturbed: pairs stay pairs."""
    return [all(fine) for fine in zip(*(watch.is_kept() for watch in watches), strict=True)]
