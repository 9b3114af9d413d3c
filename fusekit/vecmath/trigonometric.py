"""sin, cos and tan in float32, for every finite x.

sin and cos below 2**17, where nearly all x are: x = n * pi/2 + r, with pi/2 in three float32 parts.
The first product and its difference from x are exact inside an fma, because what is left is below 1
and a multiple of 2**-24. The third part counts where the two others cancel.

For larger x, and for tan, through float64: x * 2/pi = q + r, |r| <= 5/8, and sin x is sin or cos of
r quarter turns, with a sign, by q mod 4. The product is taken in two parts, 106 bits of 2/pi, of
which each binade of x needs about 80: what matters is the product mod 4. So for large x, which are
multiples of a power 2**s, the leading part of 2/pi is left out:

    x * 2/pi = (x / 2**s) * (2**s * 2/pi)  and  2**s * 2/pi = K (mod 4)  with  |K| <= 2

and x * (K / 2**s) is as good modulo 4 and starts 106 bits further down. Four ranges of |x| keep
the product below 2**49.4, where adding 1.5 * 2**52 rounds it, and what float64 cannot hold of it,
1/8 at most, is the rest of r. The x nearest to a multiple of pi/2 leave r = 2**-30, of which an
error of 2**-57 is 2**-27.

The polynomials run in float64 as well: they cost less than carrying r in two float32 parts, and
the results are all but correctly rounded.

Constants: minimax fits of tests/vecmath/minimax.py; worst errors in docs/accuracy.md.
"""

from __future__ import annotations

from fusekit.ir import DType
from fusekit.vecmath.exponential import ROUND as _ROUND_SINGLE
from fusekit.vecmath.expression import Expr, fma, poly, rarely, where

__all__ = ["cos", "sin", "tan"]

_SIN = (
    1.5707963267267757, -0.64596408903011837, 0.079692455800654857,
    -0.0046805470899311764, 0.00015693422686062527,
)  # fmt: skip
"""sin(pi/2 * r) / r in powers of r*r on |r| <= 5/8; relative error 2**-34.4 ("sin")."""

_COS = (
    1.0, -1.2337005022852916, 0.25366839106158179,
    -0.020855224412344772, 0.00089488322615713563,
)  # fmt: skip
"""cos(pi/2 * r) in powers of r*r on |r| <= 5/8; relative error 2**-30.5 ("cos")."""

_TWO_OVER_PI = (0.6366197723675814, -3.935735335036497e-17)
"""2/pi in two float64 parts, for |x| < 2**50."""

_RANGES = (
    (2.0**50, (-4.119769120791653e-09, 2.8376220177865265e-25)),
    (2.0**77, (7.166494911215068e-17, -2.1442872565786008e-33)),
    (2.0**102, (-5.434184107743751e-25, 3.8858987075186823e-41)),
)
"""From which |x| on, K / 2**s in two parts: s = 27, 54, 79 ("reductions" in minimax.py)."""

_ROUND = 1.5 * 2.0**52
_SIGN_SHIFT = 30
_SIGN = 1 << 31

_NEAR = 2.0**17

_HALF_PI = (1.57079625, 7.54978942e-08, 5.39030253e-15)
"""pi/2 in three float32 parts, all positive, so that x = 0 leaves r = 0 and not -0."""

_SIN_NEAR = (-0.166666538, 0.00833210628, -0.00019507877)
"""(sin(r)/r - 1) / r**2 in powers of r*r, |r| <= 0.79; relative error 2**-27.8 ("sin_near")."""

_COS_NEAR = (-0.5, 0.0416666456, -0.00138873036, 2.44312014e-05)
"""(cos(r) - 1) / r**2 in powers of r*r, |r| <= 0.79; relative error 2**-32.9 ("cos_near")."""


def sin(x: Expr) -> Expr:
    """The sine of |x| with the sign of x, so that -0 keeps its own."""
    magnitude = abs(x)
    sine, cosine, quadrant = _near(magnitude)
    signs = (quadrant << _SIGN_SHIFT) ^ x.bits(DType.U32)
    near = _signed(where((quadrant & 1).differs(0), cosine, sine), signs)
    return rarely(~(magnitude < _NEAR), _wave(*_reduce(x)), near)


def cos(x: Expr) -> Expr:
    """The sine a quarter turn further on."""
    magnitude = abs(x)
    sine, cosine, quadrant = _near(magnitude)
    signs = (quadrant + 1) << _SIGN_SHIFT
    near = _signed(where((quadrant & 1).differs(0), sine, cosine), signs)
    r, quadrant = _reduce(x)
    return rarely(~(magnitude < _NEAR), _wave(r, quadrant + 1), near)


def tan(x: Expr) -> Expr:
    """Sine by cosine, or -cos/sin in odd quadrants."""
    r, quadrant = _reduce(x)
    sine, cosine = _sine_and_cosine(r)
    odd = (quadrant & 1).differs(0)
    quotient = where(odd, -cosine, sine) / where(odd, sine, cosine)
    return where(x.equals(0.0), x, quotient.cast(DType.F32))


def _near(magnitude: Expr) -> tuple[Expr, Expr, Expr]:
    """(sin r, cos r, a u32 whose two low bits are n mod 4) for |x| below _NEAR."""
    shifted = fma(magnitude, _TWO_OVER_PI[0], _ROUND_SINGLE)
    n = shifted - _ROUND_SINGLE
    r = magnitude
    for part in _HALF_PI:
        r = fma(n, -part, r)
    square = r * r
    sine = fma(r * square, poly(square, _SIN_NEAR), r)
    return sine, fma(square, poly(square, _COS_NEAR), 1.0), shifted.bits(DType.U32)


def _signed(magnitude: Expr, signs: Expr) -> Expr:
    """The number with its sign flipped where the highest bit of `signs` is set."""
    return (magnitude.bits(DType.U32) ^ (signs & _SIGN)).bits(DType.F32)


def _reduce(x: Expr) -> tuple[Expr, Expr]:
    """(r, a u32 whose two low bits are q mod 4)."""
    wide = x.cast(DType.F64)
    high, low = _factor(abs(x), wide)
    product = wide * high
    error = fma(wide, high, -product)
    shifted = product + _ROUND
    r = (product - (shifted - _ROUND)) + fma(wide, low, error)
    return r, shifted.bits(DType.U64).cast(DType.U32)


def _factor(magnitude: Expr, model: Expr) -> tuple[Expr, Expr]:
    """The parts to multiply x with, in the dtype of `model`."""
    high, low = (model.const(part) for part in _TWO_OVER_PI)
    for start, parts in _RANGES:
        beyond = magnitude >= start
        high, low = where(beyond, parts[0], high), where(beyond, parts[1], low)
    return high, low


def _sine_and_cosine(r: Expr) -> tuple[Expr, Expr]:
    square = r * r
    return r * poly(square, _SIN), poly(square, _COS)


def _wave(r: Expr, quadrant: Expr) -> Expr:
    """sin((quadrant + r) * pi/2)."""
    sine, cosine = _sine_and_cosine(r)
    magnitude = where((quadrant & 1).differs(0), cosine, sine).cast(DType.F32)
    sign = (quadrant & 2) << _SIGN_SHIFT
    return (magnitude.bits(DType.U32) ^ sign).bits(DType.F32)
