"""The user's text: parsing it, the lines of a function, a caret under a place in a line."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import linecache
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fusekit.errors import UsageError
from fusekit.frontends.lines import writable
from fusekit.ir import Loc

__all__ = ["UserText", "at_line", "expression", "parse", "set_user_text", "shown_name", "user_text"]

_TEXT = "__fusekit_text__"


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
    shown = shown_name(Loc(file, first))
    return UserText(writable("".join(lines).rstrip("\n")), max(first, 1), writable(shown))


def shown_name(loc: Loc) -> str:
    """What a view calls the file of a line: never a path."""
    return "notebook cell" if loc.in_cell else Path(loc.file).name


def at_line(message: str, line: str, offset: int | None) -> str:
    """`message`, then `line` with a caret under column `offset` (counted from 1)."""
    if not line.strip():
        return message
    shown = f"{message}\n    {line.strip()}"
    if not offset:
        return shown
    column = offset - 1 - (len(line) - len(line.lstrip()))
    return f"{shown}\n    {' ' * max(column, 0)}^"


def parse(text: str, file: str, *, flags: int = 0) -> list[ast.stmt]:
    """The statements of a cell.

    Args:
        text: the cell, as long as it is in the notebook: a magic's line stands as an empty line.
        file: under which name tracebacks and views find the text.
        flags: of the notebook's compiler (its `from __future__ import`s).

    Raises:
        UsageError: the cell is not Python; the message shows where.
    """
    try:
        tree = compile(text, file, "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True)
        compile(text, file, "exec", flags, dont_inherit=True)  # `return` outside a function ...
    except (SyntaxError, ValueError) as error:  # ValueError: a null byte
        raise UsageError(_syntax_message(error, text)) from None
    assert isinstance(tree, ast.Module)
    return tree.body


def _syntax_message(error: SyntaxError | ValueError, text: str) -> str:
    if not isinstance(error, SyntaxError):
        return f"the cell is not Python: {error}"
    lines = text.splitlines()
    line = lines[error.lineno - 1] if error.lineno and error.lineno <= len(lines) else ""
    hint = ""
    if line.lstrip().startswith(("%", "!")) or line.rstrip().endswith("?"):
        hint = "; a fused cell holds Python only: put magics and shell commands into another cell"
    elif "await" in error.msg:
        hint = "; await in a cell without %%fuse, and fuse what comes after it"
    said = f"line {error.lineno}: {error.msg}{hint}"
    return at_line(said, line, error.offset)


def expression(text: str, what: str) -> ast.expr:
    """Parse one expression; UsageError shows where it is none."""
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError) as error:
        message = getattr(error, "msg", str(error))
        said = f"{what}: {message}"
        raise UsageError(at_line(said, text.strip(), getattr(error, "offset", None))) from None
