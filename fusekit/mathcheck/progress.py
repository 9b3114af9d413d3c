"""How far the measuring is: a bar where rich is installed and a terminal reads it, else lines."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from fusekit.mathcheck.rows import Row

__all__ = ["Progress"]

_EVERY = 30.0
"""Seconds between lines."""


class Progress:
    """Shows the row that is being measured; a context manager."""

    def __init__(self, rows: int, out: Callable[[Any], object]) -> None:
        """For so many rows; `out` prints a line."""
        self._rows = rows
        self._out = out
        self._bar: Any = None
        self._task: Any = None
        self._begun = (0, 0.0)
        self._said = 0.0

    def __enter__(self) -> Self:
        """Show the bar, if there is one."""
        if sys.stdout.isatty() and importlib.util.find_spec("rich") is not None:
            rich = importlib.import_module("rich.progress")
            self._bar = rich.Progress(
                rich.TextColumn("{task.description}"),
                rich.BarColumn(),
                rich.TaskProgressColumn(),
                rich.TimeRemainingColumn(),
                transient=True,
            )
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()

    def begin(self, number: int, row: Row) -> None:
        """Row `number`, counted from 1, comes."""
        self._begun = (row.inputs, time.monotonic())
        self._said = time.monotonic()
        if self._bar is None:
            return
        if self._task is not None:
            self._bar.remove_task(self._task)
        text = f"{number}/{self._rows} {row.function} {row.dtype}"
        self._task = self._bar.add_task(text, total=row.total, completed=row.inputs)

    def advance(self, row: Row) -> None:
        """A slice is done."""
        if self._bar is not None:
            self._bar.update(self._task, completed=row.inputs)
        elif time.monotonic() - self._said > _EVERY and not row.done:
            self._said = time.monotonic()
            share = 100 * row.inputs / row.total
            self._out(f"  {row.function} {row.dtype}: {share:.0f} %, {self._left(row)} left")

    def _left(self, row: Row) -> str:
        inputs, began = self._begun
        rate = (row.inputs - inputs) / max(time.monotonic() - began, 1e-9)
        seconds = int((row.total - row.inputs) / max(rate, 1e-9))
        return f"{seconds // 60}:{seconds % 60:02}"

    def line(self, text: str) -> None:
        """Print something that stays."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            self._out(text)
