"""Orthogonal polynomials of a degree that is data: recurrences in the degree (DLMF 18.9).

As in eager, the degree is rounded towards zero, a polynomial of negative degree is 0, and degree 0
is 1 even at NaN; so is a degree that no int64 holds (infinite, NaN) taken as negative. Where a
recurrence overflows it ends in NaN, which ends it early. Time grows with the degree, but for
Chebyshev's polynomials inside their interval.
"""

from __future__ import annotations

from fusekit.routines.language import atan2, cos, fabs, isnan, sin, sqrt

__all__ = [
    "chebyshev_polynomial_t",
    "chebyshev_polynomial_u",
    "chebyshev_polynomial_v",
    "chebyshev_polynomial_w",
    "hermite_polynomial_h",
    "hermite_polynomial_he",
    "laguerre_polynomial_l",
    "legendre_polynomial_p",
    "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_polynomial_u",
    "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w",
]

_TRIGONOMETRIC = 6
"""Above this degree, Chebyshev's polynomials in (-1, 1) are sines and cosines (DLMF 18.5)."""

_CENTRE = 0.5
"""Below, T and U are so of asin(x), good beside their zero at 0; elsewhere of acos(|x|)."""

_INT64 = 9223372036854775808.0
"""Degrees of this size and more do not fit."""


def chebyshev_polynomial_t(x: float, degree: float) -> float:
    """T of the first kind: T(cos t) = cos(n*t)."""
    n = _integer(degree)
    if n > _TRIGONOMETRIC and fabs(x) < 1.0:
        return _first_kind(x, _half_angle(x), n)
    return _chebyshev(x, x, n)


def chebyshev_polynomial_u(x: float, degree: float) -> float:
    """U of the second kind: U(cos t) = sin((n + 1)*t) / sin(t)."""
    n = _integer(degree)
    if n > _TRIGONOMETRIC and fabs(x) < 1.0:
        return _second_kind(x, _half_angle(x), n)
    return _chebyshev(x, x + x, n)


def chebyshev_polynomial_v(x: float, degree: float) -> float:
    """V of the third kind: V(cos t) = cos((n + 1/2)*t) / cos(t/2)."""
    n = _integer(degree)
    if n > _TRIGONOMETRIC and fabs(x) < 1.0:
        return _third_kind(x, _half_angle(x), n)
    return _chebyshev(x, x + x - 1.0, n)


def chebyshev_polynomial_w(x: float, degree: float) -> float:
    """W of the fourth kind: W(cos t) = sin((n + 1/2)*t) / sin(t/2)."""
    n = _integer(degree)
    if n > _TRIGONOMETRIC and fabs(x) < 1.0:
        return _sign(-1.0, n) * _third_kind(-x, _half_angle(x), n)
    return _chebyshev(x, x + x + 1.0, n)


def shifted_chebyshev_polynomial_t(x: float, degree: float) -> float:
    """T at 2*x - 1."""
    n = _integer(degree)
    y = x + x - 1.0
    if n > _TRIGONOMETRIC and x > 0.0 and x < 1.0:
        return _first_kind(y, _shifted_half_angle(x), n)
    return _chebyshev(y, y, n)


def shifted_chebyshev_polynomial_u(x: float, degree: float) -> float:
    """U at 2*x - 1."""
    n = _integer(degree)
    y = x + x - 1.0
    if n > _TRIGONOMETRIC and x > 0.0 and x < 1.0:
        return _second_kind(y, _shifted_half_angle(x), n)
    return _chebyshev(y, y + y, n)


def shifted_chebyshev_polynomial_v(x: float, degree: float) -> float:
    """V at 2*x - 1."""
    n = _integer(degree)
    y = x + x - 1.0
    if n > _TRIGONOMETRIC and x > 0.0 and x < 1.0:
        return _third_kind(y, _shifted_half_angle(x), n)
    return _chebyshev(y, y + y - 1.0, n)


def shifted_chebyshev_polynomial_w(x: float, degree: float) -> float:
    """W at 2*x - 1."""
    n = _integer(degree)
    y = x + x - 1.0
    if n > _TRIGONOMETRIC and x > 0.0 and x < 1.0:
        return _sign(-1.0, n) * _third_kind(-y, _shifted_half_angle(x), n)
    return _chebyshev(y, y + y + 1.0, n)


def hermite_polynomial_h(x: float, degree: float) -> float:
    """H, the physicist's: H(n + 1) = 2*x*H(n) - 2*n*H(n - 1)."""
    return _hermite(x + x, 2.0, _integer(degree))


