"""exp, exp2, expm1 and sigmoid in float32.

Range reduction: x = n*ln2 + r with |r| <= ln2/2, so e**x = 2**n * e**r. n is rounded by adding and
subtracting 1.5 * 2**23, which leaves n in the low bits of the sum: shifted into the exponent field
they are 2**n, without a conversion (NaN is safe: it never meets a float-to-integer cast).

Where results may be denormal or overflow, 2**n is applied as two factors, each a normal number:
the first product is exact and the second rounds once.

Constants: minimax fits of tests/vecmath/minimax.py; worst errors in docs/accuracy.md.
"""

from __future__ import annotations

from fusekit.ir import DType
from fusekit.vecmath.expression import Expr, fma, poly, rarely, where

__all__ = ["EXPM1", "LN2_HIGH", "LN2_LOW", "LOG2E", "ROUND", "exp", "exp2", "expm1", "sigmoid"]

LOG2E = 1.44269504
LN2_HIGH = 0.693147182
"""ln2 rounded to float32; n * LN2_HIGH is exact inside an fma."""
LN2_LOW = -1.90465421e-9
"""ln2 - LN2_HIGH."""

ROUND = 12582912.0
"""1.5 * 2**23: x + ROUND has no fraction bits left, for |x| < 2**22."""

EXP = (1.0, 0.49999994, 0.166665211, 0.0416682623, 0.00836867094, 0.00138209993)
"""(e**r - 1) / r on |r| <= ln2/2; relative error of 1 + r*q: 2**-28.2 ("exp")."""

EXP2 = (0.693147182, 0.240226477, 0.0555035956, 0.00961849932, 0.00133909693, 0.00015329264)
"""(2**r - 1) / r on |r| <= 1/2; relative error of 1 + r*q: 2**-28.3 ("exp2")."""

EXPM1 = (0.49999997, 0.166665465, 0.0416674428, 0.00836625323, 0.00138699578)
"""(e**r - 1 - r) / r**2 on |r| <= ln2/2; relative error of r + r*r*q: 2**-26.1 ("expm1")."""

_EXP_OF_MINUS = tuple(c if i % 2 else -c for i, c in enumerate(EXP))
"""(e**-s - 1) / s, by the same polynomial."""

_PLAIN = 87.0
"""Below this e**x and e**-x are normal numbers."""


def exp(x: Expr) -> Expr:
    """e**x = 2**n * (1 + r*q(r))."""
    # beyond these bounds the result is inf or 0 already; within them n fits the two factors
    bounded = x.at_most(89.0).at_least(-104.0)
    r, shifted = _reduce(bounded)
    first, second = _two_factors(shifted)
    return fma(r, poly(r, EXP), 1.0) * first * second


def exp2(x: Expr) -> Expr:
    """2**x = 2**n * (1 + r*q(r)); r = x - n is exact."""
    x = x.at_most(129.0).at_least(-151.0)
    shifted = x + (ROUND + 254.0)
    r = x - (shifted - (ROUND + 254.0))
    first, second = _two_factors(shifted)
    return fma(r, poly(r, EXP2), 1.0) * first * second


def expm1(x: Expr) -> Expr:
    """e**x - 1 = 2**n * h + (2**n - 1) with h = e**r - 1 = r + r*r*q(r).

    Computed at half scale, because 2**128 is no float32 and e**x - 1 may be just below it.
    """
    bounded = x.at_most(89.0).at_least(-18.0)
    shifted = fma(bounded, LOG2E, ROUND + 126.0)
    n = shifted - (ROUND + 126.0)
    r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, bounded))
    half_power = _exponent_field(shifted)
    h = fma(r * r, poly(r, EXPM1), r)
    result = fma(half_power, h, half_power - 0.5) * 2.0
    # the halves of denormals are inexact, and the sum above loses the sign of zero
    return where(abs(x) < 2.0**-25, x, result)


def sigmoid(x: Expr) -> Expr:
    """1 / (1 + e**-x) with e**-x = scale * (1 + tail): what 1 + scale loses is added at the end."""
    shifted = fma(x, -LOG2E, ROUND + 127.0)
    n = shifted - (ROUND + 127.0)
    minus_r = fma(n, LN2_LOW, fma(n, LN2_HIGH, x))
    scale = _exponent_field(shifted)
    above = scale + 1.0
    lost = 1.0 - (above - scale)
    near = 1.0 / (above + fma(minus_r * poly(minus_r, _EXP_OF_MINUS), scale, lost))
    return rarely(~(abs(x) < _PLAIN), _far_sigmoid(x), near)


def _far_sigmoid(x: Expr) -> Expr:
    """The same with e**-x = first * second * (1 + tail).

    Numerator and denominator are divided by `first`, about 2**(n/2): so nothing overflows, and
    results down to the denormals come out of one division.
    """
    r, shifted = _reduce((-x).at_most(104.0).at_least(-89.0))
    first, second = _two_factors(shifted)
    inverse = (0x7F000000 - first.bits(DType.U32)).bits(DType.F32)
    rest = fma(r * poly(r, EXP), second, inverse)
    below = rest + second
    lost = rest - (below - second)  # exact where it matters: for negative x
    result = inverse / below
    return fma(-result, result * first * lost, result)


def _reduce(x: Expr) -> tuple[Expr, Expr]:
    """(r, ROUND + 254 + n) with x = n*ln2 + r."""
    shifted = fma(x, LOG2E, ROUND + 254.0)
    n = shifted - (ROUND + 254.0)
    return fma(n, -LN2_LOW, fma(n, -LN2_HIGH, x)), shifted


def _two_factors(shifted: Expr) -> tuple[Expr, Expr]:
    """2**a and 2**b with a + b = n and |a - b| <= 1, from the float ROUND + 254 + n.

    Its low bits are n + 254, twice the exponent bias; each half of that is an exponent field.
    The bits above fall out of the shift.
    """
    bits = shifted.bits(DType.U32)
    half = bits >> 1
    return (half << 23).bits(DType.F32), ((bits - half) << 23).bits(DType.F32)


def _exponent_field(shifted: Expr) -> Expr:
    """2**(k - 127) from the float ROUND + k, 0 < k < 255."""
    return (shifted.bits(DType.U32) << 23).bits(DType.F32)
