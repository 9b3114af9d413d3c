"""The op table: one row per op, its operands, its typing rule and its meaning.

The IR is explicitly typed, like LLVM's: every cast is a node, operands of an op share one dtype,
and half precision exists only in memory (`DType.is_storage_only`), so f16 and bf16 reach an
arithmetic op through casts to f32. PyTorch's promotion rules live in the frontends, which ask
torch; nothing below them promotes anything.
"""

from __future__ import annotations

import dataclasses
import enum

from fusekit.ir.types import DType, Kind

__all__ = ["OPS", "Op", "Rule", "op"]


class Rule(enum.Enum):
    """How an op's result type follows from its operands."""

    SAME = "all operands and the result have one dtype"
    COMPARE = "operands have one dtype, the result is bool"
    SELECT = "(bool, T, T) -> T"
    CAST = "one operand of any dtype, the result is the `dtype` attribute"
    CONST = "no operands, the result is the `dtype` attribute"
    INDEX = "no operands, the result is i64"
    CALL = "a torch operator run by PyTorch; result types are stated, not inferred"
    CHUNK = "one tensor input -> `chunks` equal pieces along `dim`"
    CAT = "pieces of one dtype -> their concatenation along `dim`; only ever an output"


ANY = frozenset(Kind)
NUMBER = frozenset({Kind.INT, Kind.UINT, Kind.FLOAT})
INTEGER = frozenset({Kind.INT, Kind.UINT})
BITS = frozenset({Kind.BOOL, Kind.INT, Kind.UINT})
FLOAT = frozenset({Kind.FLOAT})


@dataclasses.dataclass(frozen=True, slots=True)
class Op:
    """One row of the table.

    Attributes:
        name: spelling in the text form.
        arity: number of operands; -1 when it varies (call, cat).
        rule: how the result type follows.
        kinds: operand kinds it is defined for.
        doc: its meaning, in one line; x, y, z name the operands.
        flops: rough cost in additions, for cost models and displays, not for correctness.
        attributes: names of the attributes a node of this op carries.
        traps: True when eager raises on some operand values (integer division by zero).
        only: the one dtype of its operands; None if the kinds decide.
    """

    name: str
    arity: int
    rule: Rule
    kinds: frozenset[Kind]
    doc: str
    flops: int = 1
    attributes: tuple[str, ...] = ()
    traps: bool = False
    only: DType | None = None

    def accepts(self, dtype: DType) -> bool:
        """True when an operand of `dtype` is allowed."""
        if dtype.is_storage_only:
            return self.name == "copy" or self.rule in (
                Rule.SELECT,
                Rule.CAST,
                Rule.CONST,
                Rule.CAT,
                Rule.CHUNK,
            )
        return dtype.kind in self.kinds and self.only in (None, dtype)


def _same(name: str, arity: int, kinds: frozenset[Kind], doc: str, flops: int = 1) -> Op:
    return Op(name, arity, Rule.SAME, kinds, doc, flops)


