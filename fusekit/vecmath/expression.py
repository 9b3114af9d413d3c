"""IR values with operators, so that a function reads like its formula.

    def square_plus_one(x: Expr) -> Expr:
        return fma(x, x, 1.0)

A Python number beside an `Expr` becomes a constant of the other operand's dtype. Nothing is
contracted: `x * y + z` rounds twice, `fma(x, y, z)` once.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from fusekit.ir import DType, GraphBuilder

__all__ = ["Expr", "Number", "copysign", "estrin", "fma", "horner", "poly", "rarely", "where"]

Number = bool | int | float


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Expr:
    """A value of the graph under construction."""

    builder: GraphBuilder
    id: int

    @property
    def dtype(self) -> DType:
        """Its element type."""
        return self.builder.dtype(self.id)

    def const(self, value: Number) -> Expr:
        """A constant of this expression's dtype."""
        if self.dtype is DType.F32:
            value = float(np.float32(value))
        return Expr(self.builder, self.builder.const(value, self.dtype))

    def apply(self, op: str, *others: Expr | Number) -> Expr:
        """The op of that name with this expression as its first operand."""
        operands = [other if isinstance(other, Expr) else self.const(other) for other in others]
        return Expr(self.builder, self.builder.apply(op, self.id, *(e.id for e in operands)))

    def cast(self, dtype: DType) -> Expr:
        """Converted as C++ converts; the caller keeps a float within an integer's range."""
        return Expr(self.builder, self.builder.cast(self.id, dtype))

    def bits(self, dtype: DType) -> Expr:
        """The same bits as another dtype."""
        return Expr(self.builder, self.builder.bitcast(self.id, dtype))

    def lookup(self, table: Sequence[float]) -> Expr:
        """The float32 of a table whose number is the low bits of this u32."""
        return Expr(self.builder, self.builder.lookup(self.id, table, DType.F32))

    def __add__(self, other: Expr | Number) -> Expr:
        return self.apply("add", other)

    def __radd__(self, other: Number) -> Expr:
        return self.const(other).apply("add", self)

    def __sub__(self, other: Expr | Number) -> Expr:
        return self.apply("sub", other)

    def __rsub__(self, other: Number) -> Expr:
        return self.const(other).apply("sub", self)

    def __mul__(self, other: Expr | Number) -> Expr:
        return self.apply("mul", other)

    def __rmul__(self, other: Number) -> Expr:
        return self.const(other).apply("mul", self)

    def __truediv__(self, other: Expr | Number) -> Expr:
        return self.apply("div", other)

    def __rtruediv__(self, other: Number) -> Expr:
        return self.const(other).apply("div", self)

    def __neg__(self) -> Expr:
        return self.apply("neg")

    def __abs__(self) -> Expr:
        return self.apply("abs")

    def __and__(self, other: Expr | Number) -> Expr:
        return self.apply("and", other)

    def __or__(self, other: Expr | Number) -> Expr:
        return self.apply("or", other)

    def __xor__(self, other: Expr | Number) -> Expr:
        return self.apply("xor", other)

    def __invert__(self) -> Expr:
        return self.apply("not")

    def __lshift__(self, other: int) -> Expr:
        return self.apply("shl", other)

    def __rshift__(self, other: int) -> Expr:
        return self.apply("shr", other)

    def __lt__(self, other: Expr | Number) -> Expr:
        return self.apply("lt", other)

    def __le__(self, other: Expr | Number) -> Expr:
        return self.apply("le", other)

    def __gt__(self, other: Expr | Number) -> Expr:
        return self.apply("gt", other)

    def __ge__(self, other: Expr | Number) -> Expr:
        return self.apply("ge", other)

    def equals(self, other: Expr | Number) -> Expr:
        """Elementwise ==, as a method: `==` keeps Python's meaning of the same expression."""
        return self.apply("eq", other)

    def differs(self, other: Expr | Number) -> Expr:
        """Elementwise !=; true on NaN."""
        return self.apply("ne", other)

    def isnan(self) -> Expr:
        """True where it is a NaN."""
        return self.apply("isnan")

    def round(self) -> Expr:
        """The nearest integer, halves to even."""
        return self.apply("round")

    def sqrt(self) -> Expr:
        """The square root, correctly rounded."""
        return self.apply("sqrt")

    def at_most(self, bound: float) -> Expr:
        """The smaller of this and `bound`; NaN stays NaN.

        Spelled as a select because that is one instruction on x86 (vminps with this operand
        second), while `minimum` has to look for NaN in both.
        """
        return where(self > bound, bound, self)

    def at_least(self, bound: float) -> Expr:
        """The larger of this and `bound`; NaN stays NaN."""
        return where(self < bound, bound, self)


def fma(x: Expr | Number, y: Expr | Number, z: Expr | Number) -> Expr:
    """The sum x * y + z, rounded once."""
    model = next(e for e in (x, y, z) if isinstance(e, Expr))
    first = x if isinstance(x, Expr) else model.const(x)
    return first.apply("fma", y, z)


def where(condition: Expr, then: Expr | Number, otherwise: Expr | Number) -> Expr:
    """`then` where the condition holds, else `otherwise`; at least one of them an `Expr`."""
    model = then if isinstance(then, Expr) else otherwise
    if not isinstance(model, Expr):
        raise TypeError("one branch of a select has to carry the dtype")
    branches = [e if isinstance(e, Expr) else model.const(e) for e in (then, otherwise)]
    return condition.apply("select", *branches)


def rarely(condition: Expr, then: Expr, otherwise: Expr) -> Expr:
    """Like `where`, for the result of a function whose condition seldom holds.

    `then` may cost much: where no lane of a vector asks for it, a dialect may leave it out.
    """
    return condition.apply("rarely", then, otherwise)


def copysign(magnitude: Expr | float, sign: Expr) -> Expr:
    """|magnitude| with the sign bit of `sign`."""
    first = magnitude if isinstance(magnitude, Expr) else sign.const(magnitude)
    return first.apply("copysign", sign)


def poly(x: Expr, coefficients: Sequence[float]) -> Expr:
    """sum(c[i] * x**i) by Horner's rule: the fewest operations, one fma each."""
    return horner(x, [x.const(c) for c in coefficients])


def estrin(x: Expr, coefficients: Sequence[float]) -> Expr:
    """The same polynomial pair by pair: some multiplications more, a path of half the length."""
    terms: list[Expr] = [x.const(c) for c in coefficients]
    while len(terms) > 1:
        pairs = itertools.zip_longest(terms[::2], terms[1::2])
        terms = [low if high is None else fma(high, x, low) for low, high in pairs]
        x = x * x if len(terms) > 1 else x
    return terms[0]


def horner(x: Expr, coefficients: Sequence[Expr]) -> Expr:
    """Like `poly`, with coefficients that are values."""
    *lower, result = coefficients
    for coefficient in reversed(lower):
        result = fma(result, x, coefficient)
    return result
