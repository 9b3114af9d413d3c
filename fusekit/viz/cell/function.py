"""One function of the statements of a cell, in the cell's own lines."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Callable, Collection, Sequence

from fusekit.errors import UsageError
from fusekit.viz.cell.statements import names_of

__all__ = ["VALUE_KEY", "CellFunction", "end_line", "function_of"]

VALUE_KEY = "(value)"
"""What the value of the last expression is called among the results."""

_VALUE = "__fusekit_value__"
_FOUND = "__fusekit_found__"


@dataclasses.dataclass(frozen=True)
class CellFunction:
    """A function to compile.

    Attributes:
        definition: it returns a dict of the names it binds.
        parameters: names to call it with the values of.
    """

    definition: ast.FunctionDef
    parameters: tuple[str, ...]


def function_of(
    statements: Sequence[ast.stmt],
    known: Collection[str],
    is_argument: Callable[[str], bool],
    out: Sequence[str] = (),
    *,
    value: bool,
) -> CellFunction:
    """The function that does what `statements` do.

    Args:
        statements: at least one.
        known: names that have a value now.
        is_argument: True for a name whose value is passed in; others stay global names, unless
            the statements bind them as well.
        out: the names to return; none means all that are bound.
        value: whether the last statement, if it is an expression, is a result too.
    """
    body = list(statements)
    names = names_of(body)
    keys = {name: name for name in _handed_over(names.bound, out)}
    final = body[-1]
    if value and isinstance(final, ast.Expr):
        target = ast.copy_location(ast.Name(_VALUE, ast.Store()), final)
        body[-1] = ast.copy_location(ast.Assign([target], final.value), final)
        keys[_VALUE] = VALUE_KEY
    parameters = tuple(
        name for name in names.free if name in known and (is_argument(name) or name in names.bound)
    )
    definition = ast.parse(f"def cell({', '.join(parameters)}): pass").body[0]
    assert isinstance(definition, ast.FunctionDef)
    _place(definition, body[0])
    definition.lineno = 1  # with its code's name below, tracebacks count lines from the cell's top
    ending = _ending(keys)
    for node in ending:
        _place(node, final)
    definition.body = [*body, *ending]
    return CellFunction(definition, parameters)


def _handed_over(bound: Sequence[str], out: Sequence[str]) -> Sequence[str]:
    unknown = [name for name in out if name not in bound]
    if unknown:
        raise UsageError(f"--out {unknown[0]}: the cell binds {', '.join(bound) or 'no name'}")
    return out or bound


def _ending(keys: dict[str, str]) -> list[ast.stmt]:
    """Return what is bound at the end: a name that is bound in one branch only may be missing."""
    picked = f"{{key: {_FOUND}[name] for name, key in {keys!r}.items() if name in {_FOUND}}}"
    return ast.parse(f"{_FOUND} = locals()\nreturn {picked}").body


def _place(made: ast.AST, at: ast.stmt) -> None:
    """Put every part of `made` on the line of `at`."""
    for part in ast.walk(made):
        ast.copy_location(part, at)


def end_line(statements: Sequence[ast.stmt]) -> int:
    """The last line of statements."""
    return max((s.end_lineno or s.lineno for s in statements), default=0)
