"""Which of the user's lines is being executed."""

from __future__ import annotations

import itertools
import linecache
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Self

import torch

from fusekit.ir import Loc

__all__ = ["Stated", "script_line", "user_line"]

_HERE = Path(__file__).parent
_HIDDEN = ("<frozen", *map(str, (Path(torch.__file__).parent, _HERE, _HERE.parent / "runtime")))
"""Files whose path starts like this are not the user's."""


_GENERATED = "<eval_with_key>"
"""What the files of torch.fx's generated code are called."""


class _Where(threading.local):
    loc: Loc | None = None


_stated = _Where()


class Stated:
    """A block whose lines are no Python frames, but stated."""

    def __enter__(self) -> Self:
        """State nothing yet."""
        self._before = _stated.loc
        return self

    def __exit__(self, *_error: object) -> None:
        """As it was before."""
        _stated.loc = self._before

    def line(self, loc: Loc | None) -> None:
        """What follows is at `loc`; where that is unknown, at the line before."""
        _stated.loc = loc or _stated.loc


_RANGE = re.compile(r'^(?: *File "(.*)", line (\d+)(?:, in .*)?|(.*)\((\d+)\): .*)$', re.MULTILINE)
"""A line of a source range: of scripted code, and of the stack of traced code, innermost first."""


def script_line(source_range: str, site: Loc | None) -> Loc | None:
    """The line of a TorchScript source range; `site`, if that is no line of the user's."""
    return next(_users_lines(source_range), site)


def _users_lines(text: str) -> Iterator[Loc]:
    """The lines of the user's that a source range or a stack mentions, in its order."""
    for found in _RANGE.finditer(text):
        file, line = found[1] or found[3], int(found[2] or found[4])
        if not file.startswith((*_HIDDEN, "<")):
            yield Loc(file, line, linecache.getline(file, line).strip())


def _graph_line(frame: FrameType) -> Loc | None:
    """Where the node came from that the generated code of an fx.GraphModule is carrying out."""
    module = frame.f_locals.get("self")
    numbers = getattr(module, "_lineno_map", None)
    if not isinstance(module, torch.fx.GraphModule) or not numbers:
        return None
    index = numbers.get(frame.f_lineno - module._prologue_start)  # noqa: SLF001  nowhere public
    node = next(itertools.islice(module.graph.nodes, index, None), None) if index else None
    stack = node.stack_trace if node is not None else None
    return next(iter([*_users_lines(stack or "")][::-1]), None)


def user_line() -> Loc | None:
    """What is stated, else the innermost frame that is neither torch's nor ours."""
    if _stated.loc is not None:
        return _stated.loc
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  inspect.stack takes milliseconds
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_HIDDEN):
            loc = _graph_line(frame) if file.startswith(_GENERATED) else None
            if loc is not None:
                return loc
            text = linecache.getline(file, frame.f_lineno).strip()
            return Loc(file, frame.f_lineno, text)
        frame = frame.f_back
    return None
