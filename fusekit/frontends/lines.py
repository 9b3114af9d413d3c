"""Which of the user's lines is being executed."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import itertools
import linecache
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import torch

from fusekit.ir import Loc

__all__ = ["line_of_trace", "script_line", "stated", "user_line"]

_HERE = Path(__file__).parent
_HIDDEN = ("<frozen", *map(str, (Path(torch.__file__).parent, _HERE, _HERE.parent / "runtime")))
"""Files whose path starts like this are not the user's."""


_GENERATED = "<eval_with_key>"
"""What the files of torch.fx's generated code are called."""

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


_RANGE = re.compile(r'^(?: *File "(.*)", line (\d+)|(.*)\((\d+)\): .*)$', re.MULTILINE)
"""A line of a source range: of scripted code, and of the stack of traced code, innermost first."""


def script_line(source_range: str, site: Loc | None) -> Loc | None:
    """The line of a TorchScript source range; `site`, if that is no line of the user's."""
    for found in _RANGE.finditer(source_range):
        file, line = found[1] or found[3], int(found[2] or found[4])
        if not file.startswith((*_HIDDEN, "<")):
            return Loc(file, line, linecache.getline(file, line).strip())
    return site


def _graph_line(frame: FrameType) -> Loc | None:
    """Where the node came from that the generated code of an fx.GraphModule is carrying out."""
    module = frame.f_locals.get("self")
    numbers = getattr(module, "_lineno_map", None)
    if not isinstance(module, torch.fx.GraphModule) or not numbers:
        return None
    index = numbers.get(frame.f_lineno - module._prologue_start)  # noqa: SLF001  nowhere public
    node = next(itertools.islice(module.graph.nodes, index, None), None) if index else None
    return line_of_trace(node.stack_trace or "") if node is not None else None


def user_line() -> Loc | None:
    """The innermost frame that is neither torch's nor ours, or what was `stated`."""
    known = _STATED.get()
    if known is not None:
        return known
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
