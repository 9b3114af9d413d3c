"""The Airy function Ai.

On [-5, -1.5], (x - a) * (x - b) * p(x) with the two zeros there, each in two parts, so that the
result keeps its relative accuracy around them; on [-1.5, 2.5], e**-x * p(x). The polynomials are
our own: interpolated at 50 Chebyshev nodes in 400-bit arithmetic, cut where the rest is below 2e-18
of the smallest value, and written in powers of t, which runs from -1 to 1. Elsewhere, with
zeta = 2/3 * |x|**1.5, the asymptotic forms (DLMF 9.7.5 and 9.7.9) with the functions of 1/zeta of
the Cephes Math Library (S. Moshier):

    Ai(x)  = e**-zeta * U / (2 * sqrt(pi) * x**0.25)
    Ai(-x) = (F * cos(zeta - pi/4) + G * sin(zeta - pi/4)) / (sqrt(pi) * x**0.25)

zeta is taken in two parts: its rounding alone, times its size, would be the error of the result.
They hold the phase to x = -2**50 or so, beyond which nothing but the amplitude is right.
"""

from __future__ import annotations

from math import nan

from fusekit.routines.bessel import bessel_wave
from fusekit.routines.language import cos, exp, fma, isfinite, sin, sqrt
from fusekit.routines.series import polynomial

__all__ = ["airy_ai"]

_RECIPROCAL_SQRT_PI = 0.5641895835477563
_TWO_THIRDS, _TWO_THIRDS_REST = 0.6666666666666666, 3.700743415417188e-17

_WAVES_END, _ZEROS_END, _NEAR_END = -5.0, -1.5, 2.5

_UNDERFLOW = 108.0
"""From here on, the result rounds to 0."""

_ZERO, _ZERO_REST = -2.338107410459767, -3.912260409818305e-17
_NEXT_ZERO, _NEXT_ZERO_REST = -4.08794944413097, -3.387261694242901e-16

_ZEROS = (
    -3.991106061535605e-12, 5.134047184816249e-11, -8.293197953639862e-11, -9.65043628938066e-10,
    4.963601459582043e-09, 1.4707969640052146e-09, -9.05560432465928e-08, 2.5793267202543194e-07,
    5.951975542494985e-07, -5.295284979954494e-06, 6.601383339330609e-06, 4.6007784511711604e-05,
    -0.00018231809238228913, -4.249582353475607e-05, 0.0017103753777520342, -0.0029874306131724743,
    -0.0067089514413588396, 0.02924426360670212, -0.006798790297952093, -0.1225131136822704,
    0.15928659637183984, 0.2182834011330879, -0.516413745944604, -0.08724273427662227,
    0.5483606343776469,
)  # fmt: skip
"""By (x + 3.25) / 1.75."""

_NEAR = (
    3.760243203016255e-12, -1.056836718144155e-11, -7.32885786324046e-11, 4.2606263490916453e-10,
    3.1931392506907203e-10, -8.778427991757958e-09, 1.685441621522467e-08, 1.0298507791230848e-07,
    -5.010871809482642e-07, -3.561447146925687e-07, 7.4210595955376474e-06, -1.0506161958875165e-05,
    -6.392271187876201e-05, 0.00022113844156174085, 0.00023395070944370327, -0.002212498487588714,
    0.0013177754052194248, 0.012917632525196062, -0.021954179878235322, -0.04147583097107252,
    0.12331115264924208, 0.052189191046603, -0.3372645849645155, 0.022366796162829862,
    0.3819981772901752,
)  # fmt: skip
"""By (x - 0.5) / 2."""

_U_TOP = (
    0.346538101525629, 12.007595273964581, 76.27960536152345, 168.08922493463058,
    159.75639135016442, 70.53609068404442, 14.026469116338967, 1.0,
)  # fmt: skip
_U_BOTTOM = (
    0.5675945326387702, 14.75625625848472, 84.51389701414746, 177.31808814540045, 164.2346928715297,
    71.47784008255756, 14.095913560783403, 1.0,
)  # fmt: skip
"""U by 1/zeta."""

