"""The stopwatch: rounds of all contenders until the ratio is known well enough, or why it is not.

It looks at the ratios after certain numbers of rounds and stops as soon as every contender has a
verdict and a ratio worth saying. Looking several times is paid for in the width of the interval
(see `ratio`).
"""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from fusekit.bench.causes import Cause, Surroundings, cause_of, is_too_busy
from fusekit.bench.comparison import Comparison, Row, devices_of
from fusekit.bench.contenders import Contender, Skipped, find_contenders
from fusekit.bench.observer import Observer
from fusekit.bench.ratio import LOOKS, Ratio, decide, is_settled, ratio_of
from fusekit.bench.report import seconds_text
from fusekit.bench.timing import Outcome, Settings, Timing, Watch, no_collection

__all__ = ["Tell", "Told", "race", "take", "told"]

Tell = Callable[[int, int, str], object]
"""Told how much is done, of how much, and what in words; it stops the work by raising."""

_WARMUP = 2

_LEAST_SECONDS = 0.25
"""What a race takes at least, so that it sees what else the machine does."""

_CAVEATS = ("first-run compile", "other load", "clock")
"""Causes that are worth a word even where the verdict is clear."""


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """What the rounds say about one contender.

    Attributes:
        outcome: against the baseline.
        ratio: the baseline's time over this one's.
        cause: why it cannot be told; its kind is "" if it can.
        caveat: what disturbed the measurement although it can be told; "" if nothing did.
    """

    outcome: Outcome
    ratio: Ratio
    cause: Cause
    caveat: str = ""

    @property
    def sentence(self) -> str:
        """The cause, or the ratio and its interval."""
        found = self.ratio
        return self.cause.sentence or f"{found.median:.3g}× ({found.low:.3g} to {found.high:.3g})"


