"""log, log2, log10 and log1p in float32.

Range reduction: x = 2**e * m with m in [sqrt(1/2), sqrt(2)), by integer arithmetic on the bits
of x, so that log x = e*ln2 + log(1 + f), f = m - 1 exactly. Denormals are scaled by 2**23 first.

Other bases multiply by a constant in two parts, so that only the last addition or two round.

Constants: minimax fits of tests/vecmath/minimax.py; worst errors in docs/accuracy.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from fusekit.ir import DType
from fusekit.vecmath.expression import Expr, copysign, estrin, fma, rarely, where

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
_UNIT = 2.0**-23

_NORMAL = 0x00800000
"""The bits of the smallest normal number."""
_NORMALS = 0x7F000000
"""How many positive normal numbers there are."""

_SCALED_EXACTLY = (125 + 127) << 23
"""The bits of 2**125: numbers below it are not so large that 2**-e is denormal."""


def log(x: Expr) -> Expr:
    """The sum e*ln2 + (f - f**2/2 + f**3 * q(f))."""
    return _by_parts(x, lambda exponent, unit, f: fma(exponent, _LN2 * unit, _natural(f)))


def log2(x: Expr) -> Expr:
    """The sum of e and log(1 + f)/ln2."""

    def formula(exponent: Expr, unit: float, f: Expr) -> Expr:
        low = fma(_tail(f), _LOG2E, f * _LOG2E_LOW)
        return fma(exponent, unit, fma(f, _LOG2E, low))

    return _by_parts(x, formula)


def log10(x: Expr) -> Expr:
    """The sum of e and log(1 + f)/ln2, scaled to base 10."""

    def formula(exponent: Expr, unit: float, f: Expr) -> Expr:
        low = fma(exponent, _LOG10_2_LOW * unit, f * _LOG10E_LOW)
        return fma(exponent, _LOG10_2 * unit, fma(f, _LOG10E, fma(_tail(f), _LOG10E, low)))

    return _by_parts(x, formula)


def log1p(x: Expr) -> Expr:
    """The logarithm of 1 + x, with the sign of x: near 0 it is x itself, denormals and -0 too."""
    total = x + 1.0
    raised = _raised(total)
    scale = (_ONE - raised).bits(DType.F32)
    f = fma(x, scale, scale - 1.0)
    near = copysign(fma(raised.cast(DType.F32), _LN2 * _UNIT, _natural(f)), x)
    positive = (total.bits(DType.U32) - 1) < _SCALED_EXACTLY
    return rarely(~positive, log1p_of_sum(x), near)


def log1p_of_sum(high: Expr, low: Expr | None = None, doublings: Expr | None = None) -> Expr:
    """The logarithm of 1 + high + low, plus doublings*ln2; |low| is at most an ulp of `high`.

    1 + high is rounded only to choose e; f = (1 + high)/2**e - 1 rounds once. The factor 2**-e is
    a denormal when high is about 2**128: hence the quarters.
    """
    total = high + 1.0
    raised = _raised(total)
    four_scales = ((_ONE + (2 << 23)) - raised).bits(DType.F32)
    scale = four_scales * 0.25
    f = fma(high * 0.25, four_scales, scale - 1.0)
    if low is None:
        natural = _natural(f)
    else:
        share = low * scale
        natural = f + (_tail(f) + fma(-f, share, share))  # log(1 + f + share) to first order
    exponent = raised.cast(DType.F32) * _UNIT
    if doublings is not None:
        exponent = exponent + doublings
    return _at_edges(total, fma(exponent, _LN2, natural))


def split(x: Expr) -> tuple[Expr, Expr]:
    """(e, f) with x = 2**e * (1 + f), sqrt(1/2) <= 1 + f < sqrt(2), for positive finite x."""
    tiny = x < _SMALLEST_NORMAL
    exponent, f = _split_normal(where(tiny, x * 2.0**23, x))
    return fma(exponent, _UNIT, where(tiny, x.const(-23.0), 0.0)), f


def _split_normal(x: Expr) -> tuple[Expr, Expr]:
    """(e / _UNIT, f) for normal x."""
    raised = _raised(x)
    mantissa = (x.bits(DType.I32) - raised).bits(DType.F32)
    return raised.cast(DType.F32), mantissa - 1.0


def _raised(x: Expr) -> Expr:
    """The e of x = 2**e * m, in the place of an exponent."""
    return (x.bits(DType.I32) - _ROOT_HALF) & _EXPONENT


def _by_parts(x: Expr, formula: Callable[[Expr, float, Expr], Expr]) -> Expr:
    """A logarithm from (e / unit, unit, f): for normal x, and for 0, without what is rare."""
    near = formula(*_in_units(_UNIT, _split_normal(x)))
    far = formula(*_in_units(1.0, split(x)))
    zero = x.equals(0.0)
    usual = zero | ((x.bits(DType.U32) - _NORMAL) < _NORMALS)
    return rarely(~usual, _at_edges(x, far), where(zero, -math.inf, near))


def _in_units(unit: float, halves: tuple[Expr, Expr]) -> tuple[Expr, float, Expr]:
    exponent, f = halves
    return exponent, unit, f


def _natural(f: Expr) -> Expr:
    """log(1 + f) = f - f**2/2 + f**3 * q(f)."""
    return fma(f * f, fma(f, estrin(f, LOG1P), -0.5), f)


def _tail(f: Expr) -> Expr:
    """log(1 + f) - f."""
    return f * f * fma(f, estrin(f, LOG1P), -0.5)


def _at_edges(x: Expr, result: Expr) -> Expr:
    """`result` for positive finite x, and what a logarithm is elsewhere."""
    result = where(x < math.inf, result, x)  # inf and NaN are their own logarithms
    below = where(x.equals(0.0), x.const(-math.inf), math.nan)
    return where(x <= 0.0, below, result)
