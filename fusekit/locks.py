"""Locks that forks and Ctrl-C leave whole.

A thread that holds a lock does not exist in a child that another thread forks, so nobody would
ever release it there: the child finds these locks free. What they guard is changed by single
operations on dicts, so it is whole at any time.
"""

from __future__ import annotations

import os
import signal
import threading
import weakref
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Undisturbed", "lock", "rlock"]

_made: weakref.WeakSet[Any] = weakref.WeakSet()


def lock() -> threading.Lock:
    """A lock that is free in a forked child."""
    made = threading.Lock()
    _made.add(made)
    return made


def rlock() -> Any:
    """A reentrant lock that is free in a forked child, unless the thread that forked holds it."""
    made = threading.RLock()
    _made.add(made)
    return made


def _free() -> None:
    for each in list(_made):
        is_owned = getattr(each, "_is_owned", None)
        if is_owned is None or not is_owned():
            each._at_fork_reinit()  # noqa: SLF001  as the standard library does with its own


os.register_at_fork(after_in_child=_free)


class Undisturbed:
    """Ctrl-C waits until the block is over. For short blocks that would leave something half-done.

    Python runs signal handlers in the main thread only; elsewhere nothing has to wait.
    """

    def __enter__(self) -> None:
        """Note from now on that Ctrl-C was pressed, and no more."""
        self._pressed: list[tuple[int, FrameType | None]] = []
        self._handler: Callable[..., Any] | int | None = None
        handler = signal.getsignal(signal.SIGINT)
        # a plain signal.SIG_DFL or SIG_IGN runs no Python that could get in between
        if threading.current_thread() is threading.main_thread() and callable(handler):
            self._handler = handler
            signal.signal(signal.SIGINT, lambda *given: self._pressed.append(given))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Do what was to be done at Ctrl-C."""
        if self._handler is None:
            return
        signal.signal(signal.SIGINT, self._handler)
        if self._pressed and callable(self._handler):
            self._handler(*self._pressed[0])
