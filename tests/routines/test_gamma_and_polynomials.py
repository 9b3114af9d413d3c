"""The gamma family, Hurwitz's zeta, orthogonal polynomials and gcd, against ball arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusekit.routines import gamma, incomplete_gamma, integers, polynomials, zeta
from fusekit.routines.parser import parse

flint = pytest.importorskip("flint", reason="python-flint is not installed (the extra `dev`)")
arb = flint.arb

special = torch.special
INF, NAN = math.inf, math.nan
MOST_NEGATIVE = -(2**63)
COUNT = 2000

Points = list[tuple[float, ...]]


@pytest.fixture(autouse=True)
def precision():
    before = flint.ctx.prec
    flint.ctx.prec = 200
    with np.errstate(all="ignore"):
        yield
    flint.ctx.prec = before


def by_size(rng: np.random.Generator, low: float, high: float, count: int) -> np.ndarray:
    """Positive numbers of all magnitudes in between."""
    return np.exp(rng.uniform(math.log(low), math.log(high), count))


def beside(rng: np.random.Generator, places: tuple[float, ...], count: int) -> np.ndarray:
    """At distances of all magnitudes, on both sides."""
    return rng.choice(places, count) + rng.choice((-1.0, 1.0), count) * by_size(
        rng, 1e-12, 0.3, count
    )


def line(low: float, high: float, *places: float) -> Callable[[np.random.Generator, int], Points]:
    """One argument: by size on either side of 0, evenly near it, and beside what is special."""

    def draw(rng: np.random.Generator, count: int) -> Points:
        third = count // 3
        positive = by_size(rng, 1e-30, high, third)
        signed = (
            np.where(rng.random(third) < 0.5, positive, -np.minimum(positive, -low))
            if low < 0
            else positive
        )
        middle = rng.uniform(max(low, -30), min(high, 30), third)
        x = np.concatenate([signed, middle, beside(rng, places, count - 2 * third)])
        return [(float(v),) for v in x if v != math.floor(v) or v > 0]

    return draw


def zeta_inputs(rng: np.random.Generator, count: int) -> Points:
    half = count // 2
    x = 1 + by_size(rng, 1e-10, 1e4, half)
    q = np.where(rng.random(half) < 0.5, by_size(rng, 1e-3, 1e12, half), rng.uniform(0, 30, half))
    order = np.floor(by_size(rng, 2, 30, count - half))
    negative = -by_size(rng, 1e-3, 200, count - half)
    points = zip(np.concatenate([x, order]), np.concatenate([q, negative]), strict=True)
    return [(float(a), float(b)) for a, b in points]


def gamma_inputs(rng: np.random.Generator, count: int) -> Points:
    third = count // 3
    a = np.concatenate(
        [
            by_size(rng, 1e-8, 1e4, third),
            rng.uniform(0, 25, third),
            by_size(rng, 15, 1e4, count - 2 * third),
        ]
    )
    ratio = np.where(
        rng.random(count) < 0.5, by_size(rng, 1e-2, 1e2, count), rng.uniform(0.5, 1.6, count)
    )
    x = np.where(rng.random(count) < 0.2, by_size(rng, 1e-8, 5, count), a * ratio)
    return [(float(v), float(w)) for v, w in zip(a, x, strict=True)]


def degrees(low: float, high: float, most: int) -> Callable[[np.random.Generator, int], Points]:
    """A variable evenly between, and beside the interval's ends; a degree by size."""

    def draw(rng: np.random.Generator, count: int) -> Points:
        half = count // 2
        x = np.concatenate(
            [rng.uniform(low, high, half), beside(rng, (-1.0, 0.0, 1.0, 0.5), count - half)]
        )
        n = np.floor(by_size(rng, 1, most, count)) - (rng.random(count) < 0.1)
        return [(float(v), float(k)) for v, k in zip(x, n, strict=True)]

    return draw


