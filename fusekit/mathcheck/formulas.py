"""The functions in ball arithmetic: Arb encloses each value, with a proof, in a ball.

Source: F. Johansson, "Arb: efficient arbitrary-precision midpoint-radius interval arithmetic",
IEEE Transactions on Computers 66 (2017), by python-flint. Formulas are those of the Digital Library
of Mathematical Functions where Arb has no function of its own. A ball that is not finite says that
there is no real value, or that the precision does not do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flint import arb

__all__ = ["FORMULAS"]

Ball = arb
Formula = Callable[..., arb]


def _sigmoid(x: Ball) -> Ball:
    return 1 / (1 + (-x).exp())


def _lgamma(x: Ball) -> Ball:
    if x > 0:
        return x.lgamma()
    return abs(arb.pi() / x.sin_pi()).log() - (1 - x).lgamma()  # DLMF 5.5.3


def _trigamma(x: Ball) -> Ball:
    if x > 0:
        return arb(2).zeta(x)
    if x.is_integer():
        return arb.pos_inf()
    return (arb.pi() / x.sin_pi()) ** 2 - arb(2).zeta(1 - x)  # DLMF 5.15.6


def _erfcx(x: Ball) -> Ball:
    if x < 5:
        return x.erfc() * (x * x).exp()
    return (x * x).hypgeom_u(arb(0.5), arb(0.5)) / arb.pi().sqrt()  # DLMF 7.11.5


def _log_ndtr(x: Ball) -> Ball:
    scaled = x / arb(2).sqrt()
    return (-scaled.erfc() / 2).log1p() if x > 0 else ((-scaled).erfc() / 2).log()


def _ndtri(x: Ball) -> Ball:
    return -arb(2).sqrt() * (2 * x).erfcinv()


def _positive(function: Formula) -> Formula:
    """The function on the right half of the axis; elsewhere it is not real."""
    return lambda x: function(x) if x > 0 else arb.nan()


def _zeta(s: Ball, a: Ball) -> Ball:
    return s.zeta(a) if 1 < s < 1e6 and a > 0 else arb.nan()  # Arb takes ages beyond


def _igamma(a: Ball, x: Ball) -> Ball:
    if not (a > 0 and x > 0):
        return arb.nan()
    if x > a - 8 * a.sqrt():
        return 1 - x.gamma_upper(a, regularized=1)  # Arb's lower function takes long near x = a
    return x.gamma_lower(a, regularized=1)


def _igammac(a: Ball, x: Ball) -> Ball:
    return x.gamma_upper(a, regularized=1) if a > 0 and x > 0 else arb.nan()


def _atan2(y: Ball, x: Ball) -> Ball:
    return arb.nan() if y == 0 else arb.atan2(y, x)  # Arb's zeros have no sign


def _pow(x: Ball, y: Ball) -> Ball:
    return arb.nan() if x == 0 else x**y


def _recurrence(first: Formula, step: Callable[[int, Ball, Ball, Ball], Ball]) -> Formula:
    """A polynomial by its recurrence; step(n, x, p, q) makes n + 1 of n and n - 1."""

    def polynomial(x: Ball, degree: Ball) -> Ball:
        last, now = arb(1), first(x)
        count = int(float(degree))
        if count <= 0:
            return arb(1 if count == 0 else 0)
        for n in range(1, count):
            last, now = now, step(n, x, now, last)
        return now

    return polynomial


_FIRST: Mapping[str, Formula] = {
    "t": lambda x: x,
    "u": lambda x: 2 * x,
    "v": lambda x: 2 * x - 1,
    "w": lambda x: 2 * x + 1,
}


def _chebyshev(kind: str) -> Formula:
    return _recurrence(_FIRST[kind], lambda _n, x, p, q: 2 * x * p - q)


def _shifted(kind: str) -> Formula:
    plain = _chebyshev(kind)
    return lambda x, degree: plain(2 * x - 1, degree)


FORMULAS: Mapping[str, Formula] = {
    **{
        name: getattr(arb, name)
        for name in (
            *("exp", "expm1", "log", "log1p", "sin", "cos", "tan", "asin", "acos", "atan", "sinh"),
            *("cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc", "airy_ai", "digamma"),
            "erfinv",
        )
    },
    "exp2": lambda x: arb(2) ** x,
    "log2": lambda x: x.log() / arb(2).log(),
    "log10": lambda x: x.log() / arb(10).log(),
    "sigmoid": _sigmoid,
    "lgamma": _lgamma,
    "bessel_j0": lambda x: x.bessel_j(0),
    "bessel_j1": lambda x: x.bessel_j(1),
    "bessel_y0": _positive(lambda x: x.bessel_y(0)),
    "bessel_y1": _positive(lambda x: x.bessel_y(1)),
    "spherical_bessel_j0": lambda x: x.sinc(),
    "i0": lambda x: abs(x).bessel_i(0),
    "i0e": lambda x: abs(x).bessel_i(0, scaled=True),
    "i1": lambda x: x.sgn() * abs(x).bessel_i(1),
    "i1e": lambda x: x.sgn() * abs(x).bessel_i(1, scaled=True),
    "k0": _positive(lambda x: x.bessel_k(0)),
    "k0e": _positive(lambda x: x.bessel_k(0, scaled=True)),
    "k1": _positive(lambda x: x.bessel_k(1)),
    "k1e": _positive(lambda x: x.bessel_k(1, scaled=True)),
    "trigamma": _trigamma,
    "erfcx": _erfcx,
    "ndtri": _ndtri,
    "log_ndtr": _log_ndtr,
    "atan2": _atan2,
    "hypot": lambda x, y: (x * x + y * y).sqrt(),
    "pow": _pow,
    "zeta": _zeta,
    "igamma": _igamma,
    "igammac": _igammac,
    **{f"chebyshev_polynomial_{kind}": _chebyshev(kind) for kind in _FIRST},
    **{f"shifted_chebyshev_polynomial_{kind}": _shifted(kind) for kind in _FIRST},
    "hermite_polynomial_h": _recurrence(lambda x: 2 * x, lambda n, x, p, q: 2 * x * p - 2 * n * q),
    "hermite_polynomial_he": _recurrence(lambda x: x, lambda n, x, p, q: x * p - n * q),
    "laguerre_polynomial_l": _recurrence(
        lambda x: 1 - x, lambda n, x, p, q: ((2 * n + 1 - x) * p - n * q) / (n + 1)
    ),
    "legendre_polynomial_p": _recurrence(
        lambda x: x, lambda n, x, p, q: ((2 * n + 1) * x * p - n * q) / (n + 1)
    ),
}
"""Function -> its value as a ball, of balls that are exact numbers."""
