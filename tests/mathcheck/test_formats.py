"""The distance in ulp and the rounding, beside mpmath's numbers."""

import mpmath
import numpy as np
import pytest
import torch

from fusekit.mathcheck.formats import FORMATS, Exact, errors, rounded
from fusekit.mathcheck.screening import distance

INF, NAN = np.inf, np.nan
TINY = {"float32": 2.0**-149, "float64": 2.0**-1074, "float16": 2.0**-24, "bfloat16": 2.0**-133}


def exact(value) -> Exact:
    """A number of mpmath as float64 and rest."""
    nearest = float(value)
    rest = (mpmath.mpf(value) - mpmath.mpf(nearest)) / mpmath.mpf(float(np.spacing(abs(nearest))))
    return Exact(np.array([nearest]), np.array([float(rest)]))


def error(name, got, value) -> float:
    return float(errors(FORMATS[name], np.array([float(got)]), exact(value))[0])


def by_definition(name, got, value) -> float:
    form = FORMATS[name]
    place = max(int(mpmath.floor(mpmath.log(abs(value), 2))), form.low)
    return float(abs(mpmath.mpf(got) - value) / mpmath.mpf(2) ** (place - form.digits + 1))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("scale", [1, 1e-3, 30000])
def test_errors_are_those_of_the_definition(name, scale):
    with mpmath.workprec(400):
        for text in ("1.1", "1.9999999999999999999", "1.0000000000000000001", "-1.4", "0.99"):
            value = mpmath.mpf(text) * scale
            got = float(torch.tensor(float(value)).double().to(getattr(torch, name)))
            assert error(name, got, value) == pytest.approx(by_definition(name, got, value), 1e-9)
            off = got * (1 + 2.0 ** (2 - FORMATS[name].digits))
            assert error(name, off, value) == pytest.approx(by_definition(name, off, value), 1e-9)


@pytest.mark.parametrize("name", FORMATS)
def test_denormals_have_the_spacing_of_denormals(name):
    with mpmath.workprec(2400):
        tiny = mpmath.mpf(TINY[name])
        assert error(name, TINY[name], tiny * 1.25) == pytest.approx(0.25)
        assert error(name, 0.0, tiny * 3) == 3
        assert error(name, 0.0, tiny / 4) == pytest.approx(0.25)


def test_just_below_a_power_of_two_the_smaller_ulp_counts():
    with mpmath.workprec(400):
        below = 1 - mpmath.mpf(2) ** -60
        assert error("float64", 1.0 + 2.0**-52, below) == pytest.approx(2, abs=0.01)
        assert error("float64", 1.0 + 2.0**-52, mpmath.mpf(1)) == 1


def test_an_infinity_is_where_rounding_begins_to_give_it():
    largest = float(np.finfo(np.float32).max)
    assert error("float32", INF, largest) == 1
    assert error("float32", largest, 1e300) == 1
    assert error("float32", INF, 1e300) == 0
    assert error("float32", INF, 1e38) == INF
    assert error("float32", -INF, 1e300) == INF
    overflow = Exact(np.array([np.finfo(np.float64).max]), np.array([1.0]))
    got = np.array([INF, np.finfo(np.float64).max, 1.0])
    assert errors(FORMATS["float64"], got, overflow).tolist()[:2] == [0, 1]


@pytest.mark.parametrize("name", FORMATS)
def test_special_values_are_exact_or_infinitely_wrong(name):
    def one(got, value, rest=0.0):
        truth = Exact(np.array([value]), np.array([rest]))
        return float(errors(FORMATS[name], np.array([got]), truth)[0])

    assert one(NAN, NAN) == one(INF, INF) == one(0.0, 0.0) == one(-0.0, -0.0) == 0
    assert one(NAN, 1.0) == one(1.0, NAN) == one(INF, NAN) == one(INF, -INF) == INF
    assert one(0.0, -0.0) == one(-0.0, 0.0) == INF
    assert one(-0.0, 0.0, 0.25) == one(0.0, 0.0, -0.25) == INF
    assert one(0.0, 0.0, 0.25) < 1


def test_a_convention_decides_where_there_is_no_real_number():
    truth = Exact(np.array([NAN, NAN, 0.0, 0.0, 2.0]), np.zeros(5))
    convention = np.array([INF, NAN, -0.0, 1e-17, 3.0])
    found = truth.following(convention, np.array([1.0, 1.0, 0.0, -0.0, 2.0]))
    assert repr(found.value.tolist()) == "[inf, nan, -0.0, -0.0, 2.0]"


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32"])
def test_rounding_agrees_with_torch_and_looks_at_the_rest(name):
    form, dtype = FORMATS[name], getattr(torch, name)
    random = np.random.default_rng(1)
    values = random.normal(size=4000).astype(np.float32) * np.exp2(random.integers(-30, 20, 4000))
    whole = Exact(values.astype(np.float64), np.zeros(4000))
    if name != "float32":
        values = values.astype(np.float32)
        want = torch.from_numpy(values).to(dtype).double().numpy()
        np.testing.assert_array_equal(rounded(form, whole), want)
    step = 2.0 ** (1 - form.digits)
    ties = Exact(np.full(3, 1 + step / 2), np.array([-0.25, 0.0, 0.25]))
    assert rounded(form, ties).tolist() == [1.0, 1.0, 1 + step]


def test_the_screening_distance_is_the_same():
    random = np.random.default_rng(2)
    want = random.normal(size=3000) * np.exp2(random.integers(-160, 135, 3000))
    with np.errstate(over="ignore"):
        got = (want * (1 + random.normal(size=3000) * 1e-7)).astype(np.float32)
    special = [0.0, -0.0, INF, -INF, NAN, 1.0, 1e-45, -1e-45, 3.4e38, 1e300]
    with np.errstate(over="ignore"):
        got = np.concatenate([got, np.repeat(np.array(special, np.float32), len(special))])
    want = np.concatenate([want, np.tile(special, len(special))])
    screened = distance(torch.from_numpy(got), torch.from_numpy(want)).numpy()
    judged = errors(FORMATS["float32"], got.astype(float), Exact(want, np.zeros(len(want))))
    near = np.isinf(judged) | (judged < 1e30)
    np.testing.assert_allclose(screened[near], judged[near], rtol=1e-6)
