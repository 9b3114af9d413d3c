"""What else a machine does while samples are taken: others' load, compiles, the clock's speed."""

from __future__ import annotations

import os
import resource
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from fusekit.bench.measuring.causes import Surroundings
from fusekit.runtime.stats import counters

__all__ = ["Observer"]

_SPINS = 4000
"""Turns of an empty loop: a tenth of a millisecond of work that only the clock's speed changes."""

_SHORTEST = 0.2
"""Seconds below which the kernel's counts, in hundredths, say nothing."""


class Observer:
    """Watches the machine while samples are taken."""

    def __init__(self) -> None:
        self._begin = time.perf_counter()
        self._busy, self._own = _busy_seconds(), _own_seconds()
        self._kernels = counters.kernels
        self._spins: list[float] = []

    def spin(self) -> None:
        """Time the fixed piece of work."""
        times = []
        for _ in range(3):
            start = time.perf_counter()
            for _turn in range(_SPINS):
                pass
            times.append(time.perf_counter() - start)
        self._spins.append(min(times))

    def surroundings(self, rounds: int, lost: int) -> Surroundings:
        """What was seen since the beginning."""
        return Surroundings(
            rounds=rounds,
            lost=lost,
            compiles=counters.kernels - self._kernels,
            others=self._others(),
            drift=_drift(self._spins),
            step=_clock_step(),
        )

    def _others(self) -> float | None:
        busy, elapsed = _busy_seconds(), time.perf_counter() - self._begin
        if busy is None or self._busy is None or busy <= self._busy or elapsed < _SHORTEST:
            return None
        elapsed *= os.cpu_count() or 1
        mine = _own_seconds() - self._own
        return min(1.0, max(0.0, busy - self._busy - mine) / max(elapsed, 1e-9))


def _drift(spins: Sequence[float]) -> float:
    third = len(spins) // 3
    if third < 2:
        return 0.0
    first, last = statistics.median(spins[:third]), statistics.median(spins[-third:])
    return last / first - 1


def _own_seconds() -> float:
    """Of this process, and of those that it started and waited for."""
    both = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(taken.ru_utime + taken.ru_stime for taken in both)


def _busy_seconds() -> float | None:
    """Seconds that all cores together have worked, for whomever; None where Linux does not say."""
    try:
        words = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
        user, nice, system, _idle, _wait, irq, soft, steal = map(int, words[1:9])
    except (OSError, ValueError):
        return None
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")


def _clock_step() -> float:
    """The least time that two readings of the clock can be apart."""
    return min(-(time.perf_counter() - time.perf_counter()) for _ in range(100))
