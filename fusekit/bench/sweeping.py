"""`sweep`: the same comparison at many sizes, in this process or wherever an executor runs it."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from typing import Any, TypedDict

from fusekit.api import FusedFunction
from fusekit.bench.comparing import compare, race
from fusekit.bench.comparison import Comparison, TimingDict
from fusekit.bench.contenders import device_of
from fusekit.bench.report import sweep_table, sweep_text
from fusekit.bench.stopwatch import Tell
from fusekit.bench.timing import Settings
from fusekit.errors import UsageError

__all__ = ["Point", "Sweep", "SweepRowDict", "points_of", "sweep"]

_PLOT = "fusekit.viz.measured.sweepplot"
"""Imported when a notebook shows a sweep: measuring works without it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    """One size.

    Attributes:
        size: what `make_args` was given.
        comparison: what was measured there.
    """

    size: int
    comparison: Comparison


class SweepRowDict(TypedDict):
    """One size as plain data."""

    size: int
    timing: TimingDict


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
            if point.comparison.outcome != "faster":
                break
            found = point.size
        return found

    @property
    def verdict(self) -> str:
        """One sentence."""
        outcomes = [point.comparison.outcome for point in self.points]
        counts = ", ".join(f"{outcomes.count(o)} {o}" for o in dict.fromkeys(outcomes))
        begins = self.faster_from
        if begins is None:
            return f"not faster throughout ({counts})"
        return f"faster from size {begins} on ({counts})"

    def as_rows(self) -> list[SweepRowDict]:
        """Plain data."""
        return [
            SweepRowDict(size=point.size, timing=point.comparison.as_timing())
            for point in self.points
        ]

    def to_dict(self) -> dict[str, Any]:
        """All of it as values that JSON has."""
        return {"name": self.name, "verdict": self.verdict, "points": self.as_rows()}

    def __repr__(self) -> str:
        """`Sweep(name)  4 sizes, 64 to 4,096`: the same on every machine."""
        sizes = [point.size for point in self.points]
        said = f"{min(sizes):,} to {max(sizes):,}" if sizes else "none measured"
        return f"Sweep({self.name})  {len(sizes)} sizes, {said}"

    def _repr_html_(self) -> str:
        """The plot and its table."""
        return str(importlib.import_module(_PLOT).shown(self))

    def __str__(self) -> str:
        """A table and the verdict."""
        return sweep_text(self)

    def __rich__(self) -> Any:
        """The same, for rich.print."""
        return sweep_table(self)


@dataclasses.dataclass(frozen=True)
class _Task:
    """What a worker needs; all of it can be pickled if `fn` and `make_args` can."""

    fn: Callable[..., Any]
    make_args: Callable[[int], Any]
    devices: Sequence[str] | None
    engines: Sequence[str] | None
    against: Sequence[str]
    settings: Settings | None

    def __call__(self, size: int) -> Point:
        made = self.make_args(size)
        args = made if isinstance(made, tuple | list) else (made,)
        found = compare(
            self.fn,
            *args,
            devices=self.devices,
            engines=self.engines,
            against=self.against,
            settings=self.settings,
        )
        return Point(size, found)


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


def sweep(
    fn: Callable[..., Any],
    make_args: Callable[[int], Any],
    sizes: Iterable[int],
    *,
    executor: Executor | None = None,
    devices: Iterable[str] | None = None,
    engines: Sequence[str] | None = None,
    against: Sequence[str] = ("eager",),
    settings: Settings | None = None,
) -> Sweep:
    """`compare` at every size.

    Args:
        fn: a function over tensors, or a `FusedFunction`.
        make_args: size -> the arguments, as a tuple; anything else is the only argument.
        sizes: what to give it.
        executor: any `concurrent.futures.Executor`, also of a cluster; None measures here, one
            size after the other. Workers that share cores disturb each other: give a pool on this
            machine one worker. A pool of processes needs functions that can be pickled.
        devices: see `compare`.
        engines: see `compare`.
        against: see `compare`.
        settings: see `compare`.

    Raises:
        UsageError: there are no sizes, or an argument that `compare` rejects.
    """
    wanted = list(sizes)
    if not wanted:
        raise UsageError("sweep takes at least one size")
    # a FusedFunction holds compiled code, which stays in its process
    plain = fn.function if executor is not None and isinstance(fn, FusedFunction) else fn
    places = None if devices is None else list(devices)
    task = _Task(plain, make_args, places, engines, against, settings)
    points = map(task, wanted) if executor is None else executor.map(task, wanted)
    return Sweep(getattr(fn, "__name__", type(fn).__name__), tuple(points))
