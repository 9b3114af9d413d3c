"""tanh in float32 (sinh, cosh and the inverse functions follow)."""

from __future__ import annotations

from fusekit.ir import DType
from fusekit.vecmath.exponential import LN2_HIGH, LOG2E, ROUND
from fusekit.vecmath.expression import Expr, copysign, fma, poly, where

__all__ = ["tanh"]

_TANH = (-0.333332986, 0.133319363, -0.0537847169, 0.0207986254, -0.00589796668)
"""(tanh(x)/x - 1) / x**2 in powers of x*x, |x| <= 0.6; relative error of tanh 2**-28.4 ("tanh")."""

_EXP_OF_DOUBLE = (2.0, 1.99999976, 1.33332169, 0.666692197, 0.26779747, 0.0884543955)
"""(e**2s - 1) / s on |s| <= ln2/4; relative error of 1 + s*q: 2**-28.3 ("exp_double")."""


def tanh(x: Expr) -> Expr:
    """x + x**3 * p(x*x) near 0, sign(x) * (1 - 2 / (1 + e**2|x|)) elsewhere.

    From 9.02 on the result rounds to 1. n*ln2 need not be exact: where n is large, e**2|x| matters
    little.
    """
    magnitude = abs(x)
    square = x * x
    near = fma(x * square, poly(square, _TANH), x)
    bounded = magnitude.at_most(9.5)
    shifted = fma(bounded, 2 * LOG2E, ROUND + 127.0)
    s = fma(shifted - (ROUND + 127.0), -LN2_HIGH / 2, bounded)
    power = (shifted.bits(DType.U32) << 23).bits(DType.F32)
    above_one = fma(s * poly(s, _EXP_OF_DOUBLE), power, power + 1.0)
    return where(magnitude < 0.6, near, copysign(1.0 - 2.0 / above_one, x))
