"""sinh, cosh, tanh and their inverses in float32.

sinh and cosh: |x| = n*ln2 + r, and with short polynomials for sinh r and cosh r

    sinh x = a * cosh r + b * sinh r,  cosh x = b * cosh r + a * sinh r,
    a = sinh(n*ln2) = 2**(n-1) - 2**(-n-1),  b = cosh(n*ln2) = 2**(n-1) + 2**(-n-1)

which cancels nothing: for n = 0 sinh x is sinh r. The inverses are logarithms of 1 + v, with v in
two parts so that its rounding does not add to the logarithm's.

Constants: minimax fits of tests/vecmath/minimax.py; worst errors in docs/accuracy.md.
"""

from __future__ import annotations

import math

from fusekit.ir import DType
from fusekit.vecmath.exponential import LN2_HIGH, LN2_LOW, LOG2E, ROUND
from fusekit.vecmath.expression import Expr, copysign, fma, poly, where
from fusekit.vecmath.logarithm import log1p_of_sum

__all__ = ["acosh", "asinh", "atanh", "cosh", "sinh", "tanh"]

_TANH = (-0.333332986, 0.133319363, -0.0537847169, 0.0207986254, -0.00589796668)
"""(tanh(x)/x - 1) / x**2 in powers of x*x, |x| <= 0.6; relative error of tanh 2**-28.4 ("tanh")."""

_EXP_OF_DOUBLE = (2.0, 1.99999976, 1.33332169, 0.666692197, 0.26779747, 0.0884543955)
"""(e**2s - 1) / s on |s| <= ln2/4; relative error of 1 + s*q: 2**-28.3 ("exp_double")."""

_SINH = (0.166666672, 0.00833317544, 0.000199741015)
"""(sinh(r)/r - 1) / r**2 in powers of r*r, |r| <= ln2/2; relative error 2**-34.3 ("sinh")."""

_COSH = (0.5, 0.0416664593, 0.00139354216)
"""(cosh(r) - 1) / r**2 in powers of r*r, |r| <= ln2/2; absolute error 2**-33.2 ("cosh")."""

_LINEAR = 2.0**-12
"""Below this all odd functions here are x; what comes out of the formulas may have lost bits."""

_LARGE = 2.0**30
"""From here on sqrt(x*x +- 1) is x."""


def tanh(x: Expr) -> Expr:
    """Near 0 x + x**3 * p(x*x), elsewhere sign(x) * (1 - 2 / (1 + e**2|x|)).

    From 9.02 on the result rounds to 1. n*ln2 need not be exact: where n is large, e**2|x| matters
    little.
    """
    magnitude = abs(x)
    square = x * x
    near = fma(magnitude * square, poly(square, _TANH), magnitude)
    bounded = magnitude.at_most(9.5)
    shifted = fma(bounded, 2 * LOG2E, ROUND + 127.0)
    s = fma(shifted - (ROUND + 127.0), -LN2_HIGH / 2, bounded)
    power = (shifted.bits(DType.U32) << 23).bits(DType.F32)
    above_one = fma(s * poly(s, _EXP_OF_DOUBLE), power, power + 1.0)
    return copysign(where(magnitude < 0.6, near, 1.0 - 2.0 / above_one), x)


def sinh(x: Expr) -> Expr:
    """The sum a * cosh r + b * sinh r."""
    magnitude = abs(x)
    a, b, cosh_tail, sinh_r = _reduce(magnitude)
    result = (a + fma(a, cosh_tail, b * sinh_r)) * 4.0
    return where(magnitude < _LINEAR, x, copysign(result, x))


def cosh(x: Expr) -> Expr:
    """The sum b * cosh r + a * sinh r."""
    a, b, cosh_tail, sinh_r = _reduce(abs(x))
    return (b + fma(b, cosh_tail, a * sinh_r)) * 4.0


def _reduce(magnitude: Expr) -> tuple[Expr, Expr, Expr, Expr]:
    """(a/4, b/4, cosh(r) - 1, sinh r); quarters, because b may be 2**129."""
    bounded = magnitude.at_most(90.0)
    shifted = fma(bounded, LOG2E, ROUND + 124.0)
    n = shifted - (ROUND + 124.0)
    r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, bounded))
    bits = shifted.bits(DType.U32) << 23
    growing = bits.bits(DType.F32)
    falling = where(n < 60.0, ((2 * 124 << 23) - bits).bits(DType.F32), 0.0)
    square = r * r
    cosh_tail = square * poly(square, _COSH)
    sinh_r = fma(r * square, poly(square, _SINH), r)
    return growing - falling, growing + falling, cosh_tail, sinh_r


def asinh(x: Expr) -> Expr:
    """log(1 + v) with v = |x| + x*x / (1 + sqrt(x*x + 1)); log|x| + ln2 for large x."""
    magnitude = abs(x)
    large = magnitude > _LARGE
    square = magnitude * magnitude
    rest = square / (fma(magnitude, magnitude, 1.0).sqrt() + 1.0)
    high = magnitude + rest
    low = rest - (high - magnitude)
    result = _log1p_or_log(large, magnitude, high, low)
    return where(magnitude < _LINEAR, x, copysign(result, x))


def acosh(x: Expr) -> Expr:
    """log(1 + v) with v = t + sqrt(t*t + 2*t), t = x - 1; log x + ln2 for large x."""
    t = x - 1.0
    root = fma(t, t, t + t).sqrt()
    high = root + t
    low = t - (high - root)
    result = _log1p_or_log(x > _LARGE, x, high, low)
    return where(x < 1.0, math.nan, result)


def atanh(x: Expr) -> Expr:
    """log(1 + v) / 2 with v = 2|x| / (1 - |x|); a step of Newton's method finds its low part."""
    magnitude = abs(x)
    double = magnitude + magnitude
    below = 1.0 - magnitude
    below_low = (1.0 - below) - magnitude
    inverse = 1.0 / below
    high = double * inverse
    rest = fma(-high, below_low, fma(-high, below, double))
    result = log1p_of_sum(high, rest * inverse) * 0.5
    return where(magnitude < _LINEAR, x, copysign(result, x))


def _log1p_or_log(large: Expr, x: Expr, high: Expr, low: Expr) -> Expr:
    """log(1 + high + low), or log(2x) where x is large."""
    doublings = where(large, x.const(1.0), 0.0)
    return log1p_of_sum(where(large, x, high), where(large, 0.0, low), doublings)
