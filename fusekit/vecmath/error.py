"""erf in float32, erfc through float64, and lgamma by the library's float64.

Constants: minimax fits of tests/vecmath/minimax.py; worst errors in docs/accuracy.md.
"""

from __future__ import annotations

import math

from fusekit.ir import DType
from fusekit.vecmath.expression import Expr, copysign, fma, poly, where

__all__ = ["erf", "erfc", "lgamma"]

_END = 3.92
"""From here on erf rounds to 1."""

_CENTRE = 1.5

_ERF = (
    0.128379166, -0.37612626, 0.112835787, -0.0268533472,
    0.0051871622, -0.00079978531, 7.80690389e-05,
)  # fmt: skip
"""erf(x)/x - 1 in powers of x*x on |x| <= 1; relative error of erf: 2**-29.4 ("erf")."""

_ROOT = (
    0.429075241, -0.376384586, 0.0693298802, 0.0329470783, -0.0124973739,
    -0.00156827655, 0.00124048954, -8.78573628e-05, -2.26877655e-05,
)  # fmt: skip
"""erfc(1.5 + t)**(1/4) on [1, 3.92]; absolute error of its 4th power: 2**-26.8 ("erf_root").

The root turns a function that falls like exp(-x*x) into one that a short polynomial follows, and
two multiplications take it back: cheaper than an exponential.
"""

_COMPLEMENT_END = 10.1
"""From here on erfc rounds to 0."""

_POLE = 3.0

_ERFCX = (
    0.17900115126013469, -0.32623356382348867, 0.24560379806365107, -0.15011578171127749,
    0.071665855854931765, -0.024394238074890821, 0.0042689192918853851, 0.00071578652151695131,
    -0.00059462636449987658, 2.8757478680286411e-05, 5.5863663445998521e-05,
)  # fmt: skip
"""erfc(a) * e**(a*a), a = 3*(1+t)/(1-t) on [0, 10.1]; relative error 2**-29.4 ("erfcx")."""

_EXP2 = (
    1.0000000005539635, 0.69314720573818367, 0.24022646892120161, 0.055503287761174358,
    0.0096184888126199346, 0.0013399931298790633, 0.00015345846935501975,
)  # fmt: skip
"""2**r on |r| <= 1/2; relative error 2**-29.0 ("exp2_wide")."""

_LOG2E = math.log2(math.e)
_ROUND = 1.5 * 2.0**52 + 1023.0
"""Leaves n + the exponent's bias in the low bits of a float64."""


def erf(x: Expr) -> Expr:
    """Near 0 x + x*p(x*x), elsewhere sign(x) * (1 - root(|x|)**4)."""
    magnitude = abs(x)
    near = fma(x, poly(x * x, _ERF), x)
    root = poly(magnitude.at_most(_END) - _CENTRE, _ROOT)
    square = root * root
    far = copysign(fma(-square, square, 1.0), x)
    return where(magnitude < 1.0, near, far)


def erfc(x: Expr) -> Expr:
    """e**(-a*a) * erfcx(a) with a = |x|, or 2 minus that; t = (a - 3) / (a + 3).

    In float64, because e**(-a*a) needs 7 bits more of a*a than float32 holds.
    """
    a = abs(x).at_most(_COMPLEMENT_END).cast(DType.F64)
    p = a * a * -_LOG2E
    shifted = p + _ROUND
    r = p - (shifted - _ROUND)
    scale = (shifted.bits(DType.U64) << 52).bits(DType.F64)
    t = (a - _POLE) / (a + _POLE)
    tail = poly(t, _ERFCX) * poly(r, _EXP2) * scale
    return where(x < 0.0, 2.0 - tail, tail).cast(DType.F32)


def lgamma(x: Expr) -> Expr:
    """The library's of float64: those of float32 are far off near the zeros left of 0."""
    return x.cast(DType.F64).apply("lgamma").cast(DType.F32)
