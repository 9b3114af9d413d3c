"""digamma and trigamma: the first two derivatives of log gamma(x)."""

from __future__ import annotations

from math import inf, nan, pi

from fusekit.routines.language import copysign, fabs, floor, log, sin, tan
from fusekit.routines.series import polynomial

__all__ = ["digamma", "trigamma"]

_LARGE = 10.0
"""From here on the asymptotic series are as good as float64."""

_ROOT = 1.4616321449683622
_ROOT_REST = 9.549995429965697e-17
"""The positive root of digamma in two parts."""

_SLOPE = (
    2.832706668021759e-11, -8.498137230186096e-11, 9.206434499177992e-11, -2.7619635330317715e-10,
    1.2358072433984831e-09, -3.7075072647122386e-09, 1.0542687624027994e-08, -3.163020268955334e-08,
    9.542050972688906e-08, -2.86315275846934e-07, 8.589127353033379e-07, -2.57809436305308e-06,
    7.741232223504057e-06, -2.325824239445257e-05, 6.995018873950506e-05, -0.00021074841140458636,
    0.0006368880303257201, -0.0019350666648590097, 0.005936795278305649, -0.018550615381735115,
    0.060135621060196744, -0.2118137106407303, 0.9510558760318328,
)  # fmt: skip
"""digamma(x) / (x - root) in falling powers of 2*x - 3 on [1, 2]: mpmath.chebyfit, error 3e-18."""

_BERNOULLI = (
    -3617 / 510, 7 / 6, -691 / 2730, 5 / 66, -1 / 30, 1 / 42, -1 / 30, 1 / 6,
)  # fmt: skip
"""The Bernoulli numbers ..., B(4), B(2): coefficients of trigamma in 1/x**(2*k + 1)."""

_BERNOULLI_SHARES = tuple(number / (16 - 2 * k) for k, number in enumerate(_BERNOULLI))
"""B(2*k) / (2*k): coefficients of digamma in 1/x**(2*k)."""


def digamma(x: float) -> float:
    """The derivative of log gamma(x): opposite infinities at the two zeros, NaN at other poles.

    For negative x, where digamma(1 - x) - pi/tan(pi*x) cancels beside a root, the error is a few
    1e-16 of the larger of the two. Series: DLMF 5.11.2; reflection: DLMF 5.5.4.
    """
    if x == 0.0:
        return copysign(inf, -x)
    if x < 0.0:
        if x == floor(x):
            return nan
        return _digamma_positive(1.0 - x) - _cotangent(x)
    return _digamma_positive(x)


def _digamma_positive(x: float) -> float:
    """By its factor x - root on [1, 2], to where digamma(x) = digamma(x - 1) + 1/(x - 1) leads."""
    if x >= _LARGE:
        inverse = 1.0 / x
        square = inverse * inverse
        return log(x) - (0.5 * inverse + square * polynomial(square, _BERNOULLI_SHARES))
    shift = 0.0
    if x < 1.0:
        shift = -1.0 / x
        x = x + 1.0
    while x > 2.0:
        x = x - 1.0
        shift = shift + 1.0 / x
    return shift + ((x - _ROOT) - _ROOT_REST) * polynomial(2.0 * x - 3.0, _SLOPE)


def _cotangent(x: float) -> float:
    """As pi/tan(pi*x), from the distance of x to the nearest integer, which is exact."""
    r = x - floor(x + 0.5)
    if fabs(r) > 0.25:
        return pi * tan(pi * (copysign(0.5, r) - r))
    return pi / tan(pi * r)


def trigamma(x: float) -> float:
    """The second derivative of log gamma(x): infinite at its poles, 0 and the negative integers.

    Series: DLMF 5.15.8; reflection: DLMF 5.15.6.
    """
    if x > 0.0:
        return _trigamma_positive(x)
    r = x - floor(x + 0.5)
    if r == 0.0:
        return inf
    ratio = pi / sin(pi * r)
    return ratio * ratio - _trigamma_positive(1.0 - x)


def _trigamma_positive(x: float) -> float:
    """The series of x + n >= 10, and 1/(x + k)**2 for each k < n, the smallest first."""
    steps = 0
    if x < _LARGE:
        steps = int(_LARGE - x) + 1
    far = x + float(steps)
    inverse = 1.0 / far
    square = inverse * inverse
    total = 0.5 * square + inverse * square * polynomial(square, _BERNOULLI)
    total = inverse + total
    while steps > 0:
        steps = steps - 1
        far = x + float(steps)
        total = total + 1.0 / (far * far)
    return total
