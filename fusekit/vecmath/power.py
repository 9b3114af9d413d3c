"""pow and hypot in float32, through float64.

x**y = 2**(y * log2|x|) needs log2|x| to about 2**-33, because an error of y * log2|x|, up to 150,
is a relative error of the result. Float64 gives that with one polynomial and no division: in
vector code its 13 terms cost less than a logarithm in two float32 parts.

Constants: minimax fits of tests/vecmath/minimax.py; worst errors in docs/accuracy.md.
"""

from __future__ import annotations

import math

from fusekit.ir import DType
from fusekit.vecmath.exponential import EXP2
from fusekit.vecmath.expression import Expr, copysign, fma, poly, where
from fusekit.vecmath.logarithm import split

__all__ = ["hypot", "power"]

_LOG2 = (
    1.4426950408686969, -0.72134752086831067, 0.4808983613984808, -0.36067367488834084,
    0.28853729328793049, -0.24045316271184625, 0.20617536270406275, -0.18030066370716111,
    0.15876980670171431, -0.1431558370335751, 0.14474789667033627, -0.14284165458031275,
    0.077373711264425521,
)  # fmt: skip
"""log2(1+f) / f on [sqrt(1/2) - 1, sqrt(2) - 1]; relative error 2**-35.8 ("log2_wide")."""

_ROUND = 1.5 * 2.0**52
_BIAS = 1023.0


def power(x: Expr, y: Expr) -> Expr:
    """|x|**y, with the sign and the exceptions of C99's pow."""
    magnitude = abs(x)
    result = _exp2(y.cast(DType.F64) * _log2(magnitude))
    whole = y.round().equals(y)
    half = y * 0.5
    odd = whole & half.round().differs(half)
    result = where(odd, copysign(result, x), result)
    # a negative finite base has no real power unless the exponent is whole
    result = where((x < 0.0) & (magnitude < math.inf) & ~whole, math.nan, result)
    endless = magnitude.equals(1.0) & abs(y).equals(math.inf)
    return where(x.equals(1.0) | y.equals(0.0) | endless, 1.0, result)


def hypot(x: Expr, y: Expr) -> Expr:
    """sqrt(x*x + y*y): in float64 the squares are exact and cannot overflow; inf beats NaN."""
    wide, high = x.cast(DType.F64), y.cast(DType.F64)
    length = fma(wide, wide, high * high).sqrt().cast(DType.F32)
    infinite = abs(x).equals(math.inf) | abs(y).equals(math.inf)
    return where(infinite, math.inf, length)


def _log2(x: Expr) -> Expr:
    """log2 in float64 of a float32 that is not negative: e + f*p(f), -inf at 0, inf at inf."""
    exponent, f = split(x)
    exponent = where(x < math.inf, exponent, x)
    exponent = where(x.equals(0.0), -math.inf, exponent)
    wide = f.cast(DType.F64)
    return fma(wide, poly(wide, _LOG2), exponent.cast(DType.F64))


def _exp2(x: Expr) -> Expr:
    """2**x in float32, rounded once even where it is denormal: 2**n * (1 + r*q(r))."""
    bounded = x.at_most(1000.0).at_least(-1000.0)
    shifted = bounded + (_ROUND + _BIAS)
    r = (bounded - (shifted - (_ROUND + _BIAS))).cast(DType.F32)
    scale = (shifted.bits(DType.U64) << 52).bits(DType.F64)
    return fma((r * poly(r, EXP2)).cast(DType.F64), scale, scale).cast(DType.F32)
