"""From a Python function to a `Routine`."""

from __future__ import annotations

import ast
import functools
import inspect
import math
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fusekit.ir import DType
from fusekit.routines.language import ARITIES, Table
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

__all__ = ["parse"]

_TYPES: Mapping[str, DType] = {"float": DType.F64, "int": DType.I64, "bool": DType.BOOL}

_BINARY: Mapping[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.FloorDiv: "truncdiv",  # the same where no operand is negative
    ast.Mod: "fmod",
}

_ORDER: Mapping[type[ast.cmpop], str] = {
    ast.Eq: "eq",
    ast.NotEq: "ne",
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Gt: "gt",
    ast.GtE: "ge",
}

_BOOLS = frozenset({"isnan", "isfinite"})


@functools.cache
def parse(function: Callable[..., Any], tables: tuple[tuple[str, str], ...] = ()) -> Routine:
    """The routine that a function is the source of.

    Args:
        function: written in the subset that `language` describes.
        tables: for its parameters that are tables, in order: module and name of the constant.

    Raises:
        SyntaxError: something outside the subset, with its line.
    """
    return _Parser(function, tables).routine()


class _Parser:
    """One function."""

    def __init__(self, function: Callable[..., Any], tables: Sequence[tuple[str, str]]) -> None:
        self.function = function
        self.globals = function.__globals__
        self.module = function.__module__
        tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
        assert isinstance(tree, ast.FunctionDef)
        self.tree = tree
        self.given = list(tables)
        self.bound: dict[str, tuple[str, str]] = {}
        self.names: dict[str, Name] = {}
        self.tables: dict[str, tuple[float, ...]] = {}
        self.calls: dict[str, Routine] = {}

    def routine(self) -> Routine:
        parameters = tuple(p for p in map(self._parameter, self.tree.args.args) if p is not None)
        result = _TYPES[self._annotation(self.tree.returns)]
        self.result = result
        doc = ast.get_docstring(self.tree) or ""
        body = self._block(self.tree.body[bool(doc) :])
        return Routine(
            name="_".join([self._unique_name(), *map(_table_name, self.bound.values())]),
            parameters=parameters,
            result=result,
            variables=tuple(n for n in self.names.values() if n not in parameters),
            body=body,
            tables=self.tables,
            calls=tuple(self.calls.values()),
            doc=doc.split("\n", 1)[0],
        )

    def _unique_name(self) -> str:
        """Private names are a module's own; none is the C library's."""
        is_private = self.tree.name.startswith("_")
        module = self.module.rpartition(".")[2]
        return f"{module}{self.tree.name}" if is_private else f"{self.tree.name}_scalar"

    def _parameter(self, argument: ast.arg) -> Name | None:
        kind = self._annotation(argument.annotation)
        if kind == "Table":
            self.bound[argument.arg] = self.given.pop(0)
            return None
        name = Name(argument.arg, _TYPES[kind])
        self.names[name.name] = name
        return name

    def _annotation(self, node: ast.expr | None) -> str:
        assert isinstance(node, ast.Name)
        return node.id

    def _outside(self, node: ast.AST, what: str) -> SyntaxError:
        """The error that `what` is none of the subset."""
        line = self.function.__code__.co_firstlineno + getattr(node, "lineno", 1) - 1
        place = (inspect.getfile(self.function), line, 0, ast.unparse(node))
        return SyntaxError(f"{what} is outside the subset of routines", place)

    # statements -----------------------------------------------------------------------------

    def _block(self, nodes: Sequence[ast.stmt]) -> tuple[Statement, ...]:
        return tuple(statement for node in nodes for statement in self._statement(node))

    def _statement(self, node: ast.stmt) -> Sequence[Statement]:  # noqa: PLR0911  a row for each kind
        match node:
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                made = [self.expression(value) for value in values]
                return [self._assign(targets, made)]
            case ast.Assign(targets=[target], value=value):
                return [self._assign([target], [self.expression(value)])]
            case ast.AugAssign(target=ast.Name() as target, op=op, value=value):
                read = ast.copy_location(ast.Name(target.id, ast.Load()), node)
                sum_ = ast.copy_location(ast.BinOp(read, op, value), node)
                return [self._assign([target], [self.expression(sum_)])]
            case ast.If(test=test, body=body, orelse=orelse):
                return [If(self._truth(test), self._block(body), self._block(orelse))]
            case ast.While(test=test, body=body, orelse=[]):
                return [While(self._truth(test), self._block(body))]
            case ast.For(
                target=ast.Name() as target,
                iter=ast.Call(func=ast.Name(id="range"), args=[*bounds]),
                body=body,
                orelse=[],
            ):
                return self._counted(target, bounds, body)
            case ast.Return(value=ast.expr() as value):
                return [Return(_as(self.result, self.expression(value)))]
            case ast.Break():
                return [Break()]
            case _:
                raise self._outside(node, "this statement")

    def _assign(self, targets: Sequence[ast.expr], values: Sequence[Expression]) -> Assign:
        names = [
            self._variable(target, value) for target, value in zip(targets, values, strict=True)
        ]
        converted = [_as(name.dtype, value) for name, value in zip(names, values, strict=True)]
        return Assign(tuple(names), tuple(converted))

    def _variable(self, target: ast.expr, value: Expression) -> Name:
        if not isinstance(target, ast.Name):
            raise self._outside(target, "this target")
        return self.names.setdefault(target.id, Name(target.id, value.dtype))

    def _counted(
        self, target: ast.Name, bounds: Sequence[ast.expr], body: Sequence[ast.stmt]
    ) -> Sequence[Statement]:
        """`for` as `while`: its bounds are numbers, or names that the body leaves alone."""
        *first, last = map(self.expression, bounds)
        begin = self._assign([target], first or [Number(0, DType.I64)])
        (name,) = begin.names
        step = Assign((name,), (Operation("add", (name, Number(1, DType.I64)), DType.I64),))
        rounds = While(Operation("lt", (name, last), DType.BOOL), (*self._block(body), step))
        return [begin, rounds]

    # expressions ----------------------------------------------------------------------------

    def expression(self, node: ast.expr) -> Expression:
        match node:
            case ast.Constant(value=bool() | int() | float() as value):
                return _number(value)
            case ast.Name(id=name):
                return self._name(node, name)
            case ast.Subscript(value=ast.Name(id=name), slice=index):
                return Element(self._table(node, name), self.expression(index))
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self._call(node, name, args)
            case _:
                return self._operation(node)

    def _operation(self, node: ast.expr) -> Expression:
        match node:
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return _negative(self.expression(operand))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Operation("not", (self._truth(operand),), DType.BOOL)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return _arithmetic(_BINARY[type(op)], self.expression(left), self.expression(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _ORDER:
                pair = _common(self.expression(left), self.expression(right))
                return Operation(_ORDER[type(op)], pair, DType.BOOL)
            case ast.BoolOp(op=op, values=values):
                name = "and" if isinstance(op, ast.And) else "or"
                return functools.reduce(functools.partial(_logic, name), map(self._truth, values))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                pair = _common(self.expression(body), self.expression(orelse))
                return Operation("select", (self._truth(test), *pair), pair[0].dtype)
            case _:
                raise self._outside(node, "this expression")

    def _truth(self, node: ast.expr) -> Expression:
        made = self.expression(node)
        if made.dtype is not DType.BOOL:
            raise self._outside(node, "a number as a condition")
        return made

    def _name(self, node: ast.AST, name: str) -> Expression:
        if name in self.names:
            return self.names[name]
        value = self.globals.get(name)
        if not isinstance(value, int | float):
            raise self._outside(node, name)
        return _number(value)

    def _table(self, node: ast.AST, name: str) -> str:
        module, constant = self.bound.get(name, (self.module, name))
        values = (
            self.globals.get(constant) if name not in self.bound else _constant(module, constant)
        )
        if not isinstance(values, tuple):
            raise self._outside(node, name)
        spelled = _table_name((module, constant))
        self.tables[spelled] = tuple(map(float, values))
        return spelled

    def _call(self, node: ast.AST, name: str, args: Sequence[ast.expr]) -> Expression:
        if name == "len":
            (table,) = args
            assert isinstance(table, ast.Name)
            spelled = self._table(node, table.id)
            return Number(len(self.tables[spelled]), DType.I64)
        if name in ("float", "int"):
            return _as(_TYPES[name], self.expression(args[0]))
        if name in ARITIES:
            operands = tuple(_as(DType.F64, self.expression(arg)) for arg in args)
            return Call(name, operands, DType.BOOL if name in _BOOLS else DType.F64)
        other = self.globals.get(name)
        if not inspect.isfunction(other):
            raise self._outside(node, name)
        return self._invoke(other, args)

    def _invoke(self, function: Callable[..., Any], args: Sequence[ast.expr]) -> Expression:
        annotated = inspect.get_annotations(function)
        kinds = [annotated[name] for name in inspect.signature(function).parameters]
        are_tables = [kind in ("Table", Table) for kind in kinds]
        tables = tuple(
            self._constant_of(arg) for arg, table in zip(args, are_tables, strict=True) if table
        )
        routine = parse(function, tables)
        self.calls.setdefault(routine.name, routine)
        given = [
            self.expression(arg) for arg, table in zip(args, are_tables, strict=True) if not table
        ]
        pairs = zip(routine.parameters, given, strict=True)
        return Invoke(routine, tuple(_as(parameter.dtype, value) for parameter, value in pairs))

    def _constant_of(self, node: ast.expr) -> tuple[str, str]:
        if not isinstance(node, ast.Name):
            raise self._outside(node, "this table")
        return self.bound.get(node.id, (self.module, node.id))


def _constant(module: str, name: str) -> Any:
    return getattr(sys.modules[module], name)


def _table_name(constant: tuple[str, str]) -> str:
    module, name = constant
    return f"{module.rpartition('.')[2]}_{name.strip('_').lower()}_table"


def _number(value: float) -> Number:
    if isinstance(value, bool):
        return Number(value, DType.BOOL)
    return Number(value, DType.I64 if isinstance(value, int) else DType.F64)


def _negative(operand: Expression) -> Expression:
    if isinstance(operand, Number) and not math.isnan(operand.value):
        return Number(-operand.value, operand.dtype)
    return Operation("neg", (operand,), operand.dtype)


def _as(dtype: DType, value: Expression) -> Expression:
    """`value` converted; numbers at once."""
    if value.dtype is dtype:
        return value
    if isinstance(value, Number) and dtype is DType.F64:
        return Number(float(value.value), dtype)
    return Operation("cast", (value,), dtype)


def _common(left: Expression, right: Expression) -> tuple[Expression, Expression]:
    """Both in the type that Python's arithmetic would give them."""
    if left.dtype is right.dtype:
        return left, right
    return _as(DType.F64, left), _as(DType.F64, right)


def _arithmetic(op: str, left: Expression, right: Expression) -> Expression:
    if op == "div":
        return Operation(op, (_as(DType.F64, left), _as(DType.F64, right)), DType.F64)
    pair = _common(left, right)
    return Operation(op, pair, pair[0].dtype)


def _logic(op: str, left: Expression, right: Expression) -> Expression:
    return Operation(op, (left, right), DType.BOOL)
