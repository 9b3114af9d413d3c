"""asin, acos, atan and atan2 in float32.

asin and acos: on |x| <= 1/2 an odd polynomial, beyond that asin x = pi/2 - 2*asin(sqrt((1-x)/2)),
where (1-x)/2 is exact. |x| > 1 gives NaN through the root.

atan: for |x| > 1, atan x = pi/2 - atan(1/x); atan2 in the same way divides the smaller operand by
the larger one.

Constants: minimax fits of tests/vecmath/minimax.py; worst errors in docs/accuracy.md.
"""

from __future__ import annotations

from fusekit.ir import DType
from fusekit.vecmath.expression import Expr, copysign, fma, poly, where

__all__ = ["acos", "asin", "atan", "atan2"]

_ASIN = (0.166667521, 0.0749531016, 0.0454690196, 0.0241855029, 0.042157013)
"""(asin(s)/s - 1) / s**2 in powers of s*s, |s| <= 1/2; relative error of asin 2**-27.6 ("asin")."""

_ATAN = (
    -0.333332986, 0.19998531, -0.142640516, 0.109511726, -0.084004581,
    0.0579060428, -0.0311262887, 0.0108868685, -0.00178741431,
)  # fmt: skip
"""(atan(q)/q - 1) / q**2 in powers of q*q, |q| <= 1; relative error of atan 2**-28.5 ("atan")."""

_HALF_PI = 1.57079637
_HALF_PI_LOW = -4.37113883e-8
"""pi/2, in two float32 parts; pi is twice each."""


def asin(x: Expr) -> Expr:
    """The angle of s, or pi/2 - 2*asin(s) with s = sqrt((1 - |x|)/2)."""
    magnitude = abs(x)
    near, s, tail = _asin_reduced(magnitude)
    double = s + s
    high = _HALF_PI - double
    low = (_HALF_PI - high) - double
    far = high + fma(tail, -2.0, low + _HALF_PI_LOW)
    return copysign(where(near, s + tail, far), x)


def acos(x: Expr) -> Expr:
    """pi/2 - asin(x), or 2*asin(s), or pi - 2*asin(s)."""
    near, s, tail = _asin_reduced(abs(x))
    angle = s + tail
    middle = _HALF_PI - (copysign(angle, x) - _HALF_PI_LOW)
    obtuse = (2 * _HALF_PI - 2.0 * s) - fma(tail, 2.0, -2 * _HALF_PI_LOW)
    return where(near, middle, where(x < 0.0, obtuse, angle + angle))


def atan(x: Expr) -> Expr:
    """The angle of q = |x|, or pi/2 minus that of q = 1/|x|."""
    magnitude = abs(x)
    beyond = magnitude > 1.0
    angle = _atan(where(beyond, 1.0, magnitude) / where(beyond, magnitude, 1.0))
    return copysign(where(beyond, _HALF_PI - (angle - _HALF_PI_LOW), angle), x)


def atan2(y: Expr, x: Expr) -> Expr:
    """The angle of the smaller over the larger, turned into the octant of (x, y)."""
    rise, run = abs(y), abs(x)
    steep = rise > run
    smaller, larger = where(steep, run, rise), where(steep, rise, run)
    diagonal = where(larger.equals(0.0), larger, 1.0)  # the quotient of 0/0 and of inf/inf
    angle = _atan(where(rise.equals(run), diagonal, smaller / larger))
    backward = x.bits(DType.I32) < 0
    turns = where(backward, where(steep, x.const(1.0), 2.0), where(steep, x.const(1.0), 0.0))
    mirrored = where(steep ^ backward, -angle, angle)
    return copysign(fma(turns, _HALF_PI, fma(turns, _HALF_PI_LOW, mirrored)), y)


def _atan(q: Expr) -> Expr:
    """atan(q) for 0 <= q <= 1; q + q**3 * p(q*q), so denormals come out as they are."""
    square = q * q
    return fma(q * square, poly(square, _ATAN), q)


def _asin_reduced(magnitude: Expr) -> tuple[Expr, Expr, Expr]:
    """(whether |x| <= 1/2, s = |x| or sqrt((1 - |x|)/2), asin(s) - s)."""
    near = magnitude <= 0.5
    half = fma(magnitude, -0.5, 0.5)
    square = where(near, magnitude * magnitude, half)
    s = where(near, magnitude, half.sqrt())
    return near, s, s * square * poly(square, _ASIN)
