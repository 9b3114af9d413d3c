"""What C++ and CUDA C++ share: the spelling of types, literals, casts and ops, one line a value.

A value is the text that names it: `n7`, or a literal. What is regular is a row of a table, whose
template may call library functions and helpers (`c_helpers`); those that the text calls are put in
front of it. What is irregular is a method.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np

from fusekit import routines
from fusekit.codegen.dialects import c_routines
from fusekit.codegen.dialects.c_helpers import HELPERS, Helper, required
from fusekit.codegen.emit import emit_function
from fusekit.codegen.source import KernelSource, Spans
from fusekit.ir import OPS, DType, Graph, Kind, Rule
from fusekit.ir.graph import Literal
from fusekit.routines import Routine

__all__ = ["LIBRARY", "CLike", "Line", "half_bits", "spans"]

Line = tuple[str, int | None]
"""A line of text, and the id of the value it computes, if it computes one."""

_TYPES: Mapping[DType, str] = {
    DType.BOOL: "bool",
    **{dtype: f"uint{dtype.bits}_t" for dtype in DType if dtype.kind is Kind.UINT},
    **{dtype: f"int{dtype.bits}_t" for dtype in DType if dtype.kind is Kind.INT},
    DType.F16: "half_t",
    DType.BF16: "bfloat_t",
    DType.F32: "float",
    DType.F64: "double",
}

_SUFFIXES: Mapping[DType, str] = {DType.U32: "u", DType.U64: "ull", DType.I64: "ll"}

LIBRARY: Mapping[str, int] = {
    **dict.fromkeys(("fabs", "floor", "ceil", "trunc", "nearbyint", "sqrt"), 1),
    **dict.fromkeys(("exp", "exp2", "expm1", "log", "log2", "log10", "log1p"), 1),
    **dict.fromkeys(("sin", "cos", "tan", "asin", "acos", "atan", "erf", "erfc", "lgamma"), 1),
    **dict.fromkeys(("sinh", "cosh", "tanh", "asinh", "acosh", "atanh"), 1),
    **dict.fromkeys(("copysign", "fmod", "atan2", "hypot", "pow"), 2),
    "fma": 3,
}
"""The functions of the C library that templates call, with their arity; `f` ends the float's."""

# In a template, {0} {1} {2} are the operands, {T} their type, {I} the signed integer type of the
# same width, {f} the ending of the library's functions and {inf} infinity.
_ANY: Mapping[str, str] = {
    "copy": "{0}",
    "select": "{0} ? {1} : {2}",
    "rarely": "{0} ? {1} : {2}",
    "eq": "{0} == {1}",
    "ne": "{0} != {1}",
    "lt": "{0} < {1}",
    "le": "{0} <= {1}",
    "gt": "{0} > {1}",
    "ge": "{0} >= {1}",
    "and": "{0} & {1}",
    "or": "{0} | {1}",
    "xor": "{0} ^ {1}",
    "not": "~{0}",
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "neg": "-{0}",
}

_BOOL: Mapping[str, str] = {"not": "!{0}"}

_INTEGER: Mapping[str, str] = {
    "maximum": "{0} > {1} ? {0} : {1}",
    "minimum": "{0} < {1} ? {0} : {1}",
    "floordiv": "floordiv<{T}>({0}, {1})",
    "truncdiv": "truncdiv<{T}>({0}, {1})",
    "remainder": "floormod<{T}>({0}, {1})",
    "fmod": "truncmod<{T}>({0}, {1})",
    "pow": "ipow<{T}>({0}, {1})",
}

_UNSIGNED: Mapping[str, str] = {**_INTEGER, "abs": "{0}"}

_SIGNED: Mapping[str, str] = {**_INTEGER, "abs": "{0} < 0 ? -{0} : {0}"}

