"""`Sweep`: the same comparison at many sizes; and that by the stopwatch, in this process."""

from __future__ import annotations

import dataclasses
import importlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypedDict

from fusekit.bench.measuring.comparing import race
from fusekit.bench.measuring.comparison import Comparison, TimingDict
from fusekit.bench.measuring.contenders import device_of
from fusekit.bench.measuring.ratio import Outcome
from fusekit.bench.measuring.stopwatch import Tell
from fusekit.bench.measuring.timing import Settings
from fusekit.bench.report import sweep_table, sweep_text
from fusekit.bench.workers import Worker, side_by_side

__all__ = ["Point", "Sweep", "SweepRowDict", "points_of"]

_PLOT = "fusekit.viz.measured.sweepplot"
"""Imported when a notebook shows a sweep: measuring works without it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    """One size.

    Attributes:
        size: what `make_args` was given.
        comparison: what was measured there; it has no rows if that failed.
        error: why there is nothing; "" if there is.
        traceback: of that error, if it was raised where it was measured.
        worker: who measured; None if that is not known.
        span: when, in seconds since the epoch by the worker's clock.
    """

    size: int
    comparison: Comparison
    error: str = ""
    traceback: str = ""
    worker: Worker | None = None
    span: tuple[float, float] = (0.0, 0.0)

    @property
    def outcome(self) -> Outcome | Literal["failed"]:
        """Of the comparison."""
        return "failed" if self.error else self.comparison.outcome


class SweepRowDict(TypedDict):
    """One size as plain data; `worker` is a place in the list of workers, if it is known."""

    size: int
    timing: TimingDict
    error: str
    worker: int | None


@dataclasses.dataclass(frozen=True, repr=False)
class Sweep:
    """A comparison at each size, in the order the sizes were given.

    Attributes:
        name: of the function.
        points: one for each size.
    """

    name: str
    points: tuple[Point, ...]

    @property
    def rows(self) -> tuple[tuple[int, Any], ...]:
        """(size, `Row`) for all that was measured."""
        return tuple((point.size, row) for point in self.points for row in point.comparison.rows)

    @property
    def faster_from(self) -> int | None:
        """The smallest size from which fused is faster at every larger one."""
        found = None
        for point in sorted(self.points, key=lambda point: point.size, reverse=True):
            if point.outcome != "faster":
                break
            found = point.size
        return found

    @property
    def verdict(self) -> str:
        """One sentence."""
        outcomes = [point.outcome for point in self.points]
        counts = ", ".join(f"{outcomes.count(o)} {o}" for o in dict.fromkeys(outcomes))
        begins = self.faster_from
        if begins is None:
            return f"no size from which fused is always faster ({counts})"
        return f"faster from size {begins} on ({counts})"

    @property
    def failed(self) -> tuple[Point, ...]:
        """The points that could not be measured, with their errors."""
        return tuple(point for point in self.points if point.error)

    @property
    def workers(self) -> tuple[Worker, ...]:
        """Who measured, in the order of the points."""
        return tuple(dict.fromkeys(point.worker for point in self.points if point.worker))

    @property
    def side_by_side(self) -> int:
        """The most points that one host measured at the same time; 0 if that is not known."""
        known = [(point.worker, point.span) for point in self.points]
        return side_by_side([(worker.host, *span) for worker, span in known if worker])

    @property
    def notes(self) -> list[str]:
        """Who measured, how many side by side, and what failed: a sentence each."""
        counts = Counter(point.worker for point in self.points)
        said = [
            f"{counts[worker]} of {len(self.points)} sizes on {worker}" for worker in self.workers
        ]
        if self.side_by_side:
            said.append(f"at most {self.side_by_side} at a time on a host")
        return said + [f"size {point.size:,} failed: {point.error}" for point in self.failed]

    def as_rows(self) -> list[SweepRowDict]:
        """Plain data."""
        numbers = {worker: number for number, worker in enumerate(self.workers)}
        return [
            SweepRowDict(
                size=point.size,
                timing=point.comparison.as_timing(),
                error=point.error,
                worker=numbers[point.worker] if point.worker else None,
            )
            for point in self.points
        ]

    def to_dict(self) -> dict[str, Any]:
        """All of it as values that JSON has."""
        return {
            "name": self.name,
            "verdict": self.verdict,
            "points": self.as_rows(),
            "workers": [worker.to_dict() for worker in self.workers],
            "side_by_side": self.side_by_side,
        }

    def __repr__(self) -> str:
        """`Sweep(name)  4 sizes, 64 to 4,096`: the same on every machine."""
        sizes = [point.size for point in self.points]
        said = f"{min(sizes):,} to {max(sizes):,}" if sizes else "none measured"
        failed = f", {len(self.failed)} failed" if self.failed else ""
        return f"Sweep({self.name})  {len(sizes)} sizes, {said}{failed}"

    def _repr_html_(self) -> str:
        """The plot and its table."""
        return str(importlib.import_module(_PLOT).shown(self))

    def __str__(self) -> str:
        """A table and the verdict."""
        return sweep_text(self)

    def __rich__(self) -> Any:
        """The same, for rich.print."""
        return sweep_table(self)


def points_of(
    fn: Callable[..., Any],
    make: Callable[[int], tuple[tuple[Any, ...], dict[str, Any]]],
    sizes: Sequence[int],
    *,
    against: Sequence[str] = ("eager",),
    seconds: float = 0.5,
    tell: Tell | None = None,
) -> Iterator[Point]:
    """The same by the stopwatch, one size after the other, each as soon as it is measured.

    Args:
        fn: a function over tensors, or a `FusedFunction`.
        make: size -> arguments and keyword arguments.
        sizes: what to give it.
        against: see `compare`.
        seconds: the most time for the rounds at one size.
        tell: told before each size and during it.
    """
    for index, size in enumerate(sizes):
        args, kwargs = make(size)

        def step(_done: int, _total: int, said: str, at: tuple[int, int] = (index, size)) -> None:
            if tell is not None:
                tell(at[0], len(sizes), f"size {at[1]:,}{', ' + said if said else ''}")

        step(0, 0, "")
        device = device_of((args, kwargs))
        yield Point(
            size,
            race(
                fn,
                args,
                kwargs,
                devices=[device],
                against=against,
                settings=Settings(seconds=seconds),
                tell=step,
            ),
        )
