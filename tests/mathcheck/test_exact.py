"""Exact values beside mpmath's, and the table against the op table."""

import mpmath
import numpy as np
import pytest

from fusekit import routines, vecmath
from fusekit.errors import FusekitError, UsageError
from fusekit.ir import OPS
from fusekit.mathcheck import exact
from fusekit.mathcheck.contenders import public
from fusekit.mathcheck.exact import Oracle, exact_values
from fusekit.mathcheck.formulas import FORMULAS
from fusekit.mathcheck.functions import FUNCTIONS, named

NAMES = {
    "erfc": mpmath.erfc,
    "lgamma": lambda x: mpmath.log(abs(mpmath.gamma(x))),
    "trigamma": lambda x: mpmath.psi(1, x),
    "digamma": mpmath.digamma,
    "erfcx": lambda x: mpmath.erfc(x) * mpmath.exp(x * x),
    "log_ndtr": lambda x: mpmath.log(mpmath.ncdf(x)),
    "airy_ai": mpmath.airyai,
    "i1e": lambda x: mpmath.besseli(1, x) * mpmath.exp(-abs(x)),
    "spherical_bessel_j0": lambda x: mpmath.sin(x) / x,
}


def test_every_function_that_kernels_approximate_has_a_row():
    approximated = {*vecmath.functions(), *routines.FUNCTIONS, "lgamma"} - {"gcd"}
    assert approximated <= set(FUNCTIONS) == set(FORMULAS)
    assert all(OPS[name].arity == row.arity for name, row in FUNCTIONS.items())
    assert all(callable(public(row)) for row in FUNCTIONS.values())


@pytest.mark.parametrize("name", NAMES)
def test_values_are_those_of_mpmath(name):
    points = np.array([0.3, 1.7, -0.6, 4.1, -3.3, 12.5, 1e-10])
    found = exact_values(name, [points])
    with mpmath.workprec(200):
        for x, value, rest in zip(points, found.value, found.rest, strict=True):
            want = NAMES[name](mpmath.mpf(float(x)))
            got = mpmath.mpf(value) + mpmath.mpf(rest) * mpmath.mpf(float(np.spacing(abs(value))))
            assert abs(got / want - 1) < mpmath.mpf(2) ** -68


def test_what_is_not_a_real_number_or_not_a_float():
    def value(name, *operands):
        found = exact_values(name, [np.array([float(x)]) for x in operands])
        return found.value[0], found.rest[0]

    assert np.isnan(value("log", -1)[0])
    assert np.isnan(value("exp", np.inf)[0])
    assert value("trigamma", -3) == (np.inf, 0)
    assert value("exp", 1e300) == (np.finfo(np.float64).max, 1)
    assert value("exp", -1e300) == (0, 0)
    assert value("lgamma", 2) == (0, 0)
    assert value("exp", -745.5)[0] == 0
    assert 0 < value("exp", -745.5)[1] < 0.5
    assert value("legendre_polynomial_p", 1, 7) == (1, 0)


def test_all_cores_find_what_one_does():
    points = np.linspace(-5, 5, 5000)
    with Oracle() as oracle:
        together = oracle("erf", [points])
    alone = exact_values("erf", [points])
    np.testing.assert_array_equal(together.value, alone.value)
    np.testing.assert_array_equal(together.rest, alone.rest)


def test_names_are_those_of_the_ir_or_of_torch():
    assert [row.name for row in named(["exp", "polygamma", "gammainc"])] == [
        "exp",
        "trigamma",
        "igamma",
    ]
    assert len(named([])) == len(FUNCTIONS)
    with pytest.raises(UsageError, match="no function 'cbrt'"):
        named(["cbrt"])


def test_without_flint_a_sentence_says_what_to_install(monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(exact.importlib, "import_module", absent)
    with pytest.raises(FusekitError, match="pip install python-flint"):
        exact.require_flint()
