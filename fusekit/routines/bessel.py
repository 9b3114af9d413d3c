"""Bessel functions of orders 0 and 1, and the spherical one of order 0.

Up to |x| = 5, a polynomial times the distances from the zeros there, which are kept in two parts
each, so that the result keeps its relative accuracy around them:

    j0(x) = (x*x - a*a) * (x*x - f*f) * p(x*x)
    j1(x) = x * (x*x - b*b) * p(x*x)
    y0(x) = 2/pi * log(x/c) * j0(x) + (x*x - c*c) * p(x*x)             x <= 2.5
    y0(x) = (x - d) * p(x)                                             2.5 < x <= 5
    y1(x) = 2/pi * log(x/e) * j1(x) + (x*x - e*e) * p(x*x) / x

(f = 5.52 lies beyond; without it p would all but vanish at 5.)

The polynomials are our own: interpolated at 40 to 50 Chebyshev nodes in 400-bit arithmetic, cut
where the rest is below 2e-18 of the smallest value, and written in powers of t, which runs from -1
to 1. Beyond 5, Hankel's form (DLMF 10.17.3), with P and Q of the Cephes Math Library (S. Moshier):

    j0(x) = sqrt(2/(pi*x)) * (P * cos(x - pi/4) - Q * sin(x - pi/4))
    y0(x) = sqrt(2/(pi*x)) * (P * sin(x - pi/4) + Q * cos(x - pi/4))

and the same with 3*pi/4 for order 1.
"""

from __future__ import annotations

from math import inf, nan

from fusekit.routines.language import cos, fabs, log, log1p, sin, sqrt
from fusekit.routines.series import polynomial

__all__ = [
    "bessel_j0",
    "bessel_j1",
    "bessel_wave",
    "bessel_y0",
    "bessel_y1",
    "spherical_bessel_j0",
]

_END = 5.0
_TWO_OVER_PI = 0.6366197723675814
_SQRT_TWO_OVER_PI = 0.7978845608028654
_SQRT_HALF = 0.7071067811865476

_WAVE_END = 8e307
"""Beyond, 2*x would overflow."""

_J0_ZERO, _J0_ZERO_REST = 2.404825557695773, -1.176691651530894e-16
_J0_NEXT_ZERO = 5.520078110286311
_J1_ZERO, _J1_ZERO_REST = 3.8317059702075125, -1.5269184090088067e-16
_Y0_ZERO, _Y0_ZERO_REST = 0.8935769662791675, 2.6596231539720385e-17
_Y0_NEXT_ZERO, _Y0_NEXT_ZERO_REST = 3.957678419314858, -1.0764340697562706e-16
_Y1_ZERO, _Y1_ZERO_REST = 2.197141326031017, -4.8259835876454966e-17
_LOG_Y0_ZERO = -0.11252280788079415
_LOG_Y1_ZERO = 0.7871571181569951

_J0_NEAR = (
    -3.52449113008727e-16, 1.8688672744978886e-14, -8.404184719394778e-13, 3.163723989196272e-11,
    -9.781438946726354e-10, 2.428622038025423e-08, -4.70629166457061e-07, 6.854954847199373e-06,
    -7.121705240575853e-05, 0.00048768271776558413, -0.0019210870437164043, 0.0031873556303932387,
)  # fmt: skip
"""By 2/25 * x*x - 1."""

_J1_NEAR = (
    -1.6162359403482695e-16, 9.268689637917528e-15, -4.540044272545434e-13, 1.8773810470060388e-11,
    -6.44313098846173e-10, 1.799515992541992e-08, -3.991381169521328e-07, 6.814683895176615e-06,
    -8.592956232073762e-05, 0.0007552540432951287, -0.004240225993395717, 0.013090777521810029,
    -0.01587595431164548,
)  # fmt: skip
"""By 2/25 * x*x - 1."""

_Y0_MIDDLE = 2.5

_Y0_NEAR = (
    -3.864676532156665e-15, 4.758706695238548e-13, -4.715802927907916e-11, 3.6624812410805135e-09,
    -2.1530981512673003e-07, 9.147848254331953e-06, -0.0002631436695723307, 0.004639734382041311,
    -0.042220511823320955, 0.1350115384785187,
)  # fmt: skip
"""By 8/25 * x*x - 1, up to 2.5."""