def trigamma_reference(x: arb) -> arb:
    if x > 0:
        return arb(2).zeta(x)
    return (arb.pi() / arb.sin_pi(x)) ** 2 - arb(2).zeta(1 - x)


def zeta_reference(x: arb, q: arb) -> arb:
    total, shift = arb(0), 0
    while q + shift < 0:
        total += (q + shift) ** -int(float(x))
        shift += 1
    return total + x.zeta(q + shift)


def chebyshev(kind: str, shifted: bool) -> Callable[[arb, arb], arb]:
    def value(x: arb, degree: arb) -> arb:
        n, y = int(float(degree)), 2 * x - 1 if shifted else x
        if kind == "t":
            return y.chebyshev_t(n)
        last, before = y.chebyshev_u(n), y.chebyshev_u(n - 1) if n else arb(0)
        return {"u": last, "v": last - before, "w": last + before}[kind]

    return value


def hermite_he(x: arb, degree: arb) -> arb:
    return (x / arb(2).sqrt()).hermite_h(degree) / arb(2) ** (degree / 2)


class Case(NamedTuple):
    """One function.

    Attributes:
        routine: what is tested.
        eager: its counterpart.
        reference: the same in balls.
        inputs: where.
        bound: of the error in ulp, just above the worst one measured.
        amplitude: errors are in float64 ulp of it where the result is less, by cancellation.
    """

    routine: Callable[..., float]
    eager: Callable[..., torch.Tensor]
    reference: Callable[..., arb]
    inputs: Callable[[np.random.Generator, int], Points]
    bound: float
    amplitude: Callable[..., float] = lambda *_: 0.0


def polygamma1(x: torch.Tensor) -> torch.Tensor:
    return torch.polygamma(1, x)


def polynomial(
    name: str,
    reference: Callable[[arb, arb], arb],
    bound: float,
    low: float,
    high: float,
    most: int,
) -> Case:
    routine, eager = getattr(polynomials, name), getattr(special, name)
    return Case(routine, eager, reference, degrees(low, high, most), bound, slope(reference))


def slope(reference: Callable[[arb, arb], arb]) -> Callable[[float, float], float]:
    """What a polynomial changes by while its variable changes by itself, or by 1/2.

    It is the error that rounding the variable makes, which all methods but exact ones have.
    """
    h = 2.0**-60

    def change(x: float, degree: float) -> float:
        difference = reference(arb(x) + h, arb(degree)) - reference(arb(x), arb(degree))
        return abs(float(difference / h)) * max(abs(x), 0.5)

    return change


def log_amplitude(x: float) -> float:
    """Of the two terms that cancel beside negative roots."""
    return 0.0 if x > 0 else max(1.0, math.log(1 - x))


def zeta_amplitude(x: float, q: float) -> float:
    """The largest term: beside it the others may cancel."""
    if q > 0:
        return 0.0
    nearest = min(q - math.floor(q), math.ceil(q) - q)
    return nearest**-x


def igamma_reference(a: arb, x: arb) -> arb:
    return 1 - x.gamma_upper(a, 1)


def igammac_reference(a: arb, x: arb) -> arb:
    return x.gamma_upper(a, 1)


DIGAMMA_INPUTS = line(-1e9, 1e300, 1.4616321449683622, -0.504083, 1, 2, 10, -1, -2)
TRIGAMMA_INPUTS = line(-1e9, 1e100, 0.5, 1, 10, -1, -2)
CHEBYSHEV_BOUNDS = {"t": 3.2, "u": 4, "v": 5, "w": 5}
igamma, igammac = incomplete_gamma.igamma, incomplete_gamma.igammac

