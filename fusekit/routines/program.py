"""A routine as data: what the parser makes of a Python function, and the dialects write out.

Values are of three types: F64, I64 and BOOL. Nothing here is promoted: conversions are nodes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from fusekit.ir import DType

__all__ = [
    "Assign",
    "Break",
    "Call",
    "Element",
    "Expression",
    "If",
    "Invoke",
    "Name",
    "Number",
    "Operation",
    "Return",
    "Routine",
    "Statement",
    "While",
]


@dataclasses.dataclass(frozen=True, slots=True)
class Number:
    """A literal."""

    value: float
    dtype: DType


@dataclasses.dataclass(frozen=True, slots=True)
class Name:
    """A parameter or variable."""

    name: str
    dtype: DType


@dataclasses.dataclass(frozen=True, slots=True)
class Element:
    """An entry of a table."""

    table: str
    index: Expression
    dtype: DType = DType.F64


@dataclasses.dataclass(frozen=True, slots=True)
class Operation:
    """An op of the IR, by its name there, on operands of one type; `select` and `cast` as there."""

    op: str
    operands: tuple[Expression, ...]
    dtype: DType


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """A function of the C library."""

    function: str
    operands: tuple[Expression, ...]
    dtype: DType = DType.F64


@dataclasses.dataclass(frozen=True, slots=True)
class Invoke:
    """Another routine."""

    routine: Routine
    operands: tuple[Expression, ...]

    @property
    def dtype(self) -> DType:
        """What it returns."""
        return self.routine.result


Expression = Number | Name | Element | Operation | Call | Invoke


@dataclasses.dataclass(frozen=True, slots=True)
class Assign:
    """All values are computed before the first name changes."""

    names: tuple[Name, ...]
    values: tuple[Expression, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class If:
    """Either block may be empty."""

    condition: Expression
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class While:
    """The condition is computed before each round."""

    condition: Expression
    body: tuple[Statement, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Break:
    """Out of the innermost loop."""


@dataclasses.dataclass(frozen=True, slots=True)
class Return:
    """The routine's result."""

    value: Expression


Statement = Assign | If | While | Break | Return


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Routine:
    """One function.

    Attributes:
        name: unique among all routines.
        parameters: in order.
        result: type of what it returns.
        variables: its other names, in order of appearance.
        body: its statements.
        tables: the constants it indexes, by their names in the text.
        calls: the routines it calls, each once.
        doc: the first line of its docstring.
    """

    name: str
    parameters: tuple[Name, ...]
    result: DType
    variables: tuple[Name, ...]
    body: tuple[Statement, ...]
    tables: dict[str, tuple[float, ...]]
    calls: tuple[Routine, ...]
    doc: str

    def family(self) -> Iterator[Routine]:
        """The routines it needs, each after those that it calls itself; it is the last."""
        found: dict[str, Routine] = {}

        def visit(routine: Routine) -> None:
            for other in routine.calls:
                visit(other)
            found.setdefault(routine.name, routine)

        visit(self)
        yield from found.values()
