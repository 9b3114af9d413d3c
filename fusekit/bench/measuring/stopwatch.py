"""The stopwatch: rounds of all contenders until the ratio is known well enough, or why it is not.

It looks at the ratios after certain numbers of rounds and stops as soon as every pair of contenders
that is asked for has a verdict and a ratio worth saying. Looking several times is paid for in the
width of the interval (see `ratio`). Whatever fusekit says to be faster or slower was told here.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

from fusekit.bench.measuring.causes import Cause, Surroundings, cause_of, is_too_busy
from fusekit.bench.measuring.observer import Observer
from fusekit.bench.measuring.ratio import LOOKS, Outcome, Ratio, decide, is_settled, ratio_of
from fusekit.bench.measuring.timing import Settings, Timing, Watch, no_collection

__all__ = ["Taken", "Tell", "Told", "take", "told"]

Tell = Callable[[int, int, str], object]
"""Told how much is done, of how much, and what in words; it stops the work by raising."""

_LEAST_SECONDS = 0.25
"""What a race takes at least, so that it sees what else the machine does."""

_CAVEATS = ("first-run compile", "other load", "clock")
"""Causes that are worth a word even where the verdict is clear."""


Pair = tuple[str, str]
"""A baseline, and who is told to be faster or slower than it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """What the rounds say about one contender.

    Attributes:
        baseline: who it is measured against.
        outcome: against the baseline.
        ratio: the baseline's time over this one's.
        cause: why it cannot be told; its kind is "" if it can.
        caveat: what disturbed the measurement although it can be told; "" if nothing did.
    """

    baseline: str
    outcome: Outcome
    ratio: Ratio
    cause: Cause
    caveat: str = ""

    @property
    def sentence(self) -> str:
        """The cause, or the ratio with its interval and the caveat."""
        found = self.ratio
        interval = f"{found.low:.3g} to {found.high:.3g}"
        said = f"{found.median:.3g}× as fast as {self.baseline} ({interval})"
        return self.cause.sentence or "; ".join(filter(None, (said, self.caveat)))


@dataclasses.dataclass(frozen=True)
class Taken:
    """All samples of a race.

    Attributes:
        samples: name -> seconds of one call in each round that counts.
        around: name -> what else happened, as far as it concerns that contender.
        timings: name -> the same samples with the first call and what was dropped.
    """

    samples: Mapping[str, Sequence[float]]
    around: Mapping[str, Surroundings]
    timings: Mapping[str, Timing]


def take(
    contenders: Mapping[str, Callable[[], object]],
    how: Settings,
    *,
    pairs: Sequence[Pair] | None = None,
    synchronize: Callable[[], object] | None = None,
    firsts: Mapping[str, float] | None = None,
    tell: Tell | None = None,
) -> Taken:
    """Time contenders in rounds until all pairs are told apart, or `how.seconds` are over.

    Args:
        contenders: name -> a call without arguments.
        how: `runs` is the most rounds that count.
        pairs: who is to be told from whom; None for all from the first contender.
        synchronize: waits for what a call started (on a GPU).
        firsts: seconds of first calls that were made already.
        tell: told after every round how far it is and what is known.
    """
    watches = [Watch(name, call, how, synchronize) for name, call in contenders.items()]
    for watch in watches:
        watch.start((firsts or {}).get(watch.name))
    first, *others = contenders
    wanted = [(first, other) for other in others] if pairs is None else pairs
    with no_collection():
        for watch in watches * how.warmup:
            watch.sample()
        for watch in watches:
            watch.clear()
        observer = Observer()
        _rounds(watches, how, wanted, observer, tell or (lambda _done, _total, _said: None))
    return _taken(watches, observer)


def _rounds(
    watches: list[Watch], how: Settings, pairs: Sequence[Pair], observer: Observer, tell: Tell
) -> None:
    begin, said = time.perf_counter(), ""
    looks = list(LOOKS)
    # a disturbed round is taken again, but not for ever: a busy machine disturbs all of them
    for rounds in range(1, 2 * how.runs + 1):
        # whoever comes first is a few percent slower, so every other round is reversed
        for watch in watches[:: 1 if rounds % 2 else -1]:
            watch.sample()
        observer.spin()
        spent = time.perf_counter() - begin
        tell(int(10 * min(spent, how.seconds)), math.ceil(10 * how.seconds), said)
        counted = sum(_kept(watches))
        if looks and counted >= looks[0]:
            looks = [look for look in looks if look > counted]
            said, is_done = _look(watches, pairs, counted)
            if is_done and spent >= _LEAST_SECONDS:
                return
        if counted >= how.runs or (spent > how.seconds and rounds >= 2):
            return


def _look(watches: list[Watch], pairs: Sequence[Pair], counted: int) -> tuple[str, bool]:
    """What is known so far in words, and whether that is enough."""
    samples = _samples(watches)
    found = {pair: ratio_of(*(samples[name] for name in pair)) for pair in pairs}
    parts = [f"{name} {ratio.low:.3g}× to {ratio.high:.3g}×" for (_, name), ratio in found.items()]
    return f"after {counted} rounds: {', '.join(parts)}", all(map(is_settled, found.values()))


def _kept(watches: list[Watch]) -> list[bool]:
    """For each round, whether no sample of it is disturbed: pairs stay pairs."""
    return [all(fine) for fine in zip(*(watch.is_kept() for watch in watches), strict=True)]


def _samples(watches: list[Watch]) -> dict[str, list[float]]:
    kept = _kept(watches)
    kept = kept if any(kept) else [True] * len(kept)
    return {
        watch.name: [
            total / watch.inner for total, fine in zip(watch.totals, kept, strict=True) if fine
        ]
        for watch in watches
    }


def _taken(watches: list[Watch], observer: Observer) -> Taken:
    samples = _samples(watches)
    kept = _kept(watches)
    common = observer.surroundings(sum(kept), len(kept) - sum(kept))
    around, timings = {}, {}
    for watch in watches:
        around[watch.name] = dataclasses.replace(
            common, sample=min(watch.totals), host=_host_share(watch)
        )
        timings[watch.name] = Timing(
            name=watch.name,
            samples=tuple(samples[watch.name]),
            first=watch.first,
            inner=watch.inner,
            disturbed=common.lost,
            reliable=any(kept),
        )
    return Taken(samples, around, timings)


def _host_share(watch: Watch) -> float:
    if watch.synchronize is None:
        return 0.0
    pairs = zip(watch.hosts, watch.totals, strict=True)
    return statistics.median(host / max(total, 1e-12) for host, total in pairs)


def told(taken: Taken, baseline: str, other: str) -> Told:
    """Whether `other` is faster than `baseline`, or why that cannot be told."""
    ratio = ratio_of(taken.samples[baseline], taken.samples[other])
    around = _around_both(taken.around[baseline], taken.around[other])
    outcome, cause = decide(ratio), cause_of(around, ratio)
    if outcome is None or is_too_busy(around):
        return Told(baseline, "cannot tell", ratio, cause)
    caveat = cause.sentence if cause.kind in _CAVEATS else ""
    return Told(baseline, outcome, ratio, Cause("", ""), caveat)


def _around_both(one: Surroundings, other: Surroundings) -> Surroundings:
    """The shorter sample is the one that a clock may be too coarse for."""
    return dataclasses.replace(
        one, sample=min(one.sample, other.sample), host=min(one.host, other.host)
    )
