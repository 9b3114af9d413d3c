"""Modified Bessel functions of orders 0 and 1, also scaled.

i0e(x) = e**-|x| * i0(x) and k0e(x) = e**x * k0(x), and so for order 1.

Up to |x| = 8 (i) and 2 (k) they are their power series (DLMF 10.25.2 and 10.31.1), with y =
(x/2)**2, H(k) = 1 + 1/2 + ... + 1/k and the Euler constant g:

    i0(x) = sum of y**k / k!**2
    i1(x) = x/2 * sum of y**k / (k! * (k+1)!)
    k0(x) = -log(x/2) * i0(x) + sum of (H(k) - g) * y**k / k!**2
    k1(x) = log(x/2) * i1(x) + (1 - sum of (H(k) + H(k+1) - 2*g) * y**(k+1) / (k! * (k+1)!)) / x

The sums of k0 and k1 are taken in powers of y - 1 instead, since near x = 2 nothing but they is
left, while their terms cancel.

Beyond, the Chebyshev series of the Cephes Math Library (S. Moshier): of sqrt(x) * i0e(x) by 32/x -
2, and of sqrt(x) * k0e(x) by 8/x - 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate
from math import comb, factorial, inf, nan

from fusekit.routines.language import exp, fabs, log, sqrt
from fusekit.routines.series import chebyshev, polynomial

__all__ = ["i0", "i0e", "i1", "i1e", "k0", "k0e", "k1", "k1e"]

_EULER = Fraction("0.57721566490153286060651209")
_LOG_2_MINUS_EULER = 0.11593151565841245

_I_TERMS, _K_TERMS = 23, 14
"""As many as float64 sees."""


def _about_one(series: Sequence[Fraction]) -> tuple[float, ...]:
    """A polynomial's coefficients in powers of y - 1, of those in powers of y, lowest first."""
    shifted = (
        sum(comb(k, j) * series[k] for k in range(j, len(series))) for j in range(len(series))
    )
    return tuple(reversed([float(coefficient) for coefficient in shifted]))


_HARMONIC = [Fraction(0), *accumulate(Fraction(1, k) for k in range(1, _K_TERMS + 1))]

_SQUARES = [factorial(k) ** 2 for k in range(_I_TERMS)]
_PRODUCTS = [factorial(k) * factorial(k + 1) for k in range(_I_TERMS)]

_I0_NEAR = tuple(1 / square for square in reversed(_SQUARES))
_I1_NEAR = tuple(1 / product for product in reversed(_PRODUCTS))
_K0_NEAR = _about_one([(_HARMONIC[k] - _EULER) / _SQUARES[k] for k in range(_K_TERMS)])
_K1_NEAR = _about_one(
    [
        Fraction(1),
        *(
            (2 * _EULER - _HARMONIC[k] - _HARMONIC[k + 1]) / _PRODUCTS[k]
            for k in range(_K_TERMS - 1)
        ),
    ]
)

_I_END, _K_END = 8.0, 2.0
"""Where the series in 1/x take over."""

_EXP_I_END = 2980.9579870417283

_TINY = 1e-9
"""Below, k0(x) is log(2) - g - log(x), and k1(x) is 1/x."""

_I0_FAR = (
    -7.233180487874754e-18, -4.830504485944182e-18, 4.46562142029676e-17, 3.461222867697461e-17,
    -2.8276239805165836e-16, -3.425485619677219e-16, 1.7725601330565263e-15, 3.8116806693526224e-15,
    -9.554846698828307e-15, -4.150569347287222e-14, 1.54008621752141e-14, 3.8527783827421426e-13,
    7.180124451383666e-13, -1.7941785315068062e-12, -1.3215811840447713e-11,
    -3.1499165279632416e-11, 1.1889147107846439e-11, 4.94060238822497e-10, 3.3962320257083865e-09,
    2.266668990498178e-08, 2.0489185894690638e-07, 2.8913705208347567e-06, 6.889758346916825e-05,
    0.0033691164782556943, 0.8044904110141088,
)  # fmt: skip

_I1_FAR = (
    7.517296310842105e-18, 4.414348323071708e-18, -4.6503053684893586e-17, -3.209525921993424e-17,
    2.96262899764595e-16, 3.3082023109209285e-16, -1.8803547755107825e-15, -3.8144030724370075e-15,
    1.0420276984128802e-14, 4.272440016711951e-14, -2.1015418427726643e-14, -4.0835511110921974e-13,
    -7.198551776245908e-13, 2.0356285441470896e-12, 1.4125807436613782e-11, 3.2526035830154884e-11,
    -1.8974958123505413e-11, -5.589743462196584e-10, -3.835380385964237e-09,
    -2.6314688468895196e-08, -2.512236237870209e-07, -3.882564808877691e-06,
    -0.00011058893876262371, -0.009761097491361469, 0.7785762350182801,
)  # fmt: skip

