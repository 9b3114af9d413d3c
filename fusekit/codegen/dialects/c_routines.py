"""Routines in C, which is also CUDA's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from fusekit.ir import DType
from fusekit.routines.program import (
    Assign,
    Break,
    Call,
    Element,
    Expression,
    If,
    Invoke,
    Name,
    Number,
    Operation,
    Return,
    Routine,
    Statement,
    While,
)

__all__ = ["definition"]

_INFIX: Mapping[str, str] = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "truncdiv": "/",
    "fmod": "%",
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "and": "&&",
    "or": "||",
}

Literal = Callable[[float, DType], str]


class _Writer:
    """One routine's text.

    Attributes:
        types: dtype -> its type in the text.
        literal: how a number is written.
    """

    def __init__(self, types: Mapping[DType, str], literal: Literal) -> None:
        self.types = types
        self.literal = literal

    def block(self, statements: Sequence[Statement], depth: int) -> Iterator[str]:
        """The lines of statements, indented by so many steps."""
        for statement in statements:
            yield from ("  " * depth + line for line in self.statement(statement))

    def statement(self, statement: Statement) -> Iterator[str]:
        match statement:
            case Assign(names=[name], values=[value]):
                yield f"{name.name} = {self.outer(value)};"
            case Assign(names=names, values=values):
                yield "{"
                for name, value in zip(names, values, strict=True):
                    kind = self.types[name.dtype]
                    yield f"  const {kind} next_{name.name} = {self.outer(value)};"
                yield from (f"  {name.name} = next_{name.name};" for name in names)
                yield "}"
            case If(condition=condition, then=then, otherwise=otherwise):
                yield f"if ({self.outer(condition)}) {{"
                yield from self.block(then, 1)
                if otherwise:
                    yield "} else {"
                    yield from self.block(otherwise, 1)
                yield "}"
            case While(condition=condition, body=body):
                yield f"while ({self.outer(condition)}) {{"
                yield from self.block(body, 1)
                yield "}"
            case Break():
                yield "break;"
            case Return(value=value):
                yield f"return {self.outer(value)};"

    def outer(self, expression: Expression) -> str:
        """Without the parentheses around all of it."""
        text = self.expression(expression)
        is_wrapped = isinstance(expression, Operation | Number) and text.startswith("(")
        return text[1:-1] if is_wrapped else text

    def expression(self, expression: Expression) -> str:  # noqa: PLR0911  a row for each kind
        match expression:
            case Number(value=value, dtype=DType.I64) if abs(value) < 2**31:
                return _signed(str(value))
            case Number(value=value, dtype=dtype):
                return _signed(self.literal(value, dtype))
            case Name(name=name):
                return name
            case Element(table=table, index=index):
                return f"{table}[{self.outer(index)}]"
            case Operation():
                return self.operation(expression)
            case Invoke(routine=routine, operands=operands):
                return f"{routine.name}({self.listed(operands)})"
            case Call(function="isnan", operands=[x]):
                text = self.expression(x)
                return f"({text} != {text})"
            case Call(function="isfinite", operands=[x]):
                return f"(fabs({self.outer(x)}) <= 1.7976931348623157e+308)"
            case Call(function=function, operands=operands):
                return f"{function}({self.listed(operands)})"

    def listed(self, operands: Sequence[Expression]) -> str:
        return ", ".join(self.outer(x) for x in operands)

    def operation(self, operation: Operation) -> str:
        op, operands = operation.op, operation.operands
        texts = [self.expression(x) for x in operands]
        if op == "cast" and operation.dtype is DType.I64 and operands[0].dtype is DType.F64:
            return f"to_int64<double>({self.outer(operands[0])})"
        if op == "cast":
            return f"{self.types[operation.dtype]}({self.outer(operands[0])})"
        if op == "select":
            return "({} ? {} : {})".format(*texts)
        if op in ("neg", "not"):
            return f"({'-' if op == 'neg' else '!'}{texts[0]})"
        return f"({texts[0]} {_INFIX[op]} {texts[1]})"


def _signed(number: str) -> str:
    return f"({number})" if number.startswith("-") else number


def definition(
    routine: Routine, types: Mapping[DType, str], literal: Literal, inline: str
) -> Iterator[str]:
    """The lines that define a routine and its tables, but not what it calls.

    Args:
        routine: which.
        types: dtype -> its type in the text.
        literal: writes a number of a dtype.
        inline: how functions are declared that are seen in this text alone.
    """
    writer = _Writer(types, literal)
    for name, values in routine.tables.items():
        yield f"{inline} const double {name}[{len(values)}] = {{"
        yield from (f"  {literal(value, DType.F64)}," for value in values)
        yield "};"
    parameters = ", ".join(f"{types[p.dtype]} {p.name}" for p in routine.parameters)
    yield f"// {routine.doc}"
    yield f"{inline} {types[routine.result]} {routine.name}({parameters}) {{"
    for dtype in DType:
        names = [variable.name for variable in routine.variables if variable.dtype is dtype]
        if names:
            yield f"  {types[dtype]} {', '.join(names)};"
    yield from writer.block(routine.body, 1)
    yield "}"