_FLOAT: Mapping[str, str] = {
    **{
        name: f"{name}{{f}}({', '.join(f'{{{i}}}' for i in range(arity))})"
        for name, arity in LIBRARY.items()
    },
    "abs": "fabs{f}({0})",
    "round": "nearbyint{f}({0})",
    "div": "{0} / {1}",
    # a NaN on the left has to be looked for; one on the right fails the comparison and is taken
    "maximum": "{0} > {1} || {0} != {0} ? {0} : {1}",
    "minimum": "{0} < {1} || {0} != {0} ? {0} : {1}",
    "isnan": "{0} != {0}",
    "isinf": "fabs{f}({0}) == {inf}",
    "isfinite": "fabs{f}({0}) < {inf}",
    "signbit": "bits_as<{I}>({0}) < 0",
    "sigmoid": "1 / (1 + exp{f}(-{0}))",
    "erfinv": "erfinv{f}({0})",
}

_TEMPLATES: Mapping[Kind, Mapping[str, str]] = {
    Kind.BOOL: {**_ANY, **_BOOL},
    Kind.UINT: {**_ANY, **_UNSIGNED},
    Kind.INT: {**_ANY, **_SIGNED},
    Kind.FLOAT: {**_ANY, **_FLOAT},
}

_FROM_HALF = {DType.F16: "half_to_float", DType.BF16: "bfloat_to_float"}
_TO_HALF = {DType.F16: "float_to_half", DType.BF16: "float_to_bfloat"}


