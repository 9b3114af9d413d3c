"""The incomplete gamma functions P and Q = 1 - P, regularised: from 0 to 1.

    P(a, x) = integral of t**(a - 1) * e**-t from 0 to x, over gamma(a)

Where which is computed, the other being 1 minus it:

    a > 20, |x - a| < 0.4*a    both: Temme's uniform asymptotic expansion (DLMF 8.12)
    x > 0.8, x > a             Q: continued fraction (DLMF 8.9.2)
    x, a small                 Q: what is left of the power series (DLMF 8.7.3)
    elsewhere                  P: power series (DLMF 8.11.4)
"""

from __future__ import annotations

from math import inf, nan, pi

from fusekit.routines.language import (
    copysign,
    erfc,
    exp,
    expm1,
    fabs,
    isnan,
    log,
    log1p,
    pow,  # noqa: A004  C's name
    sqrt,
)
from fusekit.routines.series import polynomial

__all__ = ["igamma", "igammac"]

_INTERIOR = -1.0
"""Stands for: no edge of the domain."""

_LARGE = 20.0
"""Above, gamma(a) is Stirling's."""

_NEAR = 0.4
"""Temme's expansion holds while x differs from a by less than this part of a."""

_FRACTION = 0.8
"""The continued fraction is for x above."""

_VANISHED = 1000.0
"""x**20 * e**-x is 0 from here on."""

_EPSILON = 1e-17
_TERMS = 200

_WIDTH = 15
_ROWS = 10
_TEMME = (
    -0.3333333333333333, 0.08333333333333333, -0.014814814814814815, 0.0011574074074074073,
    0.0003527336860670194, -0.0001787551440329218, 3.919263178522438e-05, -2.1854485106799924e-06,
    -1.85406221071516e-06, 8.296711340953087e-07, -1.7665952736826078e-07, 6.707853543401498e-09,
    1.0261809784240309e-08, -4.382036018453353e-09, 9.14769958223679e-10,
    -0.001851851851851852, -0.003472222222222222, 0.0026455026455026454, -0.0009902263374485596,
    0.00020576131687242798, -4.018775720164609e-07, -1.8098550334489977e-05, 7.64916091608111e-06,
    -1.6120900894563446e-06, 4.647127802807434e-09, 1.378633446915721e-07, -5.752545603517705e-08,
    1.1951628599778148e-08, -1.7543241719747647e-11, -1.0091543710600413e-09,
    0.004133597883597883, -0.0026813271604938273, 0.0007716049382716049, 2.0093878600823047e-06,
    -0.00010736653226365161, 5.2923448829120125e-05, -1.2760635188618728e-05, 3.423578734096138e-08,
    1.3721957309062932e-06, -6.298992138380055e-07, 1.4280614206064242e-07, -2.0477098421990866e-10,
    -1.409252991086752e-08, 6.228974084922022e-09, -1.3670488396617112e-09,
    0.0006494341563786008, 0.00022947209362139917, -0.0004691894943952557, 0.00026772063206283885,
    -7.561801671883977e-05, -2.396505113867297e-07, 1.1082654115347302e-05, -5.6749528269915965e-06,
    1.4230900732435883e-06, -2.7861080291528143e-11, -1.6958404091930278e-07, 8.099464905388083e-08,
    -1.9111168485973655e-08, 2.3928620439808118e-12, 2.0620131815488797e-09,
    -0.0008618882909167117, 0.0007840392217200666, -0.0002990724803031902, -1.4638452578843418e-06,
    6.641498215465122e-05, -3.968365047179435e-05, 1.1375726970678419e-05, 2.507497226237533e-10,
    -1.6954149536558305e-06, 8.907507532205309e-07, -2.292934834000805e-07, 2.956794137544049e-11,
    2.8865829742708783e-08, -1.4189739437803219e-08, 3.4463580499464896e-09,
    -0.00033679855336635813, -6.972813758365858e-05, 0.0002772753244959392, -0.00019932570516188847,
    6.797780477937208e-05, 1.419062920643967e-07, -1.3594048189768693e-05, 8.018470256334202e-06,
    -2.291481176508095e-06, -3.252473551298454e-10, 3.4652846491085265e-07, -1.8447187191171344e-07,
    4.8240967037894184e-08, -1.7989466721743514e-14, -6.306194500013523e-09,
    0.0005313079364639922, -0.0005921664373536939, 0.0002708782096718045, 7.902353232660328e-07,
    -8.153969367561969e-05, 5.61168275310625e-05, -1.8329116582843375e-05, -3.0796134506033047e-09,
    3.465155368803609e-06, -2.0291327396058603e-06, 5.788792863149004e-07, 2.338630673826657e-13,
    -8.828600746330484e-08, 4.7435958880408125e-08, -1.2545415020710382e-08,
    0.00034436760689237765, 5.171790908260592e-05, -0.00033493161081142234, 0.0002812695154763237,
    -0.00010976582244684731, -1.2741009095484485e-07, 2.7744451511563645e-05,
    -1.8263488805711332e-05, 5.7876949497350525e-06, 4.93875893393627e-10, -1.0595367014026043e-06,
    6.166714376110408e-07, -1.7562973359060463e-07, -1.297447328701544e-12, 2.695423606288966e-08,
    -0.0006526239185953094, 0.0008394987206720873, -0.000438297098541721, -6.969091458420552e-07,
    0.00016644846642067547, -0.00012783517679769218, 4.629953263691304e-05, 4.557909867922708e-09,
    -1.0595271125805195e-05, 6.783342904865167e-06, -2.1075476666258803e-06,
    -1.7213731432817144e-11, 3.773587741611098e-07, -2.1867506700122867e-07, 6.220228804018927e-08,
    -0.0005967612901927463, -7.204895416020011e-05, 0.0006782308837667328, -0.0006401475260262758,
    0.00027750107634328704, 1.819700838046515e-07, -8.479507117068503e-05, 6.105192082501531e-05,
    -2.1073920183404862e-05, -8.858589014125599e-10, 4.5284535953805374e-06,
    -2.8427815022504407e-06, 8.708234177864641e-07, 3.6886101871706966e-12, -1.534469519070206e-07,
)  # fmt: skip
"""Row k holds d(k, 0), d(k, 1), ... of DLMF 8.12.12; numbers and layout are SciPy's (igam.h, of
which eager has a copy), cut to what float64 needs for a > 20 and |x - a| < 0.4*a."""

