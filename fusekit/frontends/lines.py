"""Which of the user's lines is being executed."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import linecache
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import torch

from fusekit.ir import Loc

__all__ = ["line_of_trace", "stated", "user_line"]

_HERE = Path(__file__).parent
_HIDDEN = ("<frozen", *map(str, (Path(torch.__file__).parent, _HERE, _HERE.parent / "runtime")))
"""Files whose path starts like this are not the user's."""


_FRAME = re.compile(r'File "(.+)", line (\d+), in .*(?:\n\s+(.*))?')
"""One frame of a stack trace as Python prints it."""

_STATED: contextvars.ContextVar[Loc | None] = contextvars.ContextVar("stated", default=None)


@contextlib.contextmanager
def stated(loc: Loc | None) -> Iterator[None]:
    """Take `loc` for the user's line, whatever frames say: a graph runs that knows its own."""
    token = _STATED.set(loc)
    try:
        yield
    finally:
        _STATED.reset(token)


@functools.lru_cache(maxsize=4096)
def line_of_trace(trace: str) -> Loc | None:
    """The innermost line of a printed stack trace that is not torch's nor ours."""
    for file, line, text in reversed(_FRAME.findall(trace)):
        if not file.startswith(_HIDDEN):
            return Loc(file, int(line), text.strip())
    return None


def user_line() -> Loc | None:
    """The innermost frame that is neither torch's nor ours, or what was `stated`."""
    known = _STATED.get()
    if known is not None:
        return known
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  inspect.stack takes milliseconds
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_HIDDEN):
            text = linecache.getline(file, frame.f_lineno).strip()
            return Loc(file, frame.f_lineno, text)
        frame = frame.f_back
    return None