_K0_FAR = (
    5.300433772686263e-18, -1.6475804301524212e-17, 5.2103915050390274e-17, -1.678231096805412e-16,
    5.512055978524319e-16, -1.848593377343779e-15, 6.3400764774050706e-15, -2.2275133269916698e-14,
    8.032890775363575e-14, -2.9800969231727303e-13, 1.140340588208475e-12, -4.514597883373944e-12,
    1.8559491149547177e-11, -7.957489244477107e-11, 3.577397281400301e-10, -1.69753450938906e-09,
    8.574034017414225e-09, -4.660489897687948e-08, 2.766813639445015e-07, -1.8317555227191195e-06,
    1.39498137188765e-05, -0.00012849549581627802, 0.0015698838857300533, -0.0314481013119645,
    2.4403030820659555,
)  # fmt: skip

_K1_FAR = (
    -5.756744483665017e-18, 1.7940508731475592e-17, -5.689462558442859e-17, 1.838093544366639e-16,
    -6.057047248373319e-16, 2.038703165624334e-15, -7.019837090418314e-15, 2.4771544244813043e-14,
    -8.976705182324994e-14, 3.3484196660784293e-13, -1.2891739609510289e-12, 5.13963967348173e-12,
    -2.1299678384275683e-11, 9.218315187605006e-11, -4.1903547593418965e-10, 2.015049755197033e-09,
    -1.0345762465678097e-08, 5.7410841254500495e-08, -3.5019606030878126e-07, 2.406484947837217e-06,
    -1.936197974166083e-05, 0.00019521551847135162, -0.002857816859622779, 0.10392373657681724,
    2.7206261904844427,
)  # fmt: skip


def i0(x: float) -> float:
    """Of the first kind, order 0; NaN at the infinities, as eager PyTorch has it."""
    size = fabs(x)
    if size <= _I_END:
        return _i0_near(size)
    # e**x alone overflows before its product with the small rest does
    return exp(size - _I_END) * (_EXP_I_END * _i0e_far(size))


def i0e(x: float) -> float:
    """Of the first kind, order 0, times e**-|x|."""
    size = fabs(x)
    return exp(-size) * _i0_near(size) if size <= _I_END else _i0e_far(size)


def i1(x: float) -> float:
    """Of the first kind, order 1; NaN at the infinities and 0 at -0, as eager PyTorch has it."""
    size = fabs(x)
    if size <= _I_END:
        result = _i1_near(size)
    else:
        result = exp(size - _I_END) * (_EXP_I_END * _i1e_far(size))
    return -result if x < 0.0 else result


def i1e(x: float) -> float:
    """Of the first kind, order 1, times e**-|x|; 0 at -0, as eager PyTorch has it."""
    size = fabs(x)
    result = exp(-size) * _i1_near(size) if size <= _I_END else _i1e_far(size)
    return -result if x < 0.0 else result


def k0(x: float) -> float:
    """Of the second kind, order 0; infinite at 0, NaN below."""
    if x <= _K_END:
        return _k0_near(x)
    return exp(-x) * _k0e_far(x)


def k0e(x: float) -> float:
    """Of the second kind, order 0, times e**x; infinite at 0, NaN below."""
    if x <= _K_END:
        return exp(x) * _k0_near(x)
    return _k0e_far(x)


def k1(x: float) -> float:
    """Of the second kind, order 1; infinite at 0, NaN below."""
    if x <= _K_END:
        return _k1_near(x)
    return exp(-x) * _k1e_far(x)


def k1e(x: float) -> float:
    """Of the second kind, order 1, times e**x; infinite at 0, NaN below."""
    if x <= _K_END:
        return exp(x) * _k1_near(x)
    return _k1e_far(x)


def _i0_near(x: float) -> float:
    """i0 on [0, 8]."""
    return polynomial(0.25 * x * x, _I0_NEAR)


def _i1_near(x: float) -> float:
    """i1 on [0, 8]."""
    return 0.5 * x * polynomial(0.25 * x * x, _I1_NEAR)


def _i0e_far(x: float) -> float:
    """i0e from 8 on."""
    return chebyshev(32.0 / x - 2.0, _I0_FAR) / sqrt(x)


def _i1e_far(x: float) -> float:
    """i1e from 8 on."""
    return chebyshev(32.0 / x - 2.0, _I1_FAR) / sqrt(x)


def _k0_near(x: float) -> float:
    """k0 up to 2."""
    if x <= 0.0:
        return inf if x == 0.0 else nan
    if x < _TINY:
        return _LOG_2_MINUS_EULER - log(x)
    beyond_one = 0.25 * (x - 2.0) * (x + 2.0)
    return polynomial(beyond_one, _K0_NEAR) - log(0.5 * x) * _i0_near(x)


def _k1_near(x: float) -> float:
    """k1 up to 2."""
    if x <= 0.0:
        return inf if x == 0.0 else nan
    if x < _TINY:
        return 1.0 / x
    beyond_one = 0.25 * (x - 2.0) * (x + 2.0)
    return polynomial(beyond_one, _K1_NEAR) / x + log(0.5 * x) * _i1_near(x)


def _k0e_far(x: float) -> float:
    """k0e from 2 on."""
    return chebyshev(8.0 / x - 2.0, _K0_FAR) / sqrt(x)


def _k1e_far(x: float) -> float:
    """k1e from 2 on."""
    return chebyshev(8.0 / x - 2.0, _K1_FAR) / sqrt(x)