_Y0_NEXT = (
    -1.2723606822370983e-12, 3.879336212654168e-12, -5.1721028827260355e-12, 1.689369206532034e-11,
    -7.012137835753902e-11, 2.2070125518678075e-10, -6.784727017896926e-10, 2.1657910066421012e-09,
    -6.911985041808886e-09, 2.1804402076262426e-08, -7.417563562144313e-08, 2.7975925097666154e-07,
    -5.337267121503639e-07, -1.2498479309990911e-06, -2.127907176477165e-05, 0.00022013384166689147,
    0.0003891719354607077, -0.005741804138875876, -0.009695121801124341, 0.09720644797151289,
    0.03217613528290145, -0.41052294821305585,
)  # fmt: skip
"""By (x - 3.75) / 1.25, from 2.5 to 5."""

_Y1_NEAR = (
    3.243088827079039e-15, -1.802665562424874e-13, 8.52411440126769e-12, -3.3867181247107384e-10,
    1.1098242430720299e-08, -2.935314289149517e-07, 6.0954413581789344e-06, -9.582296150081101e-05,
    0.0010836111174126436, -0.008150603950801043, 0.035354692634762715, -0.05922375910120821,
    -0.0628056068748724, 0.17298478880663093,
)  # fmt: skip
"""By 2/25 * x*x - 1."""

_P0_TOP = (
    0.0007969367292973471, 0.08283523921074408, 1.239533716464143, 5.447250030587687,
    8.74716500199817, 5.303240382353949, 1.0,
)  # fmt: skip
_P0_BOTTOM = (
    0.0009244088105588637, 0.08562884743544745, 1.2535274390105895, 5.470977403304171,
    8.761908832370695, 5.306052882353947, 1.0,
)  # fmt: skip
_Q0_TOP = (
    -0.011366383889846916, -1.2825271867050931, -19.553954425773597, -93.20601521237683,
    -177.68116798048806, -147.07750515495118, -51.41053267665993, -6.050143506007285,
)  # fmt: skip
_Q0_BOTTOM = (
    1.0, 64.3178256118178, 856.4300259769806, 3882.4018360540163, 7240.467741956525,
    5930.727011873169, 2062.0933166032783, 242.0057402402914,
)  # fmt: skip
"""P, and Q * x/5, of order 0 by 25 / (x*x)."""

_P1_TOP = (
    0.0007621256162081731, 0.07313970569409176, 1.1271960812968493, 5.112079511468076,
    8.424045901417724, 5.214515986823615, 1.0,
)  # fmt: skip
_P1_BOTTOM = (
    0.0005713231280725487, 0.06884559087544954, 1.105142326340617, 5.073863861286015,
    8.399855543276042, 5.209828486823619, 1.0,
)  # fmt: skip
_Q1_TOP = (
    0.05108625947501766, 4.982138729512334, 75.82382841325453, 366.7796093601508, 710.8563049989261,
    597.4896124006136, 211.68875710057213, 25.207020585802372,
)  # fmt: skip
_Q1_BOTTOM = (
    1.0, 74.23732770356752, 1056.4488603826283, 4986.410583376536, 9562.318924047562,
    7997.041604473507, 2826.1927851763908, 336.0936078106983,
)  # fmt: skip
"""P, and Q * x/5, of order 1 by 25 / (x*x)."""


def bessel_j0(x: float) -> float:
    """Of the first kind, order 0; NaN at the infinities, as eager PyTorch has it."""
    size = fabs(x)
    if size <= _END:
        return _j0_near(size)
    return _SQRT_TWO_OVER_PI / sqrt(size) * bessel_wave(size, _p0(size), -_q0(size))


def bessel_j1(x: float) -> float:
    """Of the first kind, order 1; NaN at the infinities, as eager PyTorch has it."""
    size = fabs(x)
    if size <= _END:
        return _j1_near(x)
    result = _SQRT_TWO_OVER_PI / sqrt(size) * bessel_wave(size, _q1(size), _p1(size))
    return -result if x < 0.0 else result


