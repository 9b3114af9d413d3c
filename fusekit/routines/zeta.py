"""Hurwitz's zeta function: the sum of (q + k)**-x over all k >= 0."""

from __future__ import annotations

from math import inf, nan

from fusekit.routines.language import fabs, floor, isfinite, isnan, pow  # noqa: A004  C's name

__all__ = ["zeta"]

_DIRECT = 10
"""How many terms are added up one by one, before the Euler-Maclaurin formula."""

_MACLAURIN = (
    1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000,
    1 / 74724249600, -3617 / 10670622842880000, 43867 / 5109094217170944000,
    -174611 / 802857662698291200000, 77683 / 14101100039391805440000,
    -236364091 / 1693824136731743669452800000,
)  # fmt: skip
"""B(2*j) / (2*j)!, B(n) being the Bernoulli numbers."""

_EPSILON = 1e-17
"""Terms below this part of the sum are left out."""


def zeta(x: float, q: float) -> float:
    """The sum of (q + k)**-x for k = 0, 1, 2, ...: infinite at its poles.

    NaN for x < 1, and for q < 0 unless x is an integer or infinite. The poles are x = 1 and q = 0,
    -1, -2, ... Time does not depend on q. Formula: DLMF 25.11.28 (Euler-Maclaurin).
    """
    if x == 1.0:
        return inf
    if x < 1.0:
        return nan
    if q <= 0.0:
        return _zeta_negative(x, q)
    if isnan(x) or isnan(q):
        return nan
    if not isfinite(x):
        # As eager, which finds 0 * inf.
        return nan if q > 1.0 else pow(q, -x)
    return _zeta_positive(x, q) if isfinite(q) else nan


def _zeta_negative(x: float, q: float) -> float:
    """The terms before zero are those of a zeta function that runs the other way, less its tail."""
    if q == floor(q):
        return inf
    if x != floor(x):
        return nan
    if not isfinite(x):
        return inf
    last = -q - floor(-q)
    before = _zeta_positive(x, last) - _zeta_positive(x, 1.0 - q)
    odd = x != 2.0 * floor(0.5 * x)
    return _zeta_positive(x, 1.0 - last) + (-before if odd else before)


def _zeta_positive(x: float, q: float) -> float:
    """For q > 0: the small parts first, and of the terms the smallest."""
    w = q + float(_DIRECT)
    last = pow(w, -x)
    correction = 0.5 * last
    factor = last * (x / w)
    k = x
    for j in range(len(_MACLAURIN)):
        term = factor * _MACLAURIN[j]
        correction = correction + term
        if fabs(term) <= _EPSILON * correction:
            break
        # One factor after the other, so that none overflows while the others vanish.
        factor = factor * ((k + 1.0) / w) * ((k + 2.0) / w)
        k = k + 2.0
    direct = 0.0
    for j in range(_DIRECT):
        direct = direct + pow(q + float(_DIRECT - 1 - j), -x)
    return (direct + correction) + pow(w, 1.0 - x) / (x - 1.0)
