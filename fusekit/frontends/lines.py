"""Which of the user's lines is being executed."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import itertools
import linecache
import os
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType, TracebackType

import torch

from fusekit.ir import Loc

__all__ = ["line_of", "line_of_trace", "script_line", "stated", "user_line", "writable"]

_OURS, _HIDDEN, _LIBRARY, _USERS = range(4)
"""Whose a file is; of a call's frames, the innermost of the highest kind is shown."""

_PACKAGE = Path(__file__).parents[1]

_SHOWN = tuple(f"{_PACKAGE / name}{os.sep}" for name in ("bench", "mathcheck"))
"""Folders of this package with functions that are fused as a user's are."""

_INSTALLED = tuple(
    f"{path}{os.sep}" for path in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
)
_STANDARD = f"{sysconfig.get_path('stdlib')}{os.sep}"
_TORCH = f"{Path(torch.__file__).parent}{os.sep}"

_NAMED_CELL = re.compile(r"<(ipython-input-|python-input-|stdin>|doctest )")
"""Names of this form stand for text that a user typed; others in brackets, for generated code."""


@functools.lru_cache(maxsize=4096)
def _kind(file: str) -> int:
    if file.startswith(f"{_PACKAGE}{os.sep}"):
        return _USERS if file.startswith(_SHOWN) else _OURS
    if file.startswith((_TORCH, "<frozen", "<fusekit")):
        return _HIDDEN
    if file.startswith((*_INSTALLED, _STANDARD)):
        return _LIBRARY
    return _LIBRARY if file.startswith("<") and not _NAMED_CELL.match(file) else _USERS


_GENERATED = "<eval_with_key>"
"""What the files of torch.fx's generated code are called."""

_FRAME = re.compile(r'File "(.+)", line (\d+), in')
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
    """The user's line in a stack trace as Python prints it, chosen in the same way."""
    frames = [(file, int(line)) for file, line in _FRAME.findall(trace)]
    return _shown(reversed(frames))


_RANGE = re.compile(r'^(?: *File "(.*)", line (\d+)|(.*)\((\d+)\): .*)$', re.MULTILINE)
"""A line of a source range: of scripted code, and of the stack of traced code, innermost first."""


def script_line(source_range: str, site: Loc | None) -> Loc | None:
    """The line of a TorchScript source range; `site`, if that is no line of the user's."""
    found = _RANGE.findall(source_range)
    return _shown((a or c, int(b or d)) for a, b, c, d in found) or site


def _graph_line(frame: FrameType) -> tuple[str, int] | None:
    """Where the node came from that the generated code of an fx.GraphModule is carrying out."""
    module = frame.f_locals.get("self")
    numbers = getattr(module, "_lineno_map", None)
    if not isinstance(module, torch.fx.GraphModule) or not numbers:
        return None
    index = numbers.get(frame.f_lineno - module._prologue_start)  # noqa: SLF001  nowhere public
    node = next(itertools.islice(module.graph.nodes, index, None), None) if index else None
    loc = line_of_trace(node.stack_trace or "") if node is not None else None
    return (loc.file, loc.line) if loc else None


def user_line() -> Loc | None:
    """The line of the function being captured that calls the current operator.

    The one that was `stated`; else the innermost one in a file of the user's own; if there is
    none, in a library that the user calls. Never one in torch or in this package.
    """
    known = _STATED.get()
    if known is not None:
        return known
    return _shown(_outwards(sys._getframe(1)))  # noqa: SLF001  inspect.stack takes milliseconds


def line_of(error: BaseException) -> Loc | None:
    """The user's line that an exception came through, chosen in the same way."""
    return _shown(reversed(list(_inwards(error.__traceback__))))


def _outwards(frame: FrameType | None) -> Iterator[tuple[str, int]]:
    while frame is not None:
        file, line = frame.f_code.co_filename, frame.f_lineno
        stated_by_graph = _graph_line(frame) if file.startswith(_GENERATED) else None
        yield stated_by_graph or (file, line)
        frame = frame.f_back


def _inwards(trace: TracebackType | None) -> Iterator[tuple[str, int]]:
    while trace is not None:
        yield trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next


def _shown(frames: Iterable[tuple[str, int]]) -> Loc | None:
    """The frame to show; whoever called the fused function has no part in it."""
    found: tuple[str, int] | None = None
    for file, line in frames:
        kind = _kind(file)
        if kind == _USERS:
            return _loc(file, line)
        if kind == _LIBRARY and found is None:
            found = file, line
        elif kind == _OURS and found is not None:
            break
    return _loc(*found) if found else None


def _loc(file: str, line: int) -> Loc:
    return Loc(writable(file), line, writable(linecache.getline(file, line).strip()))


def writable(text: str) -> str:
    """The text as UTF-8 can hold it: bytes of a file's name that are no UTF-8 are spelled out."""
    return text.encode("utf-8", "backslashreplace").decode()
