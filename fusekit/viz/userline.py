"""Pointing at the user's text: the lines of a function, and a caret under a place in a line."""

from __future__ import annotations

import dataclasses
import inspect
import linecache
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["UserText", "at_line", "set_user_text", "user_text"]

_TEXT = "__fusekit_text__"
_CELL = re.compile(r"<ipython-input-|.*[/\\]ipykernel_\d+[/\\]\d+\.py$")
"""Names that IPython and ipykernel give to cells."""


@dataclasses.dataclass(frozen=True)
class UserText:
    """Lines as the user wrote them.

    Attributes:
        text: without a newline at the end; "" if it is not to be had.
        first: the number of its first line.
        file: what to call the place: a base name, never a path.
    """

    text: str
    first: int
    file: str = "notebook cell"


def set_user_text(function: Callable[..., Any], text: UserText) -> None:
    """Say what `function` was made of, where `inspect` could not find it."""
    setattr(function, _TEXT, text)


def user_text(function: Callable[..., Any]) -> UserText:
    """The lines of a function, method or module."""
    known = getattr(function, _TEXT, None)
    if isinstance(known, UserText):
        return known
    target = inspect.unwrap(getattr(function, "forward", function))
    try:
        lines, first = inspect.getsourcelines(target)
        file = inspect.getsourcefile(target) or ""
    except (OSError, TypeError):
        return UserText("", 1, "")
    linecache.checkcache(file)
    shown = "notebook cell" if _CELL.match(file) else Path(file).name
    return UserText("".join(lines).rstrip("\n"), max(first, 1), shown)


def at_line(message: str, line: str, offset: int | None) -> str:
    """`message`, then `line` with a caret under column `offset` (counted from 1)."""
    if not line.strip():
        return message
    shown = f"{message}\n    {line.strip()}"
    if not offset:
        return shown
    column = offset - 1 - (len(line) - len(line.lstrip()))
    return f"{shown}\n    {' ' * max(column, 0)}^"