CASES = {
    "digamma": Case(gamma.digamma, torch.digamma, arb.digamma, DIGAMMA_INPUTS, 3, log_amplitude),
    "trigamma": Case(gamma.trigamma, polygamma1, trigamma_reference, TRIGAMMA_INPUTS, 5),
    "zeta": Case(zeta.zeta, special.zeta, zeta_reference, zeta_inputs, 5, zeta_amplitude),
    # Where the result is e**-t, t is off by its last bits: t * 2**-53, and t goes up to 700.
    "igamma": Case(igamma, torch.igamma, igamma_reference, gamma_inputs, 1500),
    "igammac": Case(igammac, torch.igammac, igammac_reference, gamma_inputs, 1500),
    "hermite_polynomial_h": polynomial("hermite_polynomial_h", arb.hermite_h, 5, -8, 8, 60),
    "hermite_polynomial_he": polynomial("hermite_polynomial_he", hermite_he, 6, -12, 12, 60),
    "laguerre_polynomial_l": polynomial("laguerre_polynomial_l", arb.laguerre_l, 100, -20, 60, 60),
    "legendre_polynomial_p": polynomial("legendre_polynomial_p", arb.legendre_p, 8, -1.2, 1.2, 100),
}  # fmt: skip

for kind, bound in CHEBYSHEV_BOUNDS.items():
    name = f"chebyshev_polynomial_{kind}"
    CASES[name] = polynomial(name, chebyshev(kind, False), bound, -1.3, 1.3, 300)
    CASES[f"shifted_{name}"] = polynomial(
        f"shifted_{name}", chebyshev(kind, True), bound, -0.15, 1.15, 300
    )


def enclosed(reference: Callable[..., arb], point: tuple[float, ...]) -> arb:
    """The value to 70 bits or more; 0 if it is that, or too near for 3200 bits."""
    value = reference(*map(arb, point))
    while value.rel_accuracy_bits() < 70 and flint.ctx.prec < 3000:
        flint.ctx.prec *= 2
        value = reference(*map(arb, point))
    flint.ctx.prec = 200
    return arb(0) if value.is_finite() and 0 in value else value


def error(got: float, want: arb, unit: float) -> float:
    """In the given unit."""
    return abs(float((arb(got) - want) / arb(unit)))


@pytest.mark.parametrize("name", CASES)
def test_float64(name):
    case = CASES[name]
    errors = []
    for point in case.inputs(np.random.default_rng(1), COUNT):
        want = enclosed(case.reference, point)
        size = max(abs(float(want)), case.amplitude(*point))
        if 1e-290 < size < INF:
            got = float(case.routine(*map(np.float64, point)))
            errors.append((error(got, want, math.ulp(size)), point, got))
    assert len(errors) > 0.8 * COUNT
    assert max(errors)[0] <= case.bound, max(errors)


