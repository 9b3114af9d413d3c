"""log, log2, log10 and log1p in float32.

Range reduction: x = 2**e * m with m in [sqrt(1/2), sqrt(2)), by integer arithmetic on the bits
of x, so that log x = e*ln2 + log(1 + f), f = m - 1 exactly. Denormals are scaled by 2**23 first.

Other bases multiply by a constant in two parts, so that only the last addition or two round.

Constants: minimax fits of tests/vecmath/minimax.py; worst errors in docs/accuracy.md.
"""

from __future__ import annotations

import math

from fusekit.ir import DType
from fusekit.vecmath.expression import Expr, fma, poly, where

__all__ = ["log", "log1p", "log1p_of_sum", "log2", "log10", "split"]

LOG1P = (
    0.333333313, -0.250008196, 0.200012401, -0.166234076,
    0.142016277, -0.131596833, 0.127618611, -0.0763575062,
)  # fmt: skip
"""(log(1+f) - f + f*f/2) / f**3 ; relative error of the whole: 2**-27.3 ("log")."""

_LN2 = math.log(2)

_LOG2E = 1.44269502
_LOG2E_LOW = 1.92596303e-8
"""log2(e), in two float32 parts."""

_LOG10E = 0.434294492
_LOG10E_LOW = -1.010305e-8
"""log10(e), in two float32 parts."""

_LOG10_2 = 0.30103001
_LOG10_2_LOW = -1.43209888e-8
"""log10(2), in two float32 parts."""

_ONE = 0x3F800000
_ROOT_HALF = 0x3F3504F3
_EXPONENT = 0xFF800000 - (1 << 32)
_SMALLEST_NORMAL = 2.0**-126


def log(x: Expr) -> Expr:
    """The sum e*ln2 + (f - f**2/2 + f**3 * q(f))."""
    exponent, f = split(x)
    return _at_edges(x, fma(exponent, _LN2, _natural(f)))


def log2(x: Expr) -> Expr:
    """The sum of e and log(1 + f)/ln2."""
    exponent, f = split(x)
    low = fma(_tail(f), _LOG2E, f * _LOG2E_LOW)
    return _at_edges(x, exponent + fma(f, _LOG2E, low))


def log10(x: Expr) -> Expr:
    """The sum of e and log(1 + f)/ln2, scaled to base 10."""
    exponent, f = split(x)
    low = fma(_tail(f), _LOG10E, fma(exponent, _LOG10_2_LOW, f * _LOG10E_LOW))
    return _at_edges(x, fma(exponent, _LOG10_2, fma(f, _LOG10E, low)))


def log1p(x: Expr) -> Expr:
    """The logarithm of 1 + x; x itself near 0, where it may be denormal or -0."""
    return where(abs(x) < 2.0**-25, x, log1p_of_sum(x))


def log1p_of_sum(high: Expr, low: Expr | None = None, doublings: Expr | None = None) -> Expr:
    """The logarithm of 1 + high + low, plus doublings*ln2; |low| is at most an ulp of `high`.

    1 + high is rounded only to choose e; f = (1 + high)/2**e - 1 rounds once. The factor 2**-e is
    a denormal when high is about 2**128: hence the quarters.
    """
    total = high + 1.0
    raised = (total.bits(DType.I32) - _ROOT_HALF) & _EXPONENT
    four_scales = ((_ONE + (2 << 23)) - raised).bits(DType.F32)
    scale = four_scales * 0.25
    f = fma(high * 0.25, four_scales, scale - 1.0)
    if low is None:
        natural = _natural(f)
    else:
        share = low * scale
        natural = f + (_tail(f) + fma(-f, share, share))  # log(1 + f + share) to first order
    exponent = raised.cast(DType.F32) * 2.0**-23
    if doublings is not None:
        exponent = exponent + doublings
    return _at_edges(total, fma(exponent, _LN2, natural))


def split(x: Expr) -> tuple[Expr, Expr]:
    """(e, f) with x = 2**e * (1 + f), sqrt(1/2) <= 1 + f < sqrt(2), for positive finite x."""
    tiny = x < _SMALLEST_NORMAL
    bits = where(tiny, x * 2.0**23, x).bits(DType.I32)
    raised = (bits - _ROOT_HALF) & _EXPONENT
    mantissa = (bits - raised).bits(DType.F32)
    exponent = fma(raised.cast(DType.F32), 2.0**-23, where(tiny, x.const(-23.0), 0.0))
    return exponent, mantissa - 1.0


def _natural(f: Expr) -> Expr:
    """log(1 + f) = f - f**2/2 + f**3 * q(f)."""
    return fma(f * f, fma(f, poly(f, LOG1P), -0.5), f)


def _tail(f: Expr) -> Expr:
    """log(1 + f) - f."""
    return f * f * fma(f, poly(f, LOG1P), -0.5)


def _at_edges(x: Expr, result: Expr) -> Expr:
    """`result` for positive finite x, and what a logarithm is elsewhere."""
    result = where(x < math.inf, result, x)  # inf and NaN are their own logarithms
    below = where(x.equals(0.0), x.const(-math.inf), math.nan)
    return where(x <= 0.0, below, result)
