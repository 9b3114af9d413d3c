"""Routines in LLVM: variables in memory, which LLVM turns into registers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from fusekit.codegen.dialects import llvm_types as types
from fusekit.codegen.dialects.llvm_code import NAMES
from fusekit.ir import DType
from fusekit.routines.language import ARITIES
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

__all__ = ["definition", "elementwise"]

_INTRINSICS = frozenset({"sqrt", "fabs", "floor", "ceil", "trunc", "copysign", "fma"})

_FLOAT: Mapping[str, str] = {
    "add": "fadd",
    "sub": "fsub",
    "mul": "fmul",
    "div": "fdiv",
    "eq": "fcmp oeq",
    "ne": "fcmp une",
    "lt": "fcmp olt",
    "le": "fcmp ole",
    "gt": "fcmp ogt",
    "ge": "fcmp oge",
}

_INTEGER: Mapping[str, str] = {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "truncdiv": "sdiv",
    "fmod": "srem",
    "and": "and",
    "or": "or",
    "eq": "icmp eq",
    "ne": "icmp ne",
    "lt": "icmp slt",
    "le": "icmp sle",
    "gt": "icmp sgt",
    "ge": "icmp sge",
}

_CASTS: Mapping[tuple[DType, DType], str] = {
    (DType.I64, DType.F64): "sitofp",
    (DType.BOOL, DType.F64): "uitofp",
    (DType.BOOL, DType.I64): "zext",
}


class _Writer:
    """One routine's instructions, in order.

    Attributes:
        lines: what there is so far.
        called: functions of the C library that it calls.
    """

    def __init__(self, routine: Routine) -> None:
        self.routine = routine
        self.lines: list[str] = []
        self.called: dict[str, None] = {}
        self._count = 0
        self._exits: list[str] = []

    def write(self) -> None:
        """The whole body."""
        for name in (*self.routine.parameters, *self.routine.variables):
            self.add(f"%{name.name}.at = alloca {types.element(name.dtype)}")
        for name in self.routine.parameters:
            self.add(f"store {_typed(name, f'%{name.name}')}, ptr %{name.name}.at")
        if not self.block(self.routine.body):
            self.add("unreachable")

    def add(self, line: str) -> None:
        self.lines.append(f"  {line}")

    def fresh(self, stem: str = "t") -> str:
        self._count += 1
        return f"{stem}{self._count}"

    def value(self, text: str) -> str:
        """The name of a new value."""
        name = f"%{self.fresh()}"
        self.add(f"{name} = {text}")
        return name

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")

    # statements -----------------------------------------------------------------------------

    def block(self, statements: Sequence[Statement]) -> bool:
        """True if control does not come out at its end; what follows then is left out."""
        return any(self.statement(statement) for statement in statements)

    def statement(self, statement: Statement) -> bool:
        match statement:
            case Assign(names=names, values=values):
                made = [self.expression(value) for value in values]
                for name, value in zip(names, made, strict=True):
                    self.add(f"store {_typed(name, value)}, ptr %{name.name}.at")
            case If():
                return self.branch(statement)
            case While():
                self.loop(statement)
            case Break():
                self.add(f"br label %{self._exits[-1]}")
                return True
            case Return(value=value):
                self.add(f"ret {_typed(value, self.expression(value))}")
                return True
        return False

    def branch(self, statement: If) -> bool:
        then, otherwise, done = (self.fresh(stem) for stem in ("then", "else", "done"))
        condition = self.expression(statement.condition)
        self.add(f"br i1 {condition}, label %{then}, label %{otherwise}")
        ends = []
        for label, body in ((then, statement.then), (otherwise, statement.otherwise)):
            self.label(label)
            ends.append(self.block(body))
            if not ends[-1]:
                self.add(f"br label %{done}")
        if not all(ends):
            self.label(done)
        return all(ends)

    def loop(self, statement: While) -> None:
        again, body, done = (self.fresh(stem) for stem in ("again", "body", "done"))
        self.add(f"br label %{again}")
        self.label(again)
        condition = self.expression(statement.condition)
        self.add(f"br i1 {condition}, label %{body}, label %{done}")
        self.label(body)
        self._exits.append(done)
        if not self.block(statement.body):
            self.add(f"br label %{again}")
        self._exits.pop()
        self.label(done)

    # expressions ----------------------------------------------------------------------------

    def expression(self, expression: Expression) -> str:
        match expression:
            case Number(value=value, dtype=dtype):
                return types.number(value, dtype)
            case Name(name=name, dtype=dtype):
                return self.value(f"load {types.element(dtype)}, ptr %{name}.at")
            case Element(table=table, index=index):
                position = self.expression(index)
                at = self.value(f"getelementptr double, ptr @{table}, i64 {position}")
                return self.value(f"load double, ptr {at}")
            case Operation():
                return self.operation(expression)
            case Invoke(routine=routine, operands=operands):
                arguments = self.arguments(operands)
                result = types.element(routine.result)
                return self.value(f"call {result} @{routine.name}({arguments})")
            case Call():
                return self.call(expression)

    def arguments(self, operands: Sequence[Expression]) -> str:
        return ", ".join([_typed(x, self.expression(x)) for x in operands])

    def call(self, call: Call) -> str:
        if call.function == "isnan":
            x = self.expression(call.operands[0])
            return self.value(f"fcmp uno double {x}, {x}")
        if call.function == "isfinite":
            size = self.value(f"call double @llvm.fabs.f64({self.arguments(call.operands)})")
            return self.value(f"fcmp olt double {size}, 0x7FF0000000000000")
        name = call.function
        if name in _INTRINSICS:
            name = f"llvm.{name}.f64"
        else:
            self.called[name] = None
        return self.value(f"call double @{name}({self.arguments(call.operands)})")

    def operation(self, operation: Operation) -> str:
        op = operation.op
        first, *others = (self.expression(x) for x in operation.operands)
        source = operation.operands[0].dtype
        kind = types.element(source)
        if op == "cast":
            return self.cast(first, source, operation.dtype)
        if op == "select":
            chosen = ", ".join(_typed(operation, x) for x in others)
            return self.value(f"select i1 {first}, {chosen}")
        if op == "not":
            return self.value(f"xor i1 {first}, true")
        if op == "neg":
            is_float = source is DType.F64
            return self.value(f"fneg double {first}" if is_float else f"sub {kind} 0, {first}")
        table = _FLOAT if source is DType.F64 else _INTEGER
        return self.value(f"{table[op]} {kind} {first}, {others[0]}")

    def cast(self, value: str, source: DType, target: DType) -> str:
        kinds = types.element(source), types.element(target)
        if (source, target) == (DType.F64, DType.I64):
            return self.whole(value)
        return self.value(f"{_CASTS[source, target]} {kinds[0]} {value} to {kinds[1]}")

    def whole(self, value: str) -> str:
        """As x86 converts: the most negative integer where it does not fit."""
        size = self.value(f"call double @llvm.fabs.f64(double {value})")
        fits = self.value(f"fcmp olt double {size}, 9223372036854775808.0")
        whole = self.value(f"fptosi double {value} to i64")
        return self.value(f"select i1 {fits}, i64 {whole}, i64 -9223372036854775808")


def _typed(expression: Expression, text: str) -> str:
    return f"{types.element(expression.dtype)} {text}"


def definition(routine: Routine) -> Iterator[str]:
    """The lines that define a routine and its tables, and declare what it has of the C library."""
    writer = _Writer(routine)
    writer.write()
    for name in writer.called:
        yield f"declare double @{name}({', '.join(['double'] * ARITIES[name])})"
    for name, values in routine.tables.items():
        items = ", ".join(f"double {types.number(value, DType.F64)}" for value in values)
        yield f"@{name} = private unnamed_addr constant [{len(values)} x double] [{items}]"
    parameters = ", ".join(_typed(p, f"%{p.name}") for p in routine.parameters)
    yield f"; {routine.doc}"
    yield f"define internal {types.element(routine.result)} @{routine.name}({parameters}) {{"
    yield from writer.lines
    yield "}"


def elementwise(name: str, routine: Routine, dtype: DType, lanes: int) -> Iterator[str]:
    """A function of vectors that calls a routine for one element after another.

    Elements are widened to the routine's own type, and its result rounded to theirs.
    """
    whole, narrow = types.vector(dtype, lanes), types.element(dtype)
    wide = types.element(routine.result)
    widening, narrowing = ("fpext", "fptrunc") if dtype.is_float else ("sext", "trunc")
    operands = NAMES[: len(routine.parameters)]
    parameters = ", ".join(f"{whole} %{x}" for x in operands)
    arguments = ", ".join(f"{wide} %{x}.wide" for x in operands)
    yield f"define internal {whole} @{name}({parameters}) {{"
    yield "entry:"
    yield "  br label %element"
    yield "element:"
    yield "  %i = phi i64 [ 0, %entry ], [ %i.next, %element ]"
    yield f"  %done = phi {whole} [ poison, %entry ], [ %r, %element ]"
    for x in operands:
        yield f"  %{x}.one = extractelement {whole} %{x}, i64 %i"
        yield f"  %{x}.wide = {_cast(widening, narrow, wide)} {narrow} %{x}.one to {wide}"
    yield f"  %wide = call {wide} @{routine.name}({arguments})"
    yield f"  %one = {_cast(narrowing, narrow, wide)} {wide} %wide to {narrow}"
    yield f"  %r = insertelement {whole} %done, {narrow} %one, i64 %i"
    yield "  %i.next = add i64 %i, 1"
    yield f"  %more = icmp ult i64 %i.next, {lanes}"
    yield "  br i1 %more, label %element, label %end"
    yield "end:"
    yield f"  ret {whole} %r"
    yield "}"


def _cast(instruction: str, narrow: str, wide: str) -> str:
    """An instruction that changes nothing where the types are one."""
    return instruction if narrow != wide else "bitcast"