@dataclasses.dataclass(frozen=True)
class Taken:
    """All samples of a race.

    Attributes:
        samples: name -> seconds of one call in each round that counts; the baseline comes first.
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
    synchronize: Callable[[], object] | None = None,
    firsts: Mapping[str, float] | None = None,
    tell: Tell | None = None,
) -> Taken:
    """Time contenders in rounds until all are told from the first one, or `how.seconds` are over.

    Args:
        contenders: name -> a call without arguments; the first is the baseline.
        how: `runs` is the most rounds.
        synchronize: waits for what a call started (on a GPU).
        firsts: seconds of first calls that were made already.
        tell: told after every round how far it is and what is known.
    """
    watches = [Watch(name, call, how, synchronize) for name, call in contenders.items()]
    for watch in watches:
        watch.start((firsts or {}).get(watch.name))
    with no_collection():
        for watch in watches * _WARMUP:
            watch.sample()
        for watch in watches:
            watch.clear()
        observer = Observer()
        _rounds(watches, how, observer, tell or (lambda _done, _total, _said: None))
    return _taken(watches, observer)


def _rounds(watches: list[Watch], how: Settings, observer: Observer, tell: Tell) -> None:
    begin, said = time.perf_counter(), ""
    looks = [rounds for rounds in LOOKS if rounds <= how.runs]
    for rounds in range(1, 2 * how.runs + 1):
        for watch in watches:
            watch.sample()
        observer.spin()
        spent = time.perf_counter() - begin
        tell(int(10 * min(spent, how.seconds)), math.ceil(10 * how.seconds), said)
        counted = sum(_kept(watches))
        if looks and counted >= looks[0]:
            looks = [look for look in looks if look > counted]
            said, is_done = _look(watches, counted)
            if not looks or (is_done and spent >= _LEAST_SECONDS):
                return
        if spent > how.seconds and rounds >= 2:
            return


def _look(watches: list[Watch], counted: int) -> tuple[str, bool]:
    """What is known so far in words, and whether that is enough."""
    samples = _samples(watches)
    base, *others = samples.values()
    found = [ratio_of(base, other) for other in others]
    names = list(samples)[1:]
    parts = [
        f"{name} {ratio.low:.3g}× to {ratio.high:.3g}×"
        for name, ratio in zip(names, found, strict=True)
    ]
    said = f"after {counted} rounds: {', '.join(parts)}"
    return said, all(map(is_settled, found))


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
        pair = (watches[0], watch)
        around[watch.name] = dataclasses.replace(
            common,
            sample=min(min(each.totals) for each in pair),
            host=min(_host_share(each) for each in pair),
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


def told(taken: Taken) -> dict[str, Told]:
    """The verdict on every contender but the baseline."""
    (_, base), *others = taken.samples.items()
    found = {}
    for name, samples in others:
        ratio = ratio_of(base, samples)
        outcome = decide(ratio)
        cause = cause_of(taken.around[name], ratio)
        if outcome is None or is_too_busy(taken.around[name]):
            found[name] = Told("cannot tell", ratio, cause)
        else:
            caveat = cause.sentence if cause.kind in _CAVEATS else ""
            found[name] = Told(outcome, ratio, Cause("", ""), caveat)
    return found


def race(
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any] | None = None,
    *,
    against: Sequence[str] = ("eager",),
    seconds: float = 3.0,
    flush: bool = True,
    devices: Iterable[str] | None = None,
    tell: Tell | None = None,
) -> Comparison:
    """Time one call fused and not until there is a verdict, on every device that is here.

    Args:
        fn: a function over tensors, a `FusedFunction`, or a `Compiled` program.
        args: positional arguments of the call; every contender works on copies.
        kwargs: its keyword arguments.
        against: of "eager" and "inductor"; the first is the baseline.
        seconds: the most time for the rounds on one device; compiling comes on top.
        flush: write over the caches before each sample, which is then one call; else samples are
            half a millisecond of calls with warm caches.
        devices: "cpu", "cuda"; None for the arguments' own and for the GPU if there is one.
        tell: told how far it is.
    """
    how = Settings(runs=LOOKS[-1], seconds=seconds, flush=flush)
    rows: list[Row] = []
    skipped: list[Skipped] = []
    for device in devices_of(devices, (args, kwargs)):
        if device == "cuda" and not torch.cuda.is_available():
            skipped.append(Skipped("", device, "no GPU that torch can use"))
            continue
        if tell is not None:
            tell(0, math.ceil(10 * seconds), "first calls")
        found, missing = find_contenders(
            fn, args, dict(kwargs or {}), device=device, engines=None, against=against
        )
        skipped += missing
        rows += _rows(found, device, how, tell) if found else []
    name = getattr(fn, "__name__", type(fn).__name__)
    return Comparison(name, tuple(rows), tuple(skipped), how, _method(rows, how))


def _rows(
    found: Sequence[Contender], device: str, how: Settings, tell: Tell | None
) -> Iterable[Row]:
    taken = take(
        {contender.name: contender.call for contender in found},
        how,
        synchronize=torch.cuda.synchronize if device == "cuda" else None,
        firsts={contender.name: contender.first for contender in found},
        tell=tell,
    )
    verdicts = told(taken)
    for index, contender in enumerate(found):
        timing = taken.timings[contender.name]
        plain = Row(contender.name, device, contender.engine, timing, None, "", "")
        plain = dataclasses.replace(plain, declined=contender.declined)
        said = verdicts.get(contender.name)
        if said is None:
            is_fused = contender.name.startswith("fused")
            yield dataclasses.replace(plain, outcome="" if is_fused or index else "baseline")
            continue
        ratio = said.ratio
        bounded = math.isfinite(ratio.high)
        yield dataclasses.replace(
            plain,
            ratio=ratio.median,
            outcome=said.outcome,
            reason=_reason(said, found[0].name),
            interval=(ratio.low, ratio.high) if bounded else None,
            cause=said.cause.kind,
        )


def _reason(said: Told, baseline: str) -> str:
    if said.cause.sentence:
        return said.cause.sentence
    interval = f"{said.ratio.low:.3g} to {said.ratio.high:.3g}"
    caveat = f"; {said.caveat}" if said.caveat else ""
    return f"{said.ratio.median:.3g}× as fast as {baseline} ({interval}){caveat}"


def _method(rows: Sequence[Row], how: Settings) -> str:
    timings = [row.timing for row in rows]
    inner = sorted({timing.inner for timing in timings})
    calls = "one call" if inner in ([], [1]) else f"{inner[0]} to {inner[-1]} calls"
    flushed = "caches written over before each" if how.flush else "caches warm"
    lost = max((timing.disturbed for timing in timings), default=0)
    dropped = f"; {lost} disturbed rounds dropped" if lost else ""
    first = ", ".join(f"{row.name} {seconds_text(row.timing.first)}" for row in rows)
    return (
        f"Medians of samples of {calls}, taken in rounds of all contenders, {flushed}; the "
        f"interval holds the true median ratio with 95 %; within 2 % is a tie; "
        f"{torch.get_num_threads()} threads{dropped}. First calls, apart: {first}."
    )
