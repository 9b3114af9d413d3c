"""Relatives of erf, Bessel functions and Airy's, against ball arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pytest
import torch

from fusekit.routines import airy, bessel, error, modified_bessel
from fusekit.routines.parser import parse

flint = pytest.importorskip("flint", reason="python-flint is not installed (the extra `dev`)")
arb = flint.arb

INF = math.inf
HUGE, LARGE = 1e307, 1e100
"""Ends of what is drawn; reducing an argument beyond LARGE takes the reference long."""


def erfcx(x: arb) -> arb:
    return (x * x).exp() * x.erfc()


def log_ndtr(x: arb) -> arb:
    tail = (abs(x) / arb(2).sqrt()).erfc() / 2
    return (-tail).log1p() if x > 0 else tail.log()


def ndtri(p: arb) -> arb:
    return -(2 * p).erfcinv() * arb(2).sqrt()


class Case(NamedTuple):
    """One function.

    Attributes:
        routine: what is tested.
        eager: its counterpart.
        reference: the same in balls.
        low, high: where inputs are drawn, by size and evenly.
        places: breakpoints, poles and zeros: inputs cluster there.
        bound: of the error in float64 ulp, just above the worst one measured.
    """

    routine: Callable[[float], float]
    eager: Callable[[torch.Tensor], torch.Tensor]
    reference: Callable[[arb], arb]
    low: float
    high: float
    places: tuple[float, ...]
    bound: float


special = torch.special
J0_ZEROS = (2.404825557695773, 5.520078110286311, 8.653727912911013, 11.791534439014281)
J1_ZEROS = (3.8317059702075125, 7.015586669815619, 10.173468135062722)
Y0_ZEROS = (0.8935769662791675, 3.957678419314858, 7.086051060301773)
Y1_ZEROS = (2.197141326031017, 5.429681040794135, 8.596005868331169)
AI_ZEROS = (-2.338107410459767, -4.08794944413097, -5.520559828095551, -6.786708090071759)

CASES = {
    "erfinv": Case(
        error.erfinv, torch.erfinv, arb.erfinv, -1.0, 1.0, (0.85, -0.85, 0.5, 1.0, -1.0), 1.7
    ),
    "ndtri": Case(
        error.ndtri, special.ndtri, ndtri, 0.0, 1.0, (0.5, 0.25, 0.075, 0.925, 1.0, 1.4e-11), 3
    ),
    "log_ndtr": Case(error.log_ndtr, special.log_ndtr, log_ndtr, -1e5, 40.0, (0.0, 38.0), 5),
    "erfcx": Case(error.erfcx, special.erfcx, erfcx, -26.7, LARGE, (0.0, 4.0, 1e8, -26.6), 4.5),
    "i0": Case(
        modified_bessel.i0,
        special.i0,
        lambda x: x.bessel_i(0),
        -715.0,
        715.0,
        (8.0, -8.0, 713.98),
        4,
    ),
    "i0e": Case(
        modified_bessel.i0e,
        special.i0e,
        lambda x: (-abs(x)).exp() * x.bessel_i(0),
        -HUGE,
        HUGE,
        (8.0, -8.0),
        4,
    ),
    "i1": Case(
        modified_bessel.i1,
        special.i1,
        lambda x: x.bessel_i(1),
        -715.0,
        715.0,
        (8.0, -8.0, 713.98),
        3.5,
    ),
    "i1e": Case(
        modified_bessel.i1e,
        special.i1e,
        lambda x: (-abs(x)).exp() * x.bessel_i(1),
        -HUGE,
        HUGE,
        (8.0, -8.0),
        3.5,
    ),
    "k0": Case(
        modified_bessel.k0,
        special.modified_bessel_k0,
        lambda x: x.bessel_k(0),
        0.0,
        750.0,
        (2.0, 1e-9, 708.0),
        4.5,
    ),
    "k0e": Case(
        modified_bessel.k0e,
        special.scaled_modified_bessel_k0,
        lambda x: x.exp() * x.bessel_k(0),
        0.0,
        HUGE,
        (2.0, 1e-9),
        5,
    ),
    "k1": Case(
        modified_bessel.k1,
        special.modified_bessel_k1,
        lambda x: x.bessel_k(1),
        0.0,
        750.0,
        (2.0, 1e-9, 708.0),
        4.5,
    ),
    "k1e": Case(
        modified_bessel.k1e,
        special.scaled_modified_bessel_k1,
        lambda x: x.exp() * x.bessel_k(1),
        0.0,
        HUGE,
        (2.0, 1e-9),
        5,
    ),
    "bessel_j0": Case(
        bessel.bessel_j0,
        special.bessel_j0,
        lambda x: x.bessel_j(0),
        -LARGE,
        LARGE,
        (5.0, *J0_ZEROS),
        6.5,
    ),
    "bessel_j1": Case(
        bessel.bessel_j1,
        special.bessel_j1,
        lambda x: x.bessel_j(1),
        -LARGE,
        LARGE,
        (5.0, *J1_ZEROS),
        6,
    ),
    "bessel_y0": Case(
        bessel.bessel_y0,
        special.bessel_y0,
        lambda x: x.bessel_y(0),
        0.0,
        LARGE,
        (2.5, 5.0, *Y0_ZEROS),
        6,
    ),
    "bessel_y1": Case(
        bessel.bessel_y1,
        special.bessel_y1,
        lambda x: x.bessel_y(1),
        0.0,
        LARGE,
        (5.0, *Y1_ZEROS),
        7,
    ),
    "spherical_bessel_j0": Case(
        bessel.spherical_bessel_j0,
        special.spherical_bessel_j0,
        lambda x: x.sin() / x,
        -LARGE,
        LARGE,
        (0.5, math.pi),
        1.5,
    ),
    "airy_ai": Case(
        airy.airy_ai, special.airy_ai, arb.airy_ai, -1e12, 107.5, (-5.0, 2.5, 2.09, *AI_ZEROS), 6
    ),
}


def inputs(case: Case, dtype: type[np.floating]) -> list[float]:
    """Even in size and evenly spread, and in clusters; the same in every run."""
    random = np.random.default_rng(0)
    drawn = [np.array(case.places)]
    for sign, end in ((1.0, case.high), (-1.0, -case.low)):
        if end > 0.0:
            sizes = 10.0 ** random.uniform(-320.0, math.log10(end), 150)
            common = 10.0 ** random.uniform(-6.0, min(math.log10(end), 8.0), 250)
            drawn += [sign * sizes, sign * common, sign * random.uniform(0.0, min(end, 40.0), 500)]
            drawn += [sign * random.uniform(0.0, min(end, 8.0), 300)]
    for place in case.places:
        steps = np.arange(-8.0, 9.0) * np.spacing(place)
        distances = 10.0 ** random.uniform(-14.0, -1.0, 40) * random.choice([-1.0, 1.0], 40)
        drawn += [place + steps, place + distances]
    with np.errstate(over="ignore", under="ignore"):
        everything = np.unique(np.concatenate(drawn).astype(dtype).astype(np.float64))
    inside = (everything >= case.low) & (everything <= case.high) & (everything != 0.0)
    return everything[inside].tolist()


def exactly(case: Case, x: float) -> arb:
    """A ball around the right value, small against it."""
    for precision in (120, 240, 480, 960):
        flint.ctx.prec = precision
        ball = case.reference(arb(x))
        if ball.rel_accuracy_bits() >= 70:
            return ball
    raise AssertionError(f"the reference does not reach the accuracy at {x!r}")


def call(case: Case, x: float) -> np.float64:
    with np.errstate(all="ignore"):
        return np.float64(case.routine(np.float64(x)))


def ulps(result: np.floating, exact: arb, floor: float = 0.0) -> float:
    """The error in units of the right value's last place, or in those of `floor` if it is less."""
    dtype = type(result)
    with np.errstate(over="ignore"):
        rounded = abs(dtype(float(exact)))
    if not (np.isfinite(rounded) and np.isfinite(result)):
        return 0.0 if result == dtype(float(exact)) else INF
    unit = np.spacing(max(rounded, dtype(floor)))
    return abs(float((arb(float(result)) - exact) / arb(float(unit))))