_ATANH = tuple(1.0 / (2 * k + 3) for k in reversed(range(14)))
"""atanh(t) = t + t**3 * (... + t**2/5 + 1/3)."""

_STIRLING = (1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12)
"""log gamma(a) less its leading terms, in falling powers of 1/a**2, times a (DLMF 5.11.1)."""

_RECIPROCAL_GAMMA = (
    -2.29874568443537e-19, 1.4123806553180319e-18, 1.1866922547516004e-18, -1.1812593016974588e-16,
    1.2267786282382608e-15, -5.348122539423018e-15, -2.0583260535665066e-14, 5.100370287454476e-13,
    -3.696805618642206e-12, 7.782263439905071e-12, 1.0434267116911005e-10, -1.18127457048702e-09,
    5.002007644469223e-09, 6.116095104481416e-09, -2.056338416977607e-07, 1.133027231981696e-06,
    -1.2504934821426706e-06, -2.013485478078824e-05, 0.0001280502823881162, -0.00021524167411495098,
    -0.0011651675918590652, 0.0072189432466631, -0.009621971527876973, -0.04219773455554433,
    0.16653861138229148, -0.04200263503409524, -0.6558780715202539, 0.5772156649015329,
)  # fmt: skip
"""(1/gamma(1 + a) - 1) / a in falling powers of a (DLMF 5.7.1); for 0 <= a <= 1.25."""

_SERIES_END = 1.25


def igamma(a: float, x: float) -> float:
    """P(a, x), the lower function: NaN where a or x is negative, or both are 0 or infinite."""
    edge = _edge(a, x)
    if edge != _INTERIOR:
        return edge
    if a > _LARGE and fabs(x - a) < _NEAR * a:
        return _uniform(a, x, -1.0)
    if x > _FRACTION and x > a:
        return 1.0 - _fraction(a, x)
    return _series(a, x)