def hermite_polynomial_he(x: float, degree: float) -> float:
    """He, the probabilist's: He(n + 1) = x*He(n) - n*He(n - 1)."""
    return _hermite(x, 1.0, _integer(degree))


def laguerre_polynomial_l(x: float, degree: float) -> float:
    """L: (n + 1)*L(n + 1) = (2*n + 1 - x)*L(n) - n*L(n - 1)."""
    n = _integer(degree)
    if n < 0:
        return 0.0
    if n == 0 or x == 0.0:
        return 1.0
    before = 1.0
    value = 1.0 - x
    for k in range(1, n):
        step = float(k)
        following = ((step + step + (1.0 - x)) * value - step * before) / (step + 1.0)
        before, value = value, following
        if isnan(value):
            break
    return value


def legendre_polynomial_p(x: float, degree: float) -> float:
    """P: (n + 1)*P(n + 1) = (2*n + 1)*x*P(n) - n*P(n - 1)."""
    n = _integer(degree)
    if n < 0:
        return 0.0
    if n == 0 or x == 1.0:
        return 1.0
    if x == -1.0:
        return _sign(x, n)
    before = 1.0
    value = x
    for k in range(1, n):
        step = float(k)
        following = ((step + step + 1.0) * x * value - step * before) / (step + 1.0)
        before, value = value, following
        if isnan(value):
            break
    return value


def _integer(degree: float) -> int:
    """Towards zero; -1 for what no int64 holds."""
    if fabs(degree) < _INT64:
        return int(degree)
    return -1


def _sign(x: float, n: int) -> float:
    """Of x**n."""
    return -1.0 if x < 0.0 and n % 2 == 1 else 1.0


def _half_angle(x: float) -> float:
    """acos(|x|) / 2: of |x|, because small angles keep what those near pi lose."""
    return atan2(sqrt(1.0 - fabs(x)), sqrt(1.0 + fabs(x)))


def _shifted_half_angle(x: float) -> float:
    """acos(|2*x - 1|) / 2."""
    if x > 0.5:
        return atan2(sqrt(1.0 - x), sqrt(x))
    return atan2(sqrt(x), sqrt(1.0 - x))


def _first_kind(x: float, half_angle: float, n: int) -> float:
    if fabs(x) < _CENTRE:
        return _wave(x, float(n), n)
    return _sign(x, n) * cos(2.0 * float(n) * half_angle)


def _second_kind(x: float, half_angle: float, n: int) -> float:
    multiple = float(n) + 1.0
    if fabs(x) < _CENTRE:
        return _wave(x, multiple, n) / sqrt((1.0 - x) * (1.0 + x))
    return _sign(x, n) * sin(2.0 * multiple * half_angle) / sin(2.0 * half_angle)


def _wave(x: float, multiple: float, n: int) -> float:
    """The cosine or, of odd polynomials, sine of multiples of asin(x), with the sign of the kth."""
    angle = multiple * atan2(x, sqrt((1.0 - x) * (1.0 + x)))
    value = sin(angle) if n % 2 == 1 else cos(angle)
    return -value if n // 2 % 2 == 1 else value


def _third_kind(x: float, half_angle: float, n: int) -> float:
    """V, of which W is the mirror image: W(x) = (-1)**n * V(-x)."""
    multiple = (2.0 * float(n) + 1.0) * half_angle
    if x < 0.0:
        return _sign(x, n) * sin(multiple) / sin(half_angle)
    return cos(multiple) / cos(half_angle)


def _chebyshev(x: float, first: float, n: int) -> float:
    """By degree: 1, first, and from there on 2*x*p(n) - p(n - 1), which all four kinds obey."""
    if n < 0:
        return 0.0
    if n == 0:
        return 1.0
    if fabs(x) == 1.0:
        # Arithmetic progressions: first is 1, 2, 3 at x = 1; at -1 alternating.
        return _sign(x, n) * (1.0 + float(n) * (x * first - 1.0))
    before = 1.0
    value = first
    end = n + 1
    for _ in range(2, end):
        before, value = value, (x + x) * value - before
        if isnan(value):
            break
    return value


def _hermite(x: float, factor: float, n: int) -> float:
    """By degree: 1, x, and from there on x*p(n) - factor*n*p(n - 1)."""
    if n < 0:
        return 0.0
    if n == 0:
        return 1.0
    before = 1.0
    value = x
    for k in range(1, n):
        before, value = value, x * value - factor * float(k) * before
        if isnan(value):
            break
    return value
