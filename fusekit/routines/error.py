"""The inverse of erf, and what else belongs to the normal distribution.

Sources: the quantile is algorithm AS 241, PPND16, of M. J. Wichura (Applied Statistics 37, 1988,
477-484), with its constants, and a step of Newton's method for its last digits. The fit of erfcx is
our own, of (1 + 2*x) * erfcx(x) on 0 <= x < inf, a function that M. M. Shepherd and J. G.
Laframboise have fitted before (Mathematics of Computation 36, 1981, 249-253): a polynomial in t =
(x - 2) / (x + 2), interpolated at 90 Chebyshev nodes in 400-bit arithmetic, then cut where the rest
is below 2e-18.
"""

from __future__ import annotations

from math import inf, nan

from fusekit.routines.language import copysign, erf, erfc, exp, fabs, fma, log, log1p, sqrt
from fusekit.routines.series import polynomial

__all__ = ["erfcx", "erfinv", "log_ndtr", "ndtri"]

_SQRT_HALF = 0.7071067811865476
_SQRT_2 = 1.4142135623730951
_SQRT_2_PI = 2.5066282746310002
_HALF_SQRT_PI = 0.886226925452758
_NORMAL = 1e-300
"""Below, the step would rest on denormal numbers."""

_RECIPROCAL_SQRT_PI = 0.5641895835477563

_CENTRE = 0.425
"""AS 241 changes its formula where the distance of p from 1/2 is this."""

_CENTRE_TOP = (
    2509.0809287301227, 33430.57558358813, 67265.7709270087, 45921.95393154987, 13731.69376550946,
    1971.5909503065513, 133.14166789178438, 3.3871328727963665,
)  # fmt: skip
_CENTRE_BOTTOM = (
    5226.495278852854, 28729.085735721943, 39307.89580009271, 21213.794301586597, 5394.196021424751,
    687.1870074920579, 42.31333070160091, 1.0,
)  # fmt: skip
"""x / (p - 1/2) by 0.425**2 - (p - 1/2)**2."""

_TAIL_TOP = (
    0.0007745450142783414, 0.022723844989269184, 0.2417807251774506, 1.2704582524523684,
    3.6478483247632045, 5.769497221460691, 4.630337846156546, 1.4234371107496835,
)  # fmt: skip
_TAIL_BOTTOM = (
    1.0507500716444169e-09, 0.0005475938084995345, 0.015198666563616457, 0.14810397642748008,
    0.6897673349851, 1.6763848301838038, 2.053191626637759, 1.0,
)  # fmt: skip
"""-x by sqrt(-log(p)) - 1.6, up to sqrt(-log(p)) = 5."""

_FAR_TOP = (
    2.0103343992922881e-07, 2.7115555687434876e-05, 0.0012426609473880784, 0.026532189526576124,
    0.29656057182850487, 1.7848265399172913, 5.463784911164114, 6.657904643501103,
)  # fmt: skip
_FAR_BOTTOM = (
    2.0442631033899397e-15, 1.421511758316446e-07, 1.8463183175100548e-05, 0.0007868691311456133,
    0.014875361290850615, 0.1369298809227358, 0.599832206555888, 1.0,
)  # fmt: skip
"""-x by sqrt(-log(p)) - 5, beyond."""

_LOG_NDTR_END = 40.0
"""From here on, log_ndtr rounds to 0."""

_ERFCX_OVERFLOW = -26.64
"""Below, erfcx is infinite."""

_ERFCX_LARGE = 1e8
"""From here on, erfcx(x) is 1 / (sqrt(pi) * x)."""

_ERFCX = (
    -9.342653007632043e-10, -9.549984773951676e-11, 9.351259777666609e-09, 5.3970480129819536e-09,
    -3.918126132455656e-08, -4.710147596452282e-08, 6.845031138001907e-08, 1.833113328757565e-07,
    9.064805408674964e-08, -2.808540807676465e-07, -7.968749577424393e-07, -6.851268065406164e-07,
    1.4824272560929263e-06, 5.219508972501868e-06, 3.719300001760817e-06, -1.3491388490435908e-05,
    -3.642570047110562e-05, -1.5102632891595436e-06, 0.000151039608808539, 0.00020636729650749556,
    -0.0004543408816116156, -0.001456813958190845, 0.0012713389694938386, 0.008722653876558448,
    -0.008034015082560542, -0.054220000992069285, 0.16405128003344446, -0.16603039761528893,
    -0.09276382658574601, 1.2769783815525286,
)  # fmt: skip
"""(1 + 2*x) * erfcx(x) by (x - 2) / (x + 2)."""