@pytest.mark.parametrize("name", CASES)
def test_float32_is_rounded_almost_correctly(name):
    """Float32 inputs, beside the zeros within the float64 error."""
    case = CASES[name]
    points = case.inputs(np.random.default_rng(2), COUNT // 5)
    for point in [tuple(float(np.float32(v)) for v in point) for point in points]:
        want = enclosed(case.reference, point)
        size = max(abs(float(want)), 1e-45)
        if size < 3e38 and not any(v <= 0 and v == math.floor(v) for v in point):
            got = np.float32(case.routine(*map(np.float64, point)))
            unit = max(float(np.spacing(np.float32(size))), 32 * math.ulp(case.amplitude(*point)))
            assert error(float(got), want, unit) <= 0.6, point


UNARY_EDGES = (
    -INF,
    -1e17,
    -3.0,
    -2.0,
    -1.5,
    -0.0,
    0.0,
    1e-310,
    0.5,
    1.0,
    2.0,
    10.0,
    1e17,
    INF,
    NAN,
)
SMALL = (-INF, -2.5, -1.0, -0.5, -0.0, 0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 30.0, INF, NAN)
DEGREES = (-INF, -1e300, -1.5, -0.9, 0.0, 0.9, 1.0, 1.9, 2.0, 3.0, 4.0, 5.0, 6.0, 11.0, 60.0, NAN)


def is_same(got: float, want: float) -> bool:
    if math.isnan(want) or math.isnan(got):
        return math.isnan(want) and math.isnan(got)
    if want in (0.0, INF, -INF):
        return got == want and math.copysign(1.0, got) == math.copysign(1.0, want)
    return got == pytest.approx(want, rel=1e-7, abs=1e-13)  # eager's pi in igamma is a float32


def differences(case: Case, points: Points) -> list[object]:
    columns = [torch.tensor(column, dtype=torch.float64) for column in zip(*points, strict=True)]
    wanted = case.eager(*columns).tolist()
    got = [float(case.routine(*map(np.float64, point))) for point in points]
    rows = zip(points, got, wanted, strict=True)
    return [row for row in rows if not is_same(*row[1:])]


@pytest.mark.parametrize("name", ["digamma", "trigamma"])
def test_edges_of_one_argument(name):
    poles = {-1e17, -3.0, -2.0} if name == "trigamma" else set()
    assert not differences(CASES[name], [(x,) for x in UNARY_EDGES if x not in poles])


@pytest.mark.parametrize("name", ["zeta", "igamma", "igammac"])
def test_edges_of_two_arguments(name):
    assert not differences(CASES[name], [(x, y) for x in SMALL for y in SMALL])


@pytest.mark.parametrize("name", [name for name in CASES if "polynomial" in name])
def test_edges_of_polynomials(name):
    """Not NaN by a recurrence, of which eager returns what was in memory."""
    case = CASES[name]
    points = [(x, n) for x in SMALL for n in DEGREES if not (math.isnan(x) and n >= 2)]
    assert not differences(case, points)
    assert all(math.isnan(case.routine(np.float64(NAN), np.float64(n))) for n in (1.0, 2.0, 20.0))


def test_trigamma_is_infinite_at_its_poles():
    """Eager's is (pi / sin(pi*x))**2 with the rounding errors of pi*x, some 1e31."""
    assert all(gamma.trigamma(np.float64(x)) == INF for x in (-1.0, -2.0, -1e300, -0.0))


def test_what_eager_loses():
    # The Euler-Maclaurin formula's 0 * inf; q**-x below the smallest number.
    assert zeta.zeta(np.float64(1e20), np.float64(2.0)) == 0.0
    assert zeta.zeta(np.float64(1.5), np.float64(1e300)) == pytest.approx(2e-150, rel=1e-14)
    # log gamma(1 + a) of a small a is not 0.
    assert igammac(np.float64(1e-20), np.float64(0.5)) == pytest.approx(
        5.597735947761608e-21, rel=1e-15
    )


@pytest.mark.parametrize("q", [-1e15 - 0.5, -(2.0**51) + 0.5, -1e30, -1.7e308])
def test_zeta_takes_no_time_far_below_zero(q):
    want = math.pi**2 if q % 1 else INF
    assert zeta.zeta(np.float64(2.0), np.float64(q)) == pytest.approx(want, rel=1e-12)


def test_recurrences_end_where_they_overflow():
    for name, case in CASES.items():
        if "polynomial" in name:
            assert math.isnan(case.routine(np.float64(1.5e3), np.float64(1e18))), name


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1), st.integers(1, 2**30))
def test_gcd(a, b, factor):
    assert integers.gcd(a, b) == math.gcd(a, b)
    a, b = a // factor // 2 * factor, b // factor // 2 * factor
    assert integers.gcd(a, b) == math.gcd(a, b)


@settings(max_examples=200, deadline=None)
@given(st.integers(-(2**63), 2**63 - 1) | st.integers(-100, 100))
def test_gcd_of_the_most_negative_integer(other):
    for a, b in ((MOST_NEGATIVE, other), (other, MOST_NEGATIVE)):
        found = integers.gcd(*(x if x == MOST_NEGATIVE else abs(x) for x in (a, b)))
        assert found == torch.gcd(torch.tensor(a), torch.tensor(b)).item()


@pytest.mark.parametrize("function", [integers.gcd, *(case.routine for case in CASES.values())])
def test_routines_stay_inside_the_subset(function):
    assert parse(function).name.startswith(function.__name__)
