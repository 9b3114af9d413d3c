"""Samples of contenders in turn, A/B/A/B, until every one has enough undisturbed runs.

Machines drift: clocks change, neighbours come and go. Contenders that are measured one after the
other meet different machines; in turns, all meet the same. The first call of each (which traces
and compiles) is kept apart and never enters a median. Who is faster is not for medians to say:
see `stopwatch`.
"""

from __future__ import annotations

import dataclasses
import functools
import gc
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch

from fusekit.bench.measuring.ratio import LOOKS

__all__ = [
    "Settings",
    "Timing",
    "Watch",
    "measure",
    "no_collection",
]

_TICK = 8e-3
"""A thread that lost its core waits for whole slices of the scheduler: multiples of 8 ms."""

_TICK_ERROR = 1.5e-3
"""How far from a multiple of `_TICK` an excess may be to be one of those waits."""

_MOST_SLICES = 4
"""Samples longer than so many slices are disturbed on any shared machine, and less so."""

_REST = 4e-3
"""Seconds to rest after a disturbed sample."""

_FLUSH_BYTES = 1 << 27
"""More than the last cache of the machines this runs on."""

_LONG = 0.05
"""Seconds from which a call is a sample by itself, without trying how many make one."""

_LEAST_RUNS = 5
"""So many rounds are taken even where the time is over."""


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """How to measure.

    Attributes:
        runs: samples of each contender; the most of them, where a verdict is waited for.
        seconds: stop early when all of it took that long.
        sample: calls are repeated until one sample takes that long; a longer call is one sample.
        warmup: samples thrown away.
        flush: write over all caches before each sample, which is then one call.
    """

    runs: int = LOOKS[-1]
    seconds: float = 3.0
    sample: float = 5e-4
    warmup: int = 2
    flush: bool = False

    def __post_init__(self) -> None:
        """UsageError is for users; these are checked where users give them."""
        assert self.runs >= 1
        assert self.warmup >= 0


