"""Exact values of the functions, as float64 and rest, in this process or in all cores."""

from __future__ import annotations

import importlib
import math
import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from multiprocessing.pool import Pool
from typing import Any, Self

import numpy as np

from fusekit.errors import FusekitError
from fusekit.mathcheck.formats import Exact, Floats

__all__ = ["Oracle", "exact_values", "require_flint"]

_PRECISIONS = (96, 192, 512, 1700, 4000)
"""Bits to try; 1700 bits reduce the largest float64 for functions of x ** 1.5."""

_ENOUGH = 70
"""Accurate bits: float64's 53, and the rest to 2**-17 ulp."""

_TINY = -1200
"""The exponent of two below which a value is 0 in every format."""

_BLOCK = 1 << 11
"""Values that a process computes at a time."""

_lock = threading.Lock()
"""Arb's precision is one for the process."""


def require_flint() -> None:
    """See that exact values can be had.

    Raises:
        FusekitError: python-flint is not installed.
    """
    try:
        importlib.import_module("flint")
    except ImportError as error:
        raise FusekitError(
            "verify-math takes exact values from python-flint, which is not here: "
            "pip install python-flint"
        ) from error


def exact_values(name: str, columns: Sequence[Floats]) -> Exact:
    """What a function is in truth, for each row of its arguments.

    Args:
        name: a function of the table.
        columns: its arguments as float64.

    Returns:
        NaN where an argument is no finite number, or the function has no real value there.
    """
    formulas = importlib.import_module("fusekit.mathcheck.formulas")
    flint = importlib.import_module("flint")
    formula = formulas.FORMULAS[name]
    size = len(columns[0])
    value, rest = np.empty(size), np.zeros(size)
    with _lock:
        for index, row in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
            value[index], rest[index] = _exact(flint, formula, row)
    return Exact(value, rest)


def _exact(flint: Any, formula: Any, row: tuple[float, ...]) -> tuple[float, float]:
    if not all(map(math.isfinite, row)):
        return math.nan, 0.0
    balls = [flint.arb(number) for number in row]
    for precision in _PRECISIONS:
        flint.ctx.prec = precision
        ball = formula(*balls)
        if (found := _split(flint, ball)) is not None:
            return found
    return math.nan, 0.0


def _split(flint: Any, ball: Any) -> tuple[float, float] | None:
    """The nearest float64 and the rest; None if the ball is too wide to tell."""
    if not ball.is_finite():
        pole = ball.is_exact() and not ball.is_nan()
        return (float(ball), 0.0) if pole else None
    if ball.is_zero():
        return 0.0, 0.0
    if ball.rel_accuracy_bits() < _ENOUGH:
        return (0.0, 0.0) if ball.abs_upper() < flint.arb(2) ** _TINY else None
    value = float(ball)
    if math.isinf(value):
        return math.copysign(np.finfo(np.float64).max, value), math.copysign(1.0, value)
    return value, float((ball - value) / math.ulp(value))


class Oracle:
    """Exact values, with all cores where there are many to compute; a context manager."""

    def __init__(self) -> None:
        """Processes are started when first needed."""
        self._pool: Pool | None = None

    def __enter__(self) -> Self:
        """Nothing happens."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.terminate()
            self._pool.join()

    def __call__(self, name: str, columns: Sequence[Floats]) -> Exact:
        """See `exact_values`."""
        size = len(columns[0])
        if size <= 2 * _BLOCK:
            return exact_values(name, columns)
        if self._pool is None:
            spawn = multiprocessing.get_context("spawn")  # a fork would inherit torch's threads
            self._pool = spawn.Pool(len(os.sched_getaffinity(0)), _ignore_interrupts)
        starts = range(0, size, _BLOCK)
        work = [(name, [column[i : i + _BLOCK] for column in columns]) for i in starts]
        parts = self._pool.starmap(exact_values, work, chunksize=1)
        return Exact(
            np.concatenate([part.value for part in parts]),
            np.concatenate([part.rest for part in parts]),
        )


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started the processes ends them
