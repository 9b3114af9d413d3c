"""Gathering: tasks to an executor, results as they finish, again what a dead worker took along."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from typing import Any, Generic, TypeVar

from fusekit.bench.workers.parcel import parcel
from fusekit.errors import UsageError

__all__ = ["Lost", "gather", "one_line"]

Result = TypeVar("Result")

_NO_FACTORY = (
    "a worker process died, and the whole pool with it ({said}). Give sweep a function that makes "
    "the executor, as executor=lambda: ProcessPoolExecutor(2), to have it go on in a new one"
)

_TRIED_ALREADY = "KilledWorker"
"""Dask's error for a task whose workers died several times; only the try alone is left then."""


@dataclasses.dataclass(frozen=True, slots=True)
class Lost:
    """A task without a result: its worker died each time, or the executor gave it up.

    Attributes:
        error: what the executor says of it.
    """

    error: str


def one_line(error: BaseException) -> str:
    """An error's name and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def gather(
    executor: Executor | Callable[[], Executor],
    task: Callable[[int, str], Result],
    parts: Mapping[str, Any],
    count: int,
    *,
    most_here: int,
    retries: int,
    patience: float | None,
    done: Callable[[int, Result], object],
) -> dict[int, Lost]:
    """Run `task(index, attempt)` for each index, and tell the results in the order they come.

    A task catches its own errors. What fails here is its worker, or the way there, and is tried
    again. The last try goes alone, because a pool that breaks does not say which task broke it:
    one that kills its worker each time cannot take others along then.

    Args:
        executor: where to; a function that makes one is asked for another when a pool breaks, and
            its executors are shut down in the end.
        task: what to run; the attempt is a text that no two submissions share.
        parts: name -> what the task holds, for errors.
        count: how many indices.
        most_here: how many tasks a pool of this host is given at a time. More would only wait for
            their turn, and a process that starts disturbs those that measure.
        retries: how often a lost task is submitted again.
        patience: seconds without any result after which all that is left is given up; None waits
            forever, as where a cluster has lost its last worker and hopes for another.
        done: told each result; what it raises ends the gathering and cancels what is pending.

    Returns:
        What was lost after all.

    Raises:
        UsageError: the task cannot be sent to the workers.
    """
    gathering = _Gathering(executor, task, parts, most_here, retries, patience, done)
    try:
        gathering.run(range(count))
    except BaseException:
        gathering.close(wait=False)  # what runs now is not waited for
        raise
    gathering.close(wait=not gathering.lost)
    return gathering.lost


@dataclasses.dataclass
class _Gathering(Generic[Result]):
    """What is pending, what waits, and the executor in use; see `gather`."""

    executor: Executor | Callable[[], Executor]
    task: Callable[[int, str], Result]
    parts: Mapping[str, Any]
    most_here: int
    retries: int
    patience: float | None
    done: Callable[[int, Result], object]

    def __post_init__(self) -> None:
        self.lost: dict[int, Lost] = {}
        self._make = None if isinstance(self.executor, Executor) else self.executor
        self._is_broken = False
        self._tries: Counter[int] = Counter()
        self._waiting: deque[int] = deque()
        self._last: deque[int] = deque()
        self._pending: dict[Future[Result], int] = {}
        self._renew(self.executor if isinstance(self.executor, Executor) else self.executor())

    def run(self, indices: Iterable[int]) -> None:
        """Until nothing is left."""
        self._waiting.extend(indices)
        try:
            while self._waiting or self._last or self._pending:
                self._fill()
                finished, _ = wait(self._pending, self.patience, FIRST_COMPLETED)
                if self._pending and not finished:
                    self._give_up()
                    return
                for future in finished:
                    self._take(future, self._pending.pop(future))
        finally:
            for future in self._pending:
                future.cancel()

    def close(self, *, wait: bool) -> None:
        """Shut down what was made here."""
        if self._make is not None:
            self._pool.shutdown(wait=wait)

    def _give_up(self) -> None:
        reason = Lost(f"given up: no point was finished for {self.patience:g} s")
        for index in (*self._pending.values(), *self._waiting, *self._last):
            self.lost[index] = reason

    def _renew(self, pool: Executor) -> None:
        self._pool, self._is_broken = pool, False
        is_shared = isinstance(pool, ThreadPoolExecutor)
        self._sent = self.task if is_shared else parcel(self.task, self.parts)
        is_here = isinstance(pool, ProcessPoolExecutor | ThreadPoolExecutor)
        self._most = self.most_here if is_here else math.inf

    def _fill(self) -> None:
        """Submit what may go now; after a break, once it is known what that took along."""
        if self._is_broken and self._make is not None:
            if self._pending:
                return
            self.close(wait=True)
            self._renew(self._make())
        while self._waiting and len(self._pending) < self._most:
            self._submit(self._waiting.popleft())
        if self._last and not self._pending:
            self._submit(self._last.popleft())

    def _submit(self, index: int) -> None:
        attempt = f"{index}, attempt {self._tries[index]}"
        try:
            self._pending[self._pool.submit(self._sent, index, attempt)] = index
        except Exception as error:  # noqa: BLE001  broken, shut down, a lost connection
            self._lose(index, error)

    def _take(self, future: Future[Result], index: int) -> None:
        try:
            result = future.result()
        except (KeyboardInterrupt, UsageError):
            raise  # the worker was interrupted together with this process, or cannot load the task
        except BaseException as error:  # noqa: BLE001  CancelledError and SystemExit, too
            self._lose(index, error)
        else:
            self.done(index, result)

    def _lose(self, index: int, error: BaseException) -> None:
        said = one_line(error)
        if isinstance(error, BrokenExecutor):
            self._is_broken = True
            if self._make is None:
                self.lost[index] = Lost(_NO_FACTORY.format(said=said))
                return
        is_tried = type(error).__name__ == _TRIED_ALREADY and self._tries[index] < self.retries
        self._tries[index] = self.retries if is_tried else self._tries[index] + 1
        left = self.retries - self._tries[index]
        if left < 0:
            self.lost[index] = Lost(said)
        else:
            (self._waiting if left else self._last).append(index)