_F_TOP = (
    -0.1316963234183318, -0.6264565444319123, -0.6931580360369335, -0.2797799815451191,
    -0.04919001326095003, -0.004062659235948854, -0.0001592764962392621, -2.776491081552329e-06,
    -1.6778769848911465e-08,
)  # fmt: skip
_F_BOTTOM = (
    1.0, 13.356042070655324, 32.682503279522464, 26.736704094149957, 9.187074029072596,
    1.4752914677166642, 0.11568717379518804, 0.004402916416152112, 7.547203482874142e-05,
    4.5185009297058035e-07,
)  # fmt: skip
"""(F - 1) * zeta**2 by zeta**-2."""

_G_TOP = (
    0.01973399320916857, 0.39110302961568827, 1.0657989759959559, 0.9391692298166502,
    0.35146565610554764, 0.06338889196289255, 0.005858041130483885, 0.000282851600836737,
    6.98793669997261e-06, 8.117892395543892e-08, 3.415517847659236e-10,
)  # fmt: skip
_G_BOTTOM = (
    1.0, 9.30892908077442, 19.835292871831214, 15.564662893286462, 5.476860694229755,
    0.9542936116189619, 0.08645808263523921, 0.004126565238242226, 0.00010125908511650914,
    1.1716673321441352e-06, 4.9183457006293e-09,
)  # fmt: skip
"""G * zeta by zeta**-2."""


def airy_ai(x: float) -> float:
    """Ai(x); NaN at the infinities, as eager PyTorch has it."""
    if not isfinite(x):
        return nan
    if x < _WAVES_END:
        return _airy_wave(-x)
    if x <= _ZEROS_END:
        first = (x - _ZERO) - _ZERO_REST
        second = (x - _NEXT_ZERO) - _NEXT_ZERO_REST
        return first * second * polynomial((x + 3.25) / 1.75, _ZEROS)
    if x <= _NEAR_END:
        return exp(-x) * polynomial(0.5 * (x - 0.5), _NEAR)
    return _airy_decay(x) if x < _UNDERFLOW else 0.0


def _airy_decay(x: float) -> float:
    """Ai(x) from 2.5 on."""
    zeta = _zeta(x)
    inverse = 1.0 / zeta
    ratio = polynomial(inverse, _U_TOP) / polynomial(inverse, _U_BOTTOM)
    scale = 0.5 * _RECIPROCAL_SQRT_PI * (1.0 - _zeta_rest(x)) / sqrt(sqrt(x))
    return exp(-zeta) * (ratio * scale)


def _airy_wave(x: float) -> float:
    """Ai(-x) from 5 on."""
    zeta, rest = _zeta(x), _zeta_rest(x)
    inverse = 1.0 / zeta
    t = inverse * inverse
    f = 1.0 + t * (polynomial(t, _F_TOP) / polynomial(t, _F_BOTTOM))
    g = inverse * (polynomial(t, _G_TOP) / polynomial(t, _G_BOTTOM))
    sine, cosine = sin(rest), cos(rest)
    wave = bessel_wave(zeta, f * cosine + g * sine, g * cosine - f * sine)
    return _RECIPROCAL_SQRT_PI / sqrt(sqrt(x)) * wave


def _zeta(x: float) -> float:
    """2/3 * x**1.5, rounded as `_zeta_rest` needs it."""
    return _TWO_THIRDS * (x * sqrt(x))


def _zeta_rest(x: float) -> float:
    """What `_zeta` leaves of 2/3 * x**1.5."""
    root = sqrt(x)
    root_rest = -fma(root, root, -x) / (2.0 * root)
    power = x * root
    power_rest = fma(x, root, -power) + x * root_rest
    zeta_rest = fma(_TWO_THIRDS, power, -(_TWO_THIRDS * power))
    return zeta_rest + (_TWO_THIRDS_REST * power + _TWO_THIRDS * power_rest)
