"""erf in float32 (erfc follows).

Constants: minimax fits of tests/vecmath/minimax.py; worst errors in docs/accuracy.md.
"""

from __future__ import annotations

from fusekit.vecmath.expression import Expr, copysign, fma, poly, where

__all__ = ["erf"]

_END = 3.92
"""From here on erf rounds to 1."""

_CENTRE = 1.5

_ERF = (
    0.128379166, -0.37612626, 0.112835787, -0.0268533472,
    0.00518716266, -0.000799786474, 7.80697446e-05,
)  # fmt: skip
"""erf(x)/x - 1 in powers of x*x on |x| <= 1; relative error of erf: 2**-29.4 ("erf")."""

_ROOT = (
    0.429075241, -0.376384586, 0.0693298802, 0.0329470746, -0.0124973785,
    -0.00156825094, 0.00124050176, -8.79041399e-05, -2.26686789e-05,
)  # fmt: skip
"""erfc(1.5 + t)**(1/4) on [1, 3.92]; absolute error of its 4th power: 2**-26.8 ("erf_root").

The root turns a function that falls like exp(-x*x) into one that a short polynomial follows, and
two multiplications take it back: cheaper than an exponential.
"""


def erf(x: Expr) -> Expr:
    """x + x*p(x*x) near 0, sign(x) * (1 - root(|x|)**4) elsewhere."""
    magnitude = abs(x)
    near = fma(x, poly(x * x, _ERF), x)
    root = poly(magnitude.at_most(_END) - _CENTRE, _ROOT)
    square = root * root
    far = copysign(fma(-square, square, 1.0), x)
    return where(magnitude < 1.0, near, far)