@dataclasses.dataclass(frozen=True, slots=True)
class Timing:
    """What one contender took, in seconds for one call.

    Attributes:
        name: the contender.
        samples: the undisturbed samples, in the order they were taken.
        first: the first call of all, which may trace and compile.
        inner: calls in one sample.
        disturbed: samples that were thrown away because the scheduler took the core.
        reliable: False if all of them should have been, and stand here for want of better ones.
    """

    name: str
    samples: tuple[float, ...]
    first: float
    inner: int = 1
    disturbed: int = 0
    reliable: bool = True

    @property
    def median(self) -> float:
        """The middle sample."""
        return statistics.median(self.samples)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The samples a quarter from either end."""
        if len(self.samples) < 2:
            return self.samples[0], self.samples[0]
        low, _, high = statistics.quantiles(self.samples, n=4, method="inclusive")
        return low, high

    @property
    def spread(self) -> float:
        """The distance between the quartiles."""
        low, high = self.quartiles
        return high - low

    @property
    def runs(self) -> int:
        """How many samples there are."""
        return len(self.samples)


def measure(
    contenders: Mapping[str, Callable[[], object]],
    settings: Settings | None = None,
    *,
    synchronize: Callable[[], object] | None = None,
    firsts: Mapping[str, float] | None = None,
    tell: Callable[[int, int, str], object] | None = None,
) -> dict[str, Timing]:
    """Time every contender, in turns.

    Args:
        contenders: name -> a call without arguments; what it returns is dropped at once.
        settings: how; None for 25 samples, which fits calls of a microsecond to a second. Each
            contender gets at least five samples.
        synchronize: waits for what a call started (on a GPU).
        firsts: seconds of first calls that the caller already made; the others are made here.
        tell: told after each round how many there were, of how many, and a word; may raise.

    Returns:
        A `Timing` for each name.
    """
    how = settings or Settings(runs=25)
    watches = [Watch(name, call, how, synchronize) for name, call in contenders.items()]
    for watch in watches:
        watch.start((firsts or {}).get(watch.name))
    with no_collection():
        _rounds(watches, how, tell or (lambda _done, _total, _said: None))
    return {watch.name: watch.timing() for watch in watches}


def _rounds(watches: list[Watch], how: Settings, tell: Callable[[int, int, str], object]) -> None:
    for _ in range(how.warmup):
        for watch in watches:
            watch.sample()
    for watch in watches:
        watch.clear()
    end = time.perf_counter() + how.seconds
    rounds = 0
    # a disturbed sample is taken again, but not for ever: a busy machine disturbs all of them
    while rounds < 3 * how.runs and any(watch.kept() < how.runs for watch in watches):
        if rounds >= _LEAST_RUNS and time.perf_counter() > end:
            break
        for watch in watches:
            watch.sample()
        rounds += 1
        tell(min(rounds, how.runs), how.runs, "")


class Watch:
    """One contender.

    Attributes:
        totals: seconds of each sample.
        hosts: seconds of each until the calls had returned, before anything was waited for.
        waits: for each, whether its thread lost the core and it looks like that.
    """

    def __init__(
        self,
        name: str,
        call: Callable[[], object],
        how: Settings,
        synchronize: Callable[[], object] | None,
    ) -> None:
        self.name = name
        self.call = call
        self.how = how
        self.synchronize = synchronize
        self.inner = 1
        self.first = 0.0
        self.host = 0.0
        self.totals: list[float] = []
        self.hosts: list[float] = []
        self.waits: list[bool] = []

    def start(self, first: float | None) -> None:
        """The first call, then how many make one sample."""
        self.first = self._time() if first is None else first
        if self.how.flush:
            return
        if self._time() > _LONG:
            return
        quickest = min(self._time() for _ in range(3))
        while quickest < self.how.sample and self.inner < 1 << 20:
            wanted = self.how.sample / max(quickest, 1e-8) * self.inner
            self.inner = max(2 * self.inner, min(int(wanted * 1.1), 16 * self.inner))
            quickest = min(self._time() for _ in range(2))

    def clear(self) -> None:
        """Forget the samples: they were for warming up."""
        self.totals.clear()
        self.hosts.clear()
        self.waits.clear()

    def sample(self) -> None:
        """One sample more."""
        if self.waits and self.waits[-1]:
            # who has slept is served first: the next sample begins with a fresh slice of both cores
            time.sleep(_REST)
            self.call()
        if self.how.flush:
            _flush()
        before = _switches()
        total = self._time()
        self.totals.append(total)
        self.hosts.append(self.host)
        self.waits.append(_switches() > before and _is_waiting(total))

    def kept(self) -> int:
        """How many samples are undisturbed so far."""
        return sum(self.is_kept())

    def timing(self) -> Timing:
        """What came out."""
        kept = [total for total, fine in zip(self.totals, self.is_kept(), strict=True) if fine]
        samples = tuple(total / self.inner for total in kept or self.totals)
        lost = len(self.totals) - len(kept)
        return Timing(self.name, samples, self.first, self.inner, lost, bool(kept))

    def is_kept(self) -> list[bool]:
        """For each sample, whether it is undisturbed."""
        quickest = min(self.totals, default=0.0)
        return [
            not waited and not is_disturbed(total, quickest)
            for total, waited in zip(self.totals, self.waits, strict=True)
        ]

    def _time(self) -> float:
        call, count = self.call, range(self.inner)
        start = time.perf_counter()
        for _ in count:
            call()
        self.host = time.perf_counter() - start
        if self.synchronize is not None:
            self.synchronize()
        return time.perf_counter() - start


def is_disturbed(total: float, quickest: float) -> bool:
    """True if a sample differs from the quickest as one does that lost its core."""
    excess = total - quickest
    slices = round(excess / _TICK)
    return slices >= 1 and excess > quickest / 4 and abs(excess - slices * _TICK) < _TICK_ERROR


def _is_waiting(total: float) -> bool:
    """True if a whole sample looks like waiting: where every one waits, none is quicker."""
    slices = round(total / _TICK)
    return 1 <= slices <= _MOST_SLICES and abs(total - slices * _TICK) < _TICK_ERROR / 2


def _switches() -> int:
    """How often a thread of this process lost its core against its will."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


@functools.cache
def _trash() -> torch.Tensor:
    return torch.zeros(_FLUSH_BYTES // 4)


def _flush() -> None:
    """Replace what the caches hold, on the CPU and on the current GPU."""
    _trash().add_(1.0)
    if torch.cuda.is_available():
        torch.empty(_FLUSH_BYTES, dtype=torch.uint8, device="cuda").zero_()
        torch.cuda.synchronize()


@contextmanager
def no_collection() -> Iterator[None]:
    """The garbage collector comes when it likes, and would be counted."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