def floor_of(name: str, x: float) -> float:
    """1/16 of the amplitude of a wave beyond its first zeros; 0 elsewhere."""
    if name.startswith("bessel_") and abs(x) > 5.0:
        return math.sqrt(2.0 / (math.pi * abs(x))) / 16.0
    if name == "airy_ai" and x < -5.0:
        return 0.56 / abs(x) ** 0.25 / 16.0
    return 0.0


@pytest.mark.parametrize("name", CASES)
def test_float64_stays_within_its_bound(name):
    case = CASES[name]
    errors = {
        x: ulps(call(case, x), exactly(case, x), floor_of(name, x))
        for x in inputs(case, np.float64)
    }
    worst = max(errors, key=lambda x: errors[x])
    print(f"{name}: {errors[worst]:.2f} ulp at {worst!r} of {len(errors)}")
    assert errors[worst] <= case.bound, worst


@pytest.mark.parametrize("name", CASES)
def test_float32_is_all_but_correctly_rounded(name):
    case = CASES[name]
    drawn = [x for x in inputs(case, np.float32) if math.isfinite(x)]
    with np.errstate(over="ignore", under="ignore"):
        errors = {x: ulps(np.float32(call(case, x)), exactly(case, x)) for x in drawn}
    worst = max(errors, key=lambda x: errors[x])
    assert errors[worst] <= 0.51, worst


def float32_at_zeros(first: float) -> Iterator[float]:
    """The float32 numbers nearest to first, first + pi ..., where order 0 and 1 are almost 0."""
    for k in (*range(2, 200), *range(1000, 1100), *range(10**6, 10**6 + 100)):
        yield float(np.float32(first + k * math.pi))


@pytest.mark.parametrize(
    ("name", "phase"),
    [("bessel_j0", 0.75), ("bessel_j1", 0.25), ("bessel_y0", 0.25), ("bessel_y1", 0.75)],
)
def test_float32_holds_next_to_far_zeros(name, phase):
    case = CASES[name]
    for x in float32_at_zeros(phase * math.pi):
        assert ulps(np.float32(call(case, x)), exactly(case, x)) <= 0.51, x


UNLIKE_EAGER_AT_DENORMALS = ("k0", "k0e", "k1", "k1e")
"""Eager takes the logarithm of x/2, which rounds to 0 at the smallest x."""


@pytest.mark.parametrize("name", CASES)
def test_special_values_are_those_of_eager_torch(name):
    case = CASES[name]
    points = [0.0, -0.0, INF, -INF, math.nan, 1.0, -1.0, 2.0, -2.0]
    if name not in UNLIKE_EAGER_AT_DENORMALS:
        points += [5e-324, -5e-324]
    expected = case.eager(torch.tensor(points, dtype=torch.float64)).tolist()
    for x, eager in zip(points, expected, strict=True):
        result = float(call(case, x))
        assert math.isnan(result) == math.isnan(eager), x
        if not math.isnan(eager):
            assert math.copysign(1.0, result) == math.copysign(1.0, eager), x
            assert result == pytest.approx(eager, rel=1e-3 if abs(x) < 1.0 else 1e-6), x


@pytest.mark.parametrize("name", CASES)
def test_the_parser_takes_it(name):
    assert parse(CASES[name].routine).parameters
