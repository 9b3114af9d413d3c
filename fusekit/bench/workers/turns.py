"""Turns: workers of one host measure one after the other, whoever started them.

A worker holds a file lock while it measures. The system lets go of it when the process dies,
however it dies; so a killed worker keeps nobody waiting.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

__all__ = ["Turns"]

_POLL = 0.02
"""Seconds between two looks at whose turn it is: little work, and little against a point's."""


@dataclasses.dataclass(frozen=True, slots=True)
class Turns:
    """Who of one sweep's tasks may measure now; it can be pickled.

    Attributes:
        at_once: how many may at the same time, on one host or one of its GPUs.
        sweep: names the sweep.
    """

    at_once: int
    sweep: str = dataclasses.field(default_factory=lambda: uuid.uuid4().hex)

    @contextlib.contextmanager
    def hold(self, place: str) -> Iterator[bool]:
        """Wait for a turn at a place of this host and keep it; False if the sweep was cancelled."""
        paths = [_folder() / f"{place}-{number}" for number in range(self.at_once)]
        with contextlib.ExitStack() as stack:
            while not self._stop().exists():
                if any(_is_locked(path, stack) for path in paths):
                    yield True
                    return
                time.sleep(_POLL)
            yield False

    def cancel(self) -> None:
        """Have tasks of this host that wait for their turn, or begin later, give up."""
        self._stop().touch()

    def _stop(self) -> Path:
        return _folder() / f"stop-{self.sweep}"


def _folder() -> Path:
    """Of this user on this host: a home may be shared with other hosts."""
    folder = Path(tempfile.gettempdir()) / f"fusekit-turns-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _is_locked(path: Path, stack: contextlib.ExitStack) -> bool:
    """True if the lock was free; it is held until the stack ends."""
    with contextlib.ExitStack() as trying:
        file = trying.enter_context(path.open("ab"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        trying.callback(_unlock, file)
        stack.push(trying.pop_all())
        return True


def _unlock(file: IO[bytes]) -> None:
    """Closing would not do where a process that was forked meanwhile has the file open, too."""
    fcntl.flock(file, fcntl.LOCK_UN)
