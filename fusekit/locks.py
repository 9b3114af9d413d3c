"""Locks that forks and Ctrl-C leave whole.

A thread that holds a lock does not exist in a child that another thread forks, so nobody would
ever release it there: the child finds these locks free. What they guard is changed by single
operations on dicts, so it is whole at any time.
"""

from __future__ import annotations

import os
import signal
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any, Self

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

    Args:
        inside: it waits only while one of these functions runs, and then until `deliver` is called.
    """

    def __init__(self, *inside: Callable[..., Any]) -> None:
        own = (Undisturbed.__enter__, Undisturbed.__exit__)  # half-done, they leave `_note` behind
        self._codes = frozenset(each.__code__ for each in (*inside, *own) if inside)
        self._waiting: list[tuple[int, types.FrameType | None]] = []
        self._handler: Callable[..., Any] | None = None

    def __enter__(self) -> Self:
        """Note from now on that Ctrl-C was pressed, and no more."""
        handler = signal.getsignal(signal.SIGINT)
        # a plain signal.SIG_DFL or SIG_IGN runs no Python that could get in between
        if threading.current_thread() is threading.main_thread() and callable(handler):
            self._handler = handler
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        """Do what was to be done at Ctrl-C."""
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
            self.deliver()

    def deliver(self) -> None:
        """Do it now, if it waits."""
        if self._waiting and self._handler is not None:
            self._handler(*self._waiting.pop())

    def _note(self, number: int, frame: types.FrameType | None) -> None:
        if not self._codes or _is_within(frame, self._codes):
            self._waiting = [(number, frame)]
        elif self._handler is not None:
            self._handler(number, frame)


def _is_within(frame: types.FrameType | None, codes: frozenset[types.CodeType]) -> bool:
    while frame is not None and frame.f_code not in codes:
        frame = frame.f_back
    return frame is not None