_ROWS: tuple[Op, ...] = (
    # structure
    Op("const", 0, Rule.CONST, ANY, "the literal `value`", 0, ("dtype", "value")),
    Op("index", 0, Rule.INDEX, ANY, "the element's position, row by row, in the value's shape", 0),
    Op("cast", 1, Rule.CAST, ANY, "x converted as C++ converts; to bool: x != 0", 1, ("dtype",)),
    Op(
        "bitcast",
        1,
        Rule.CAST,
        NUMBER,
        "x's bits read as another dtype of the same width",
        0,
        ("dtype",),
    ),
    Op(
        "lookup",
        1,
        Rule.CAST,
        INTEGER,
        "entry x of `table`, whose length is a power of two; higher bits of x do not count",
        1,
        ("dtype", "table"),
        only=DType.U32,
    ),
    Op("copy", 1, Rule.SAME, ANY, "x, in memory of its own", 0),
    Op("select", 3, Rule.SELECT, ANY, "y where x, else z"),
    Op("rarely", 3, Rule.SELECT, ANY, "the same; x seldom holds, so y need not be there before"),
    Op(
        "call",
        -1,
        Rule.CALL,
        ANY,
        "a torch operator, run by PyTorch between groups",
        0,
        ("target", "args", "kwargs"),
    ),
    Op(
        "view",
        1,
        Rule.CALL,
        ANY,
        "a torch view of x: other strides, the same memory",
        0,
        ("target", "args", "kwargs"),
    ),
    Op("chunk", 1, Rule.CHUNK, ANY, "equal pieces of an input", 0, ("chunks", "dim")),
    Op("cat", -1, Rule.CAT, ANY, "values written side by side into one output", 0, ("dim",)),
    # arithmetic; integers wrap
    _same("add", 2, NUMBER, "x + y"),
    _same("sub", 2, NUMBER, "x - y"),
    _same("mul", 2, NUMBER, "x * y"),
    _same("div", 2, FLOAT, "x / y", 4),
    _same("fma", 3, FLOAT, "x * y + z, rounded once"),
    _same("neg", 1, NUMBER, "-x"),
    _same("abs", 1, NUMBER, "|x|; the most negative integer is its own"),
    _same("maximum", 2, NUMBER, "the larger; NaN if either is NaN"),
    _same("minimum", 2, NUMBER, "the smaller; NaN if either is NaN"),
    _same("copysign", 2, FLOAT, "|x| with y's sign bit"),
    Op("floordiv", 2, Rule.SAME, INTEGER, "x / y rounded towards -inf", 20, traps=True),
    Op("truncdiv", 2, Rule.SAME, INTEGER, "x / y rounded towards 0", 20, traps=True),
    Op("remainder", 2, Rule.SAME, INTEGER, "x - y * floordiv(x, y): the sign of y", 20, traps=True),
    Op("fmod", 2, Rule.SAME, NUMBER, "x - y * trunc(x / y), exact: the sign of x", 20, traps=True),
    # bits; logic is the same three ops on bool
    _same("and", 2, BITS, "bitwise (bool: logical) and"),
    _same("or", 2, BITS, "bitwise (bool: logical) or"),
    _same("xor", 2, BITS, "bitwise (bool: logical) exclusive or"),
    _same("not", 1, BITS, "bitwise (bool: logical) complement"),
    _same("shl", 2, INTEGER, "x << y; 0 where y is negative or at least the width"),
    _same(
        "shr",
        2,
        INTEGER,
        "x >> y, arithmetic if signed; y negative or at least the width: the sign, or 0",
    ),
    # comparisons: all false on NaN, except ne
    Op("eq", 2, Rule.COMPARE, ANY, "x == y"),
    Op("ne", 2, Rule.COMPARE, ANY, "x != y"),
    Op("lt", 2, Rule.COMPARE, ANY, "x < y"),
    Op("le", 2, Rule.COMPARE, ANY, "x <= y"),
    Op("gt", 2, Rule.COMPARE, ANY, "x > y"),
    Op("ge", 2, Rule.COMPARE, ANY, "x >= y"),
    Op("isnan", 1, Rule.COMPARE, FLOAT, "x is a NaN"),
    Op("isinf", 1, Rule.COMPARE, FLOAT, "x is an infinity"),
    Op("isfinite", 1, Rule.COMPARE, FLOAT, "x is neither NaN nor infinite"),
    Op("signbit", 1, Rule.COMPARE, FLOAT, "x's sign bit is set"),
    # exact floating point functions
    _same("floor", 1, FLOAT, "the largest integer not above x"),
    _same("ceil", 1, FLOAT, "the smallest integer not below x"),
    _same("trunc", 1, FLOAT, "x without its fraction"),
    _same("round", 1, FLOAT, "the nearest integer, halves to even"),
    _same("sqrt", 1, FLOAT, "the square root, correctly rounded", 6),
    # transcendental functions: vecmath for f32, the library for f64
    *(
        _same(name, 1, FLOAT, doc, flops)
        for name, doc, flops in (
            ("exp", "e ** x", 12),
            ("exp2", "2 ** x", 12),
            ("expm1", "e ** x - 1, accurate near 0", 18),
            ("log", "the natural logarithm", 16),
            ("log2", "the logarithm to base 2", 16),
            ("log10", "the logarithm to base 10", 16),
            ("log1p", "log(1 + x), accurate near 0", 20),
            ("sin", "sine of x radians", 20),
            ("cos", "cosine of x radians", 20),
            ("tan", "tangent of x radians", 28),
            ("asin", "inverse sine", 24),
            ("acos", "inverse cosine", 24),
            ("atan", "inverse tangent", 20),
            ("sinh", "hyperbolic sine", 24),
            ("cosh", "hyperbolic cosine", 20),
            ("tanh", "hyperbolic tangent", 20),
            ("asinh", "inverse hyperbolic sine", 30),
            ("acosh", "inverse hyperbolic cosine", 30),
            ("atanh", "inverse hyperbolic tangent", 26),
            ("sigmoid", "1 / (1 + e ** -x)", 16),
            ("erf", "the error function", 24),
            ("erfc", "1 - erf(x), accurate for large x", 36),
            ("lgamma", "log |gamma(x)|", 60),
        )
    ),
    # special functions: a routine each, for all dtypes
    *(
        _same(name, 1, FLOAT, doc, flops)
        for name, doc, flops in (
            ("airy_ai", "the Airy function Ai", 150),
            ("bessel_j0", "the Bessel function J0", 80),
            ("bessel_j1", "the Bessel function J1", 80),
            ("bessel_y0", "the Bessel function Y0", 100),
            ("bessel_y1", "the Bessel function Y1", 100),
            ("spherical_bessel_j0", "sin(x) / x", 24),
            ("i0", "the modified Bessel function I0", 70),
            ("i0e", "I0(x) * e ** -|x|", 60),
            ("i1", "the modified Bessel function I1", 70),
            ("i1e", "I1(x) * e ** -|x|", 60),
            ("k0", "the modified Bessel function K0", 120),
            ("k0e", "K0(x) * e ** x", 120),
            ("k1", "the modified Bessel function K1", 120),
            ("k1e", "K1(x) * e ** x", 120),
            ("digamma", "the derivative of log gamma(x)", 60),
            ("trigamma", "its second derivative", 60),
            ("erfcx", "erfc(x) * e ** (x*x)", 60),
            ("erfinv", "the number whose erf is x", 60),
            ("ndtri", "the number below which a normal variable is with probability x", 60),
            ("log_ndtr", "log of the probability of a normal variable to be below x", 60),
        )
    ),
    *(
        _same(name, 2, FLOAT, doc, flops)
        for name, doc, flops in (
            ("zeta", "the Hurwitz zeta function, the sum of (y + k) ** -x over k >= 0", 400),
            ("igamma", "the regularised lower incomplete gamma function P(x, y)", 400),
            ("igammac", "the regularised upper incomplete gamma function Q(x, y)", 400),
            *(
                (f"{shifted}chebyshev_polynomial_{kind}", f"{title} of degree y, at {at}", 60)
                for shifted, at in (("", "x"), ("shifted_", "2*x - 1"))
                for kind, title in (
                    ("t", "Chebyshev's polynomial of the first kind"),
                    ("u", "Chebyshev's polynomial of the second kind"),
                    ("v", "Chebyshev's polynomial of the third kind"),
                    ("w", "Chebyshev's polynomial of the fourth kind"),
                )
            ),
            ("hermite_polynomial_h", "the physicists' Hermite polynomial of degree y", 60),
            ("hermite_polynomial_he", "the probabilists' Hermite polynomial of degree y", 60),
            ("laguerre_polynomial_l", "Laguerre's polynomial of degree y", 60),
            ("legendre_polynomial_p", "Legendre's polynomial of degree y", 60),
        )
    ),
    _same("gcd", 2, frozenset({Kind.INT}), "the greatest common divisor of absolute values", 100),
    _same("atan2", 2, FLOAT, "the angle of the point (y, x): atan2(x=sine, y=cosine)", 30),
    _same("hypot", 2, FLOAT, "sqrt(x*x + y*y) without undue overflow", 12),
    Op(
        "pow",
        2,
        Rule.SAME,
        NUMBER,
        "x ** y; integers wrap, and a negative integer y gives 0 unless |x| is 1",
        40,
    ),
    # random numbers: no state, so the same operands give the same bits wherever it is computed
    Op(
        "philox",
        4,
        Rule.SAME,
        INTEGER,
        "half w (0 or 1) of the 128 bits that Philox4x32-10 makes of key x and counter (y, z)",
        100,
        only=DType.I64,
    ),
)

OPS: dict[str, Op] = {row.name: row for row in _ROWS}
"""Every op of the IR, by name."""


def op(name: str) -> Op:
    """The row of `name`; KeyError if the IR has no such op."""
    return OPS[name]