def igammac(a: float, x: float) -> float:
    """Q(a, x), the upper function: NaN where a or x is negative, or both are 0 or infinite."""
    edge = _edge(a, x)
    if edge != _INTERIOR:
        return 1.0 - edge
    if a > _LARGE and fabs(x - a) < _NEAR * a:
        return _uniform(a, x, 1.0)
    if x > _FRACTION and x > a:
        return _fraction(a, x)
    # Where P is below 2/3 or so, 1 - P is good; the curve is SciPy's.
    if x <= _FRACTION and a <= _SERIES_END and a * log(x) >= -0.4:
        return _small(a, x)
    return 1.0 - _series(a, x)


def _edge(a: float, x: float) -> float:
    """P where a or x is 0, infinite, NaN or out of the domain, as eager has it; else _INTERIOR."""
    if a < 0.0 or x < 0.0:
        return nan
    if a == inf and x == inf:
        return nan
    if a == 0.0:
        return 1.0 if x > 0.0 else nan
    if x == 0.0 or a == inf:
        return 0.0
    if x == inf:
        return 1.0
    return nan if isnan(a) or isnan(x) else _INTERIOR


def _uniform(a: float, x: float, side: float) -> float:
    """Q for side 1, P for side -1 (DLMF 8.12.3, 8.12.4)."""
    distance = (x - a) / a
    half_square = _excess(distance)
    eta = copysign(sqrt(2.0 * half_square), distance)
    total = 0.0
    for k in range(_ROWS):
        row = 0.0
        for n in range(_WIDTH):
            row = row * eta + _TEMME[(_ROWS - k) * _WIDTH - 1 - n]
        total = total / a + row
    exponent = a * half_square
    correction = exp(-exponent) * total / (sqrt(2.0 * pi) * sqrt(a))
    return 0.5 * erfc(side * copysign(sqrt(exponent), distance)) + side * correction


def _excess(s: float) -> float:
    """The difference s - log(1 + s) for |s| < 0.4: log(1 + s) = 2*atanh(t), and s - 2*t = s*t."""
    t = s / (2.0 + s)
    return t * (s - 2.0 * t * t * polynomial(t * t, _ATANH))


def _series(a: float, x: float) -> float:
    """P as the density times the sum of x**n / ((a + 1) * ... * (a + n))."""
    term = 1.0
    total = 1.0
    for n in range(1, _TERMS):
        term = term * (x / (a + float(n)))
        total = total + term
        if term < _EPSILON * total:
            break
    value = _density(a, x) * total
    return value if value < 1.0 else 1.0  # noqa: FURB136  no `min` in routines


def _fraction(a: float, x: float) -> float:
    """Q; the number of terms that float64 needs was measured, so the fraction starts at its end."""
    density = _density(a, x)
    if density == 0.0:
        return 0.0
    n = 20 + int(110.0 / x)
    tail = 0.0
    while n > 0:
        i = float(n)
        tail = i * (i - a) / ((x - a) + (2.0 * i + 1.0) - tail)
        n = n - 1
    return density * a / ((x - a) + 1.0 - tail)


def _small(a: float, x: float) -> float:
    """Q for small x and a: the leading 1 of the series is taken away before anything is added."""
    power = 1.0
    total = 0.0
    for n in range(1, _TERMS):
        i = float(n)
        power = -power * x / i
        term = power / (a + i)
        total = total + term
        if fabs(term) < _EPSILON * fabs(total):
            break
    exponent = a * log(x) + log1p(a * polynomial(a, _RECIPROCAL_GAMMA))
    return -(expm1(exponent) + a * exp(exponent) * total)


def _density(a: float, x: float) -> float:
    """x**a * e**-x / gamma(a + 1)."""
    if a > _LARGE:
        distance = (x - a) / a
        exponent = a * (distance - (log1p(distance) if x > 0.25 * a else log(x / a)))
        square = 1.0 / (a * a)
        return exp(-exponent - polynomial(square, _STIRLING) / a) / (sqrt(2.0 * pi) * sqrt(a))
    if x > _VANISHED:
        return 0.0
    # In halves, because e**-x is subnormal where the product is not.
    half = exp(-0.5 * x)
    density = pow(x, a) * half * half
    while a > _SERIES_END:
        density = density / a
        a = a - 1.0
    return density * (1.0 + a * polynomial(a, _RECIPROCAL_GAMMA))