class CLike(abc.ABC):
    """Values, functions and their text; a subclass adds loops, memory and the entry point.

    Attributes:
        language: what `KernelSource.language` says.
        types: dtype -> its type in the text.
        helpers: what a template may call besides the library.
        inline: how a function that has to be inlined is declared.
        internal: how any other function is declared.
        own_functions: as in `Dialect`.
        own_routines: ops whose routine the target's own functions replace.
        depth: indentation of the line being written, in steps.
    """

    language: str
    types: ClassVar[Mapping[DType, str]] = _TYPES
    helpers: ClassVar[Mapping[str, Helper]] = HELPERS
    inline: ClassVar[str] = "static inline"
    internal: ClassVar[str] = "static"
    own_functions: ClassVar[bool] = False
    has_tables: ClassVar[bool] = False
    own_routines: ClassVar[frozenset[str]] = frozenset()

    def __init__(self) -> None:
        self.depth = 1
        self._body: list[Line] = []
        self._functions: dict[str, list[str]] = {}
        self._literals: dict[str, Literal] = {}

    # the parts of `Dialect` that a target has for itself ----------------------------------------

    @abc.abstractmethod
    def begin(self) -> None:
        """Open the kernel and the loops."""

    @abc.abstractmethod
    def load(self, tensor: int, result: int) -> str:
        """The current element of an input."""

    @abc.abstractmethod
    def scalar(self, index: int, result: int) -> str:
        """A scalar input."""

    @abc.abstractmethod
    def index(self, position: int, result: int) -> str:
        """The position of the current element in the shape of a random draw."""

    @abc.abstractmethod
    def store(self, tensor: int, value: str) -> None:
        """Write the current element of an output."""

    @abc.abstractmethod
    def end(self) -> KernelSource:
        """Close loops and kernel."""

    # values ---------------------------------------------------------------------------------

    def const(self, literal: Literal, dtype: DType, result: int) -> str:
        """A literal, written where it is used."""
        del result  # it has no line
        text = self.literal(literal, dtype)
        self._literals[text] = literal
        return text

    def cast(self, operand: str, source: DType, target: DType, result: int) -> str:
        """One line that converts; halves pass through float."""
        return self.assign(target, result, self._converted(operand, source, target))

    def bitcast(self, operand: str, source: DType, target: DType, result: int) -> str:
        """One line that reads the same bits differently."""
        del source  # the compiler of the text knows it
        return self.assign(target, result, f"bits_as<{self.types[target]}>({operand})")

    def lookup(self, operand: str, table: Sequence[Literal], dtype: DType, result: int) -> str:
        """One line, a choice for each bit of the number."""
        return self.assign(dtype, result, self._entry_of(operand, table, dtype))

    def _entry_of(self, number: str, table: Sequence[Literal], dtype: DType) -> str:
        if len(table) == 1:
            return self.literal(table[0], dtype)
        half = len(table) // 2
        low, high = (self._entry_of(number, part, dtype) for part in (table[:half], table[half:]))
        return f"({number} & {half} ? {high} : {low})"

    def apply(self, op: str, operands: Sequence[str], dtype: DType, result: int) -> str:
        """One line with the op's template filled in."""
        irregular = _IRREGULAR.get(op)
        routine = routines.routine(op)
        if irregular:
            text = irregular(self, operands, dtype)
        elif routine is not None and op not in self.own_routines:
            text = self._by_routine(routine, operands, dtype)
        else:
            text = self._filled(_TEMPLATES[dtype.kind][op], operands, dtype)
        compares = OPS[op].rule is Rule.COMPARE
        return self.assign(DType.BOOL if compares else dtype, result, text)

    def call(self, function: Graph, operands: Sequence[str], dtype: DType, result: int) -> str:
        """One line that calls a vecmath function, which is written out at its first call.

        A helper of that name takes its place.
        """
        if function.name not in self._functions and function.name not in self.helpers:
            self._functions[function.name] = self._function(function)
        return self.assign(dtype, result, f"{function.name}({', '.join(operands)})")

    def assign(self, dtype: DType, result: int, text: str) -> str:
        """Give a value its line; its name."""
        self.write(f"const {self.types[dtype]} n{result} = {text};", result)
        return f"n{result}"

    def write(self, text: str, value: int | None = None) -> None:
        """Add a line to the body."""
        self._body.append(("  " * self.depth + text, value))

    # literals -------------------------------------------------------------------------------

    def literal(self, value: Literal, dtype: DType) -> str:
        """The shortest text that is exactly `value` in `dtype`; integers wrap."""
        if dtype is DType.BOOL:
            return "true" if value else "false"
        if dtype.is_storage_only:
            return f"{self.types[dtype]}{{{half_bits(float(value), dtype):#06x}}}"
        if dtype.is_float:
            return self._float(float(value), dtype)
        number = _wrapped(int(value), dtype)
        suffix = _SUFFIXES.get(dtype, "")
        if number == -(2**31) or number == -(2**63):  # noqa: PLR1714
            return f"({number + 1}{suffix} - 1)"  # C++ has only its opposite, which does not fit
        return f"{number}{suffix}"

    def nonfinite(self, value: float, dtype: DType) -> str:
        """The text of NaN or an infinity."""
        f = "f" if dtype is DType.F32 else ""
        if value != value:  # noqa: PLR0124  NaN
            return f'__builtin_nan{f}("")'
        return f"{'-' if value < 0 else ''}__builtin_inf{f}()"

    def _float(self, value: float, dtype: DType) -> str:
        if dtype is DType.F64:
            return repr(value) if np.isfinite(value) else self.nonfinite(value, dtype)
        with np.errstate(over="ignore"):
            single = np.float32(value)
        return f"{single!s}f" if np.isfinite(single) else self.nonfinite(float(single), dtype)

    # what does not fit a table ----------------------------------------------------------------

    def _filled(self, template: str, operands: Sequence[str], dtype: DType) -> str:
        return template.format(
            *operands,
            T=self.types[dtype],
            I=f"int{dtype.bits}_t",
            f="f" if dtype is DType.F32 else "",
            inf=self.nonfinite(np.inf, dtype) if dtype.is_float else "",
        )

    def _converted(self, operand: str, source: DType, target: DType) -> str:
        if source in _FROM_HALF:
            operand, source = f"{_FROM_HALF[source]}({operand})", DType.F32
        if target in _TO_HALF:
            single = self._converted(operand, source, DType.F32)
            return f"{_TO_HALF[target]}({single})"
        if target is source:
            return operand
        if target is DType.BOOL:
            return f"{operand} != 0"
        if source is DType.BOOL and target.is_float:  # g++ vectorises no conversion of a bool
            return f"{operand} ? {self.literal(1.0, target)} : {self.literal(0.0, target)}"
        if source.is_float and target.is_integral:
            return self._whole(operand, source, target)
        return f"{self.types[target]}({operand})"

    def _whole(self, operand: str, source: DType, target: DType) -> str:
        """A float as an integer; the narrow ones keep the low bits of a wider one, as on x86."""
        wide = {DType.I64: "int64", DType.U64: "uint64", DType.U32: "int64"}.get(target, "int32")
        if target is DType.U8 and source is DType.F64:
            wide = "int64"  # PyTorch's own exception
        text = f"to_{wide}<{self.types[source]}>({operand})"
        return (
            text if target in (DType.I32, DType.I64, DType.U64) else f"{self.types[target]}({text})"
        )

    def _negation(self, operands: Sequence[str], _: DType) -> str:
        """Two minus signs side by side would be another operator."""
        (x,) = operands
        return f"-({x})" if x.startswith("-") else f"-{x}"

    def _left_shift(self, operands: Sequence[str], dtype: DType) -> str:
        return self._shift("<<", "shl", operands, dtype)

    def _right_shift(self, operands: Sequence[str], dtype: DType) -> str:
        return self._shift(">>", "shr", operands, dtype)

    def _shift(self, operator: str, helper: str, operands: Sequence[str], dtype: DType) -> str:
        """A literal count is looked at here, any other where the kernel runs."""
        x, count = operands
        if 0 <= self._literals.get(count, -1) < dtype.bits:
            return f"{x} {operator} {count}"
        return f"{helper}<{self.types[dtype]}>({x}, {count})"

    # functions ------------------------------------------------------------------------------

    def _by_routine(self, routine: Routine, operands: Sequence[str], dtype: DType) -> str:
        """A call with operands converted; the routine is written out at its first call."""
        for each in routine.family():
            if each.name not in self._functions:
                lines = c_routines.definition(each, self.types, self.literal, self.internal)
                self._functions[each.name] = list(lines)
        wide = routine.result
        given = [self._converted(operand, dtype, wide) for operand in operands]
        return self._converted(f"{routine.name}({', '.join(given)})", wide, dtype)

    def _function(self, function: Graph) -> list[str]:
        """The text of a vecmath function; its values are named by its own graph's ids."""
        outer, depth = self._body, self.depth
        self._body, self.depth = [], 1
        names = [f"n{i}" for i in function.inputs]
        (returned,) = emit_function(function, names, self)
        body = [line for line, _ in self._body]
        self._body, self.depth = outer, depth
        result = self.types[function.dtype(function.outputs[0])]
        kinds = [self.types[function.dtype(i)] for i in function.inputs]
        parameters = ", ".join(f"{kind} {name}" for kind, name in zip(kinds, names, strict=True))
        head = f"{self.inline} {result} {function.name}({parameters}) {{"
        return [head, *body, f"  return {returned};", "}"]

    def definitions(self, text: str) -> Iterator[str]:
        """The helpers and vecmath functions that `text` needs, each after what it calls."""
        functions = [line for function in self._functions.values() for line in ("", *function)]
        for name in required("\n".join([text, *functions]), self.helpers):
            yield ""
            yield from self.helpers[name].lines(self.inline)
        yield from functions


