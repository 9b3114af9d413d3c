"""Which of the user's lines is being executed."""

from __future__ import annotations

import linecache
import re
import sys
import threading
from pathlib import Path
from types import FrameType

import torch

from fusekit.ir import Loc

__all__ = ["Stated", "script_line", "user_line"]

_HERE = Path(__file__).parent
_HIDDEN = ("<frozen", *map(str, (Path(torch.__file__).parent, _HERE, _HERE.parent / "runtime")))
"""Files whose path starts like this are not the user's."""


class _Where(threading.local):
    loc: Loc | None = None


_stated = _Where()


class Stated:
    """A block whose lines are no Python frames, but stated."""

    def __enter__(self) -> Stated:
        """State nothing yet."""
        self._before = _stated.loc
        return self

    def __exit__(self, *_error: object) -> None:
        """As it was before."""
        _stated.loc = self._before

    def line(self, loc: Loc | None) -> None:
        """What follows is at `loc`; where that is unknown, at the line before."""
        _stated.loc = loc or _stated.loc


_RANGE = re.compile(r'^(?:  File "(.*)", line (\d+)|(.*)\((\d+)\): .*)$', re.MULTILINE)
"""A line of a source range: of scripted code, and of the stack of traced code, innermost first."""


def script_line(source_range: str, site: Loc | None) -> Loc | None:
    """The line of a TorchScript source range; `site`, if that is no line of the user's."""
    for found in _RANGE.finditer(source_range):
        file, line = found[1] or found[3], int(found[2] or found[4])
        if not file.startswith((*_HIDDEN, "<")):
            return Loc(file, line, linecache.getline(file, line).strip())
    return site


def user_line() -> Loc | None:
    """What is stated, else the innermost frame that is neither torch's nor ours."""
    if _stated.loc is not None:
        return _stated.loc
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  inspect.stack takes milliseconds
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_HIDDEN):
            text = linecache.getline(file, frame.f_lineno).strip()
            return Loc(file, frame.f_lineno, text)
        frame = frame.f_back
    return None
