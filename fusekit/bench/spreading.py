"""`sweep`: the points of a sweep, measured in this process or wherever an executor runs them."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from typing import Any

from fusekit.bench.measuring.comparing import compare
from fusekit.bench.measuring.comparison import Comparison
from fusekit.bench.measuring.stopwatch import Tell
from fusekit.bench.measuring.sweeping import Point, Sweep
from fusekit.bench.measuring.timing import Settings
from fusekit.bench.workers import Turns, Worker, gather, one_line, settle, this_worker
from fusekit.errors import UsageError

__all__ = ["sweep"]

_CANCELLED = "cancelled"
"""The error of a point that was not measured any more."""

_REFUSED = "UsageError: "
"""How the error of a point begins whose measurement makes no sense."""


@dataclasses.dataclass(frozen=True)
class _Task:
    """What a worker needs; all of it can be pickled if `fn` and `make_args` can."""

    fn: Callable[..., Any]
    make_args: Callable[[int], Any]
    sizes: Sequence[int]
    devices: Sequence[str] | None
    engines: Sequence[str] | None
    against: Sequence[str]
    settings: Settings | None
    turns: Turns

    def __call__(self, index: int, attempt: str) -> Point:
        """One point, in its turn. `attempt` makes two submissions of it differ for Dask."""
        del attempt
        settle()
        size, worker = self.sizes[index], this_worker()
        place = worker.gpu_id if self.is_gpu_only and worker.gpu_id else "cpu"
        with self.turns.hold(place) as is_wanted:
            return self.measured(size, worker) if is_wanted else self.failed(size, _CANCELLED)

    def measured(self, size: int, worker: Worker) -> Point:
        """One point, here and now."""
        begun = time.time()
        try:
            point = Point(size, self._compared(size))
        except Exception as error:  # noqa: BLE001  the other points are not to be lost
            trace = "".join(traceback.format_exception(error))
            point = self.failed(size, one_line(error), trace)
        return dataclasses.replace(point, worker=worker, span=(begun, time.time()))

    def failed(self, size: int, error: str, trace: str = "") -> Point:
        """A point that has no times."""
        none = Comparison(self.name, (), (), self.settings or Settings())
        return Point(size, none, error, trace)

    @property
    def is_gpu_only(self) -> bool:
        """True if nothing is measured on a CPU, so that GPUs of one host need no turns."""
        return self.devices == ["cuda"]

    @property
    def name(self) -> str:
        """Of the function."""
        return getattr(self.fn, "__name__", type(self.fn).__name__)

    def _compared(self, size: int) -> Comparison:
        made = self.make_args(size)
        args = made if isinstance(made, tuple | list) else (made,)
        return compare(
            self.fn,
            *args,
            devices=self.devices,
            engines=self.engines,
            against=self.against,
            settings=self.settings,
        )


def sweep(
    fn: Callable[..., Any],
    make_args: Callable[[int], Any],
    sizes: Iterable[int],
    *,
    executor: Executor | Callable[[], Executor] | None = None,
    devices: Iterable[str] | None = None,
    engines: Sequence[str] | None = None,
    against: Sequence[str] = ("eager",),
    settings: Settings | None = None,
    at_once: int = 1,
    retries: int = 2,
    patience: float | None = None,
    tell: Tell | None = None,
) -> Sweep:
    """`compare` at every size, here or wherever an executor runs it.

    A point that fails (its error stands in `Point.error`) costs no other one. An interrupt, be it
    the notebook's stop button or a `tell` that raises KeyboardInterrupt, ends the sweep: what was
    measured until then is returned, the others are "cancelled".

    Args:
        fn: a function over tensors, or a `FusedFunction`.
        make_args: size -> the arguments, as a tuple; anything else is the only argument.
        sizes: what to give it.
        executor: any `concurrent.futures.Executor`, also of a cluster (Dask's is
            `client.get_executor()`), or a function without arguments that makes one; None measures
            here. Each size is a task, in which all contenders are measured in turns, so that they
            meet the same machine. To other processes functions are sent by name, so they have to
            be those of a module; by value, as a notebook's have to, where cloudpickle is installed
            (Dask brings it).
        devices: see `compare`.
        engines: see `compare`.
        against: see `compare`.
        settings: see `compare`.
        at_once: how many points one host measures at the same time; with `devices=["cuda"]`, one
            GPU. It is 1 because points that run side by side share cores, caches and memory, and
            disturb each other; workers beyond that wait for their turn (see `Sweep.side_by_side`
            for what came of it).
        retries: how often a point is tried again whose worker died. A `ProcessPoolExecutor` is
            broken then and takes no more tasks: give a function that makes one.
        patience: seconds without a finished point after which the rest is given up, for workers
            that may hang; None waits for as long as it takes.
        tell: told after each point how many are done, of how many, and which.

    Raises:
        UsageError: there are no sizes, the functions cannot be sent to the workers, or an argument
            is one that `compare` rejects.
    """
    wanted = list(sizes)
    if not wanted:
        raise UsageError("sweep takes at least one size")
    if at_once < 1 or retries < 0:
        raise UsageError(f"at_once is 1 or more, retries 0 or more, not {at_once} and {retries}")
    if devices is not None:
        devices = [devices] if isinstance(devices, str) else list(devices)
    task = _Task(fn, make_args, wanted, devices, engines, against, settings, Turns(at_once))
    if executor is None:
        points = _here(task, tell)
    else:
        points = _elsewhere(task, executor, retries=retries, patience=patience, tell=tell)
    refused = [point.error for point in points if point.error.startswith(_REFUSED)]
    if len(refused) == len(points):
        raise UsageError(refused[0].removeprefix(_REFUSED))
    return Sweep(task.name, tuple(points))


def _here(task: _Task, tell: Tell | None) -> list[Point]:
    """Each size in this process, one after the other."""
    points: list[Point] = []
    with contextlib.suppress(KeyboardInterrupt):
        for size in task.sizes:
            points.append(task.measured(size, this_worker()))
            if tell is not None:
                tell(len(points), len(task.sizes), f"size {size:,}")
    return points + [task.failed(size, _CANCELLED) for size in task.sizes[len(points) :]]


def _elsewhere(
    task: _Task,
    executor: Executor | Callable[[], Executor],
    *,
    retries: int,
    patience: float | None,
    tell: Tell | None,
) -> list[Point]:
    """In the order of the sizes, whichever comes first."""
    points = [task.failed(size, _CANCELLED) for size in task.sizes]
    n_done, is_whole = 0, False

    def done(index: int, point: Point) -> None:
        nonlocal n_done
        points[index] = point
        n_done += 1
        if tell is not None:
            tell(n_done, len(points), f"size {point.size:,} by {point.worker}")

    try:
        lost = gather(
            executor,
            task,
            {"the function": task.fn, "make_args": task.make_args},
            len(points),
            most_here=len(points) if task.is_gpu_only else task.turns.at_once,
            retries=retries,
            patience=patience,
            done=done,
        )
        is_whole = not lost
    except KeyboardInterrupt:
        lost = {}
    finally:
        if not is_whole:
            task.turns.cancel()  # what still waits for its turn need not
    for index, each in lost.items():
        points[index] = task.failed(task.sizes[index], each.error)
    return points