def bessel_y0(x: float) -> float:
    """Of the second kind, order 0; -inf at 0, NaN below and at inf."""
    if x <= 0.0:
        return -inf if x == 0.0 else nan
    if x <= _Y0_MIDDLE:
        factor = ((x - _Y0_ZERO) - _Y0_ZERO_REST) * (x + _Y0_ZERO)
        near = log(x) - _LOG_Y0_ZERO
        if x > 0.5 * _Y0_ZERO:
            near = log1p(((x - _Y0_ZERO) - _Y0_ZERO_REST) / _Y0_ZERO)
        rest = factor * polynomial(0.32 * x * x - 1.0, _Y0_NEAR)
        return _TWO_OVER_PI * near * _j0_near(x) + rest
    if x <= _END:
        factor = (x - _Y0_NEXT_ZERO) - _Y0_NEXT_ZERO_REST
        return factor * polynomial(0.8 * (x - 3.75), _Y0_NEXT)
    return _SQRT_TWO_OVER_PI / sqrt(x) * bessel_wave(x, _q0(x), _p0(x))


def bessel_y1(x: float) -> float:
    """Of the second kind, order 1; -inf at 0, NaN below and at inf."""
    if x <= 0.0:
        return -inf if x == 0.0 else nan
    if x <= _END:
        factor = ((x - _Y1_ZERO) - _Y1_ZERO_REST) * (x + _Y1_ZERO)
        near = log(x) - _LOG_Y1_ZERO
        if x > 0.5 * _Y1_ZERO:
            near = log1p(((x - _Y1_ZERO) - _Y1_ZERO_REST) / _Y1_ZERO)
        rest = factor * polynomial(0.08 * x * x - 1.0, _Y1_NEAR) / x
        return _TWO_OVER_PI * near * _j1_near(x) + rest
    return _SQRT_TWO_OVER_PI / sqrt(x) * bessel_wave(x, -_p1(x), _q1(x))


def spherical_bessel_j0(x: float) -> float:
    """sin(x) / x, which is 1 at 0 and 0 at the infinities."""
    if x == 0.0:
        return 1.0
    return 0.0 if fabs(x) == inf else sin(x) / x


def bessel_wave(x: float, p: float, q: float) -> float:
    """The wave p * cos(x - pi/4) + q * sin(x - pi/4).

    They are (cos x + sin x) / sqrt(2) and (sin x - cos x) / sqrt(2). The one of them in which the
    terms cancel comes from the other, since their product is -cos(2*x) / 2: so both keep their
    relative accuracy, which x - pi/4, rounded, would not.
    """
    sine, cosine = sin(x), cos(x)
    total, difference = cosine + sine, sine - cosine
    if x < _WAVE_END:
        if sine * cosine < 0.0:
            total = -cos(2.0 * x) / difference
        else:
            difference = -cos(2.0 * x) / total
    return _SQRT_HALF * (p * total + q * difference)


def _j0_near(x: float) -> float:
    """bessel_j0 on [0, 5]."""
    factor = ((x - _J0_ZERO) - _J0_ZERO_REST) * (x + _J0_ZERO)
    next_factor = (x - _J0_NEXT_ZERO) * (x + _J0_NEXT_ZERO)
    return factor * next_factor * polynomial(0.08 * x * x - 1.0, _J0_NEAR)


def _j1_near(x: float) -> float:
    """bessel_j1 on [-5, 5]."""
    size = fabs(x)
    factor = ((size - _J1_ZERO) - _J1_ZERO_REST) * (size + _J1_ZERO)
    return x * (factor * polynomial(0.08 * x * x - 1.0, _J1_NEAR))


def _p0(x: float) -> float:
    """P of order 0."""
    t = 25.0 / (x * x)
    return polynomial(t, _P0_TOP) / polynomial(t, _P0_BOTTOM)


def _q0(x: float) -> float:
    """Q of order 0."""
    t = 25.0 / (x * x)
    return 5.0 / x * (polynomial(t, _Q0_TOP) / polynomial(t, _Q0_BOTTOM))


def _p1(x: float) -> float:
    """P of order 1."""
    t = 25.0 / (x * x)
    return polynomial(t, _P1_TOP) / polynomial(t, _P1_BOTTOM)


def _q1(x: float) -> float:
    """Q of order 1."""
    t = 25.0 / (x * x)
    return 5.0 / x * (polynomial(t, _Q1_TOP) / polynomial(t, _Q1_BOTTOM))
