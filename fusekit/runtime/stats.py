"""Counters: what was compiled, launched, left to PyTorch, and why."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import weakref
from collections.abc import Callable, Mapping

from fusekit import events
from fusekit.locks import lock
from fusekit.runtime.pool import pool
from fusekit.specs import Decline

__all__ = ["CallCounter", "Stats", "counters"]


@dataclasses.dataclass(frozen=True)
class Stats:
    """A snapshot of the process's counters.

    Attributes:
        kernels: kernels compiled (or taken from the disk cache).
        launches: kernel launches.
        opaque_calls: operators that PyTorch ran between kernels.
        hits: calls served by something prepared before.
        misses: calls that had to be captured first.
        compile_seconds: time spent generating and compiling.
        fallbacks: reason code -> calls that PyTorch ran whole.
        specs: distinct fusion groups seen; one that nothing held any more counts again.
        reuses: large results on the CPU that lie where a dead one did.
        idle_bytes: memory of dead ones that is kept for that (option `pool_bytes`).
    """

    kernels: int = 0
    launches: int = 0
    opaque_calls: int = 0
    hits: int = 0
    misses: int = 0
    compile_seconds: float = 0.0
    fallbacks: Mapping[str, int] = dataclasses.field(default_factory=dict)
    specs: int = 0
    reuses: int = 0
    idle_bytes: int = 0


class CallCounter:
    """Counts the calls of one plan; `tick` is a C function, safe in threads without a lock."""

    def __init__(self, launches: int, opaque_calls: int) -> None:
        """Each tick stands for that many launches and opaque calls."""
        self.launches = launches
        self.opaque_calls = opaque_calls
        self.count = itertools.count()
        self.tick: Callable[[], int] = self.count.__next__

    @property
    def calls(self) -> int:
        """How often it ticked."""
        return _ticks(self.count)


def _ticks(count: itertools.count[int]) -> int:
    """How often it was advanced: an itertools.count shows its state only in its repr."""
    return int(repr(count)[6:-1])


@dataclasses.dataclass(frozen=True, slots=True)
class _Tally:
    """A plan's counter without the plan, so that it outlives it."""

    count: itertools.count[int]
    launches: int
    opaque_calls: int

    @property
    def calls(self) -> int:
        """How often it ticked."""
        return _ticks(self.count)


class Counters:
    """The process's counters."""

    def __init__(self) -> None:
        """All zero."""
        self._lock = lock()
        self._live: dict[weakref.ref[CallCounter], _Tally] = {}
        self._dead: collections.deque[weakref.ref[CallCounter]] = collections.deque()
        self._retired: collections.Counter[str] = collections.Counter()
        self._fallbacks: collections.Counter[str] = collections.Counter()
        self.kernels = 0
        self.misses = 0
        self.compile_seconds = 0.0
        self.specs: Callable[[], int] = int

    def add_plan(self, counter: CallCounter) -> None:
        """Include a plan's counter in the sums, also after the plan is gone."""
        tally = _Tally(counter.count, counter.launches, counter.opaque_calls)
        # garbage collection may call this while our lock is held: it must not take it
        alive = weakref.ref(counter, self._dead.append)
        with self._lock:
            self._bury()
            self._live[alive] = tally

    def _bury(self) -> None:
        """Add up the tallies of plans that are gone; the lock is held."""
        while self._dead:
            tally = self._live.pop(self._dead.popleft())
            self._retired["hits"] += max(tally.calls - 1, 0)
            self._retired["launches"] += tally.calls * tally.launches
            self._retired["opaque_calls"] += tally.calls * tally.opaque_calls

    def compiled(self, seconds: float) -> None:
        """Count one more kernel."""
        with self._lock:
            self.kernels += 1
            self.compile_seconds += seconds

    def missed(self) -> None:
        """Count a call that found nothing prepared."""
        with self._lock:
            self.misses += 1

    def fell_back(self, function: str, decline: Decline) -> None:
        """Count a call that PyTorch ran whole."""
        with self._lock:
            self._fallbacks[decline.code] += 1
        events.emit(events.Declined(function, decline.code, str(decline)))

    def snapshot(self) -> Stats:
        """The counters as they are now."""
        with self._lock:
            self._bury()
            live = [(t.calls, t.launches, t.opaque_calls) for t in self._live.values()]
            # the first call of a plan is the one that missed
            hits = self._retired["hits"] + sum(max(n - 1, 0) for n, _, _ in live)
            return Stats(
                kernels=self.kernels,
                launches=self._retired["launches"] + sum(n * k for n, k, _ in live),
                opaque_calls=self._retired["opaque_calls"] + sum(n * k for n, _, k in live),
                hits=hits,
                misses=self.misses,
                compile_seconds=self.compile_seconds,
                fallbacks=dict(self._fallbacks),
                specs=self.specs(),
                reuses=pool.reuses,
                idle_bytes=pool.idle_bytes(),
            )


counters = Counters()
"""The only one."""
