"""log in float32.

Range reduction: x = 2**e * m with m in [2/3, 4/3), by integer arithmetic on the bits of x, so that
log x = e*ln2 + log(1 + f), f = m - 1 exactly. Denormals are scaled by 2**23 first.

Constants: minimax fits of tests/vecmath/minimax.py; worst errors in docs/accuracy.md.
"""

from __future__ import annotations

import math

from fusekit.ir import DType
from fusekit.vecmath.expression import Expr, fma, poly, where

__all__ = ["log"]

LOG1P = (
    0.333332151, -0.249998048, 0.200104445, -0.166801795,
    0.140053406, -0.121883817, 0.139867067, -0.128742635,
)  # fmt: skip
"""(log(1+f) - f + f*f/2) / f**3 on |f| <= 1/3; relative error of the whole: 2**-27.7 ("log")."""

_TWO_THIRDS = 0x3F2AAAAB
_EXPONENT = 0xFF800000
_SMALLEST_NORMAL = 2.0**-126


def log(x: Expr) -> Expr:
    """e*ln2 + (f - f**2/2 + f**3 * q(f))."""
    exponent, f = _split(x)
    square = f * f
    tail = fma(f, poly(f, LOG1P), -0.5)
    return _at_edges(x, fma(exponent, math.log(2), fma(square, tail, f)))


def _split(x: Expr) -> tuple[Expr, Expr]:
    """(e, f) with x = 2**e * (1 + f), -1/3 <= f < 1/3, for positive finite x."""
    tiny = x < _SMALLEST_NORMAL
    bits = where(tiny, x * 2.0**23, x).bits(DType.I32)
    raised = (bits - _TWO_THIRDS) & (_EXPONENT - (1 << 32))
    mantissa = (bits - raised).bits(DType.F32)
    exponent = fma(raised.cast(DType.F32), 2.0**-23, where(tiny, x.const(-23.0), 0.0))
    return exponent, mantissa - 1.0


def _at_edges(x: Expr, result: Expr) -> Expr:
    """`result` for positive finite x, and what a logarithm is elsewhere."""
    result = where(x < math.inf, result, x)  # inf and NaN are their own logarithms
    below = where(x.equals(0.0), x.const(-math.inf), math.nan)
    return where(x > 0.0, result, where(x.isnan(), x, below))