_IRREGULAR: Mapping[str, Callable[[CLike, Sequence[str], DType], str]] = {
    "neg": CLike._negation,  # noqa: SLF001  the rows of the table are the class's own methods
    "shl": CLike._left_shift,  # noqa: SLF001
    "shr": CLike._right_shift,  # noqa: SLF001
}


def _wrapped(number: int, dtype: DType) -> int:
    """`number` modulo the width of `dtype`."""
    low = number % (1 << dtype.bits)
    return low - (1 << dtype.bits) if dtype.kind is Kind.INT and low >> (dtype.bits - 1) else low


def half_bits(value: float, dtype: DType) -> int:
    """The bits of `value` rounded to float, as C++ and PyTorch pass, and then to a half."""
    with np.errstate(over="ignore", invalid="ignore"):
        single = np.float32(value)
        if dtype is DType.F16:
            return int(single.astype(np.float16).view(np.uint16))
    if np.isnan(single):
        return 0x7FC0
    bits = int(single.view(np.uint32))
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16


def spans(lines: Sequence[Line]) -> tuple[tuple[int, Spans], ...]:
    """Value id -> its runs of lines, counted from 1."""
    found: dict[int, list[tuple[int, int]]] = {}
    for number, (_, value) in enumerate(lines, start=1):
        if value is None:
            continue
        runs = found.setdefault(value, [])
        first = runs.pop()[0] if runs and runs[-1][1] == number - 1 else number
        runs.append((first, number))
    return tuple((value, tuple(runs)) for value, runs in sorted(found.items()))
