"""What a run on the GPU found, and which goals it reaches."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence

from fusekit.bench.gpu.traffic import Traffic
from fusekit.bench.measuring.timing import Timing

__all__ = ["Goal", "GpuRow", "GpuRun", "Machine", "goals"]

_SHARE, _MEAN, _WORST, _COMPILE, _HOST = 0.97, 0.97, 1.02, 0.06, 8 / 39


@dataclasses.dataclass(frozen=True)
class Machine:
    """Where and when."""

    device: str
    driver: str
    torch: str
    fusekit: str
    date: str


@dataclasses.dataclass(frozen=True)
class GpuRow:
    """One workload.

    Attributes:
        name: of the workload.
        title: one line for people.
        traffic: the bytes it must move.
        timings: contender -> its times on the device; "copy" moves `traffic.moved` bytes.
        firsts: contender -> seconds of its first call, compiling included.
        kernels: seconds of generating and compiling each fused kernel.
        notes: contender -> why it was not measured, what is wrong with it, or what to know of it.
        wrong: contenders whose results are not eager's.
    """

    name: str
    title: str
    traffic: Traffic
    timings: Mapping[str, Timing]
    firsts: Mapping[str, float]
    kernels: tuple[float, ...]
    notes: Mapping[str, str]
    wrong: tuple[str, ...] = ()

    @property
    def rate(self) -> float | None:
        """Bytes a second that fused moves."""
        fused = self.timings.get("fused")
        return self.traffic.moved / fused.median if fused else None

    @property
    def share(self) -> float | None:
        """Of the copy bandwidth, measured in the same rounds on as many bytes."""
        over = self.over("copy")
        return 1 / over if over else None

    def over(self, name: str) -> float | None:
        """Time of fused over the time of a contender; None if either is missing or wrong."""
        fused, other = self.timings.get("fused"), self.timings.get(name)
        if fused is None or other is None or {"fused", name} & {*self.wrong}:
            return None
        return fused.median / other.median


@dataclasses.dataclass(frozen=True)
class GpuRun:
    """All of it.

    Attributes:
        machine: where and when.
        side: the size parameter of the workloads.
        runs: samples of each contender.
        copy: times of one copy of `copy_bytes` to as many.
        copy_bytes: read, and written again.
        host: contender -> what one call on tiny tensors costs the host.
        rows: the workloads.
        notes: what went wrong apart from them.
        seconds: what the run took so far.
    """

    machine: Machine
    side: int
    runs: int
    copy: Timing | None = None
    copy_bytes: int = 0
    host: Mapping[str, Timing] = dataclasses.field(default_factory=dict)
    rows: tuple[GpuRow, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class Goal:
    """One figure to reach.

    Attributes:
        name: what.
        value: measured; None if it could not be.
        bound: what it must be.
        at_least: True if more is better.
        unit: "s", or "" for a ratio.
        detail: of how many rows, which is the worst.
        complete: False if a row is missing: what is measured may miss the goal, but not reach it.
    """

    name: str
    value: float | None
    bound: float
    at_least: bool
    unit: str
    detail: str
    complete: bool = True

    @property
    def reached(self) -> bool | None:
        """Whether; None if it cannot be told."""
        if self.value is None:
            return None
        good = self.value >= self.bound if self.at_least else self.value <= self.bound
        return good if self.complete or not good else None


def goals(run: GpuRun) -> list[Goal]:
    """Every goal, judged on what was measured."""
    shares = {row.name: row.share for row in run.rows}
    inductor = {row.name: row.over("inductor") for row in run.rows}
    return [
        _of("share of the copy bandwidth, worst", shares, min, _SHARE, at_least=True),
        _of(
            "share of the copy bandwidth, median", shares, statistics.median, _SHARE, at_least=True
        ),
        _of("time over Inductor's, geometric mean", inductor, statistics.geometric_mean, _MEAN),
        _of("time over Inductor's, worst", inductor, max, _WORST),
        _compile(run.rows),
        _host(run.host),
    ]


def _of(
    name: str,
    values: Mapping[str, float | None],
    reduce: Callable[..., float],
    bound: float,
    *,
    at_least: bool = False,
) -> Goal:
    known = {key: value for key, value in values.items() if value is not None}
    if not known:
        return Goal(name, None, bound, at_least, "", "not measured")
    detail = f"{len(known)} of {len(values)} rows"
    if reduce in (min, max):
        detail = f"{reduce(known, key=known.__getitem__)}, {detail}"
    value = float(reduce(known.values()))
    return Goal(name, value, bound, at_least, "", detail, len(known) == len(values))


def _compile(rows: Sequence[GpuRow]) -> Goal:
    name = "a new kernel, disk cache off, median"
    seconds = [taken for row in rows for taken in row.kernels]
    if not seconds:
        return Goal(name, None, _COMPILE, at_least=False, unit="s", detail="not measured")
    detail = f"{len(seconds)} kernels, {1e3 * min(seconds):.3g} to {1e3 * max(seconds):.3g} ms"
    median, complete = statistics.median(seconds), all(row.kernels for row in rows)
    return Goal(name, median, _COMPILE, at_least=False, unit="s", detail=detail, complete=complete)


def _host(host: Mapping[str, Timing]) -> Goal:
    name = "host time of a call over eager's"
    if not {"fused", "eager"} <= {*host}:
        return Goal(name, None, _HOST, at_least=False, unit="", detail="not measured")
    said = ", ".join(f"{who} {1e6 * timing.median:.3g} µs" for who, timing in host.items())
    ratio = host["fused"].median / host["eager"].median
    return Goal(name, ratio, _HOST, at_least=False, unit="", detail=said)