def erfinv(y: float) -> float:
    """The x of which erf(x) = y; infinite at -1 and 1, NaN outside [-1, 1]."""
    size = fabs(y)
    if not size < 1.0:
        return copysign(inf, y) if size == 1.0 else nan
    if size <= 0.5:
        x = size * (0.5 * _SQRT_HALF * _normal_centre(0.5 * size))
        excess = erf(x) - size
    else:
        x = _SQRT_HALF * _quantile(0.5 - 0.5 * size)
        excess = (1.0 - size) - erfc(x)
    return copysign(x - excess * (_HALF_SQRT_PI * exp(x * x)), y)


def ndtri(p: float) -> float:
    """The quantile of the normal distribution; infinite at 0 and 1, NaN outside [0, 1]."""
    if not (p > 0.0 and p < 1.0):
        if p == 0.0:
            return -inf
        return inf if p == 1.0 else nan
    if fabs(p - 0.5) <= 0.25:
        return _SQRT_2 * erfinv(2.0 * (p - 0.5))
    rest = p if p < 0.5 else 1.0 - p
    x = _quantile(rest)
    if rest > _NORMAL:
        excess = rest - 0.5 * erfc(_SQRT_HALF * x)
        x = x - excess * _SQRT_2_PI * exp(0.5 * x * x)
    return -x if p < 0.5 else x


def _quantile(p: float) -> float:
    """-ndtri(p) for p up to 1/2, but for the last digits."""
    return _normal_tail(p) if p < 0.5 - _CENTRE else (0.5 - p) * _normal_centre(0.5 - p)


def _normal_centre(distance: float) -> float:
    """ndtri(1/2 + distance) / distance, near 1/2."""
    t = _CENTRE * _CENTRE - distance * distance
    return polynomial(t, _CENTRE_TOP) / polynomial(t, _CENTRE_BOTTOM)


def _normal_tail(p: float) -> float:
    """-ndtri(p) for small p."""
    t = sqrt(-log(p))
    if t <= 5.0:
        return polynomial(t - 1.6, _TAIL_TOP) / polynomial(t - 1.6, _TAIL_BOTTOM)
    return polynomial(t - 5.0, _FAR_TOP) / polynomial(t - 5.0, _FAR_BOTTOM)


def log_ndtr(x: float) -> float:
    """Logarithm of the normal distribution function.

    Both forms rest on erfcx, which keeps its relative accuracy where erfc would lose it to the
    rounding of x/sqrt(2): log(e**(-x*x/2) * erfcx(|x|/sqrt(2)) / 2), and the complement of that.
    """
    if x < 0.0:
        return log(0.5 * erfcx(-_SQRT_HALF * x)) - 0.5 * x * x
    if x > _LOG_NDTR_END:
        return -0.0
    return log1p(-0.5 * _exp_of_square(x, -0.5) * erfcx(_SQRT_HALF * x))


def erfcx(x: float) -> float:
    """e**(x*x) * erfc(x)."""
    if x < _ERFCX_OVERFLOW:
        return inf
    size = fabs(x)
    if size > _ERFCX_LARGE:
        return _RECIPROCAL_SQRT_PI / size
    scaled = polynomial((size - 2.0) / (size + 2.0), _ERFCX) / (1.0 + 2.0 * size)
    return 2.0 * _exp_of_square(x, 1.0) - scaled if x < 0.0 else scaled


def _exp_of_square(x: float, factor: float) -> float:
    """e**(factor * x*x), with the square in two parts; factor is a power of 2, with a sign."""
    square = x * x
    rest = fma(x, x, -square)
    power = exp(factor * square)
    return power + power * (factor * rest)
