"""Zeros, infinities, NaN, denormals, domain errors and poles: exactly what torch gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fusekit import vecmath
from fusekit.ir import OPS, DType
from fusekit.vecmath import tabled
from tests.vecmath.evaluate import evaluate, ulps

TINY, NORMAL, LARGEST = 2.0**-149, 2.0**-126, float(np.finfo(np.float32).max)

POSITIVE = [
    *(0.0, TINY, 3 * TINY, NORMAL - TINY, NORMAL, 1e-30, 2.0**-26, 2.0**-12, 1e-3),
    *(0.25, 0.5, 0.75, 1 - 2.0**-24, 1.0, 1 + 2.0**-23, 1.5, 2.0, 3.0, 4.0, 9.0, 10.0, 10.05, 10.1),
    *(17.0, 88.0, 88.72283, 88.72284, 89.0, 89.41598, 89.41599, 90.0, 103.97, 103.98, 104.0),
    *(127.0, 127.99999, 128.0, 129.0, 149.0, 149.5, 150.0, 151.0, 1000.0),
    *(2.0**23 - 0.5, 2.0**23 + 1, 2.0**24 - 1, 2.0**24, 2.0**25, 2.0**31, 2.0**63),
    *(1e10, 1e20, 2.0**127, LARGEST, math.inf, math.nan),
]
VALUES = np.array(POSITIVE + [-v for v in POSITIVE], np.float32)

# Where eager's float32 differs from its own float64 in more than rounding. Which of these appear
# depends on the processor's vector length.
EAGER_WRONG = {
    "cosh": "inf from 89 on, where the result is still finite",
    "erfc": "0 where the result is denormal",
    "log1p": "0 for the smallest denormals",
    "sigmoid": "0 where the result is denormal",
    "sinh": "inf from 89 on, where the result is still finite",
}


def operands(op: str) -> tuple[np.ndarray, ...]:
    if OPS[op].arity == 1:
        return (VALUES,)
    x, y = np.meshgrid(VALUES, VALUES)
    return x.ravel(), y.ravel()


def ours(op: str, *values: np.ndarray, tables: bool = False) -> np.ndarray:
    graph = vecmath.function(op, DType.F32, tables=tables)
    assert graph is not None
    return evaluate(graph, *values)


def eager(op: str, dtype: type, *values: np.ndarray) -> np.ndarray:
    return getattr(torch, op)(*(torch.from_numpy(v.astype(dtype)) for v in values)).numpy()


def kinds(x: np.ndarray) -> list[str]:
    """Per element, all there is to say about a special value; "finite" for another."""
    signs = np.where(np.signbit(x), "-", "+")
    names = np.select([np.isnan(x), np.isinf(x), x == 0], ["nan", "inf", "zero"], "finite")
    return ["nan" if n == "nan" else s + n for s, n in zip(signs, names, strict=True)]


def differences(got: np.ndarray, want: np.ndarray, values: tuple[np.ndarray, ...]) -> list[str]:
    return [
        f"{[float(v[i]) for v in values]}: {got[i]}, not {want[i]}"
        for i, (a, b) in enumerate(zip(kinds(got), kinds(want), strict=True))
        if a != b
    ]


@pytest.mark.parametrize("op", vecmath.functions())
def test_special_results_are_those_of_float64(op):
    values = operands(op)
    with np.errstate(over="ignore"):
        want = eager(op, np.float64, *values).astype(np.float32)
    assert differences(ours(op, *values), want, values) == []


@pytest.mark.parametrize("op", [op for op in vecmath.functions() if op not in EAGER_WRONG])
def test_special_results_are_those_of_eager(op):
    values = operands(op)
    assert differences(ours(op, *values), eager(op, np.float32, *values), values) == []


@pytest.mark.parametrize("op", tabled.FUNCTIONS)
def test_special_results_by_tables(op):
    got = ours(op, VALUES, tables=True)
    assert differences(got, eager(op, np.float32, VALUES), (VALUES,)) == []
    assert ulps(got, eager(op, np.float64, VALUES)).max() <= 1.4
    assert (got[np.abs(VALUES) >= 17.0] == np.sign(VALUES[np.abs(VALUES) >= 17.0])).all()


@pytest.mark.parametrize("op", vecmath.functions())
def test_the_values_around_them(op):
    values = operands(op)
    assert ulps(ours(op, *values), eager(op, np.float64, *values)).max() <= 2


@pytest.mark.parametrize(
    "op", ["asin", "asinh", "atan", "atanh", "erf", "expm1", "log1p", "sin", "sinh", "tan", "tanh"]
)
@pytest.mark.parametrize("tables", [False, True])
def test_denormals_come_out_as_denormals(op, tables):
    x = np.arange(-2000, 2000, dtype=np.float32) * np.float32(TINY)
    want = eager(op, np.float64, x).astype(np.float32)
    assert ours(op, x, tables=tables).tolist() == want.tolist()


def test_whole_powers_of_two_are_exact():
    k = np.arange(-149, 128, dtype=np.float32)
    powers = np.exp2(k.astype(np.float64)).astype(np.float32)
    assert ours("exp2", k).tolist() == powers.tolist()
    assert ours("pow", np.full_like(k, 2), k).tolist() == powers.tolist()
    assert ours("log2", powers).tolist() == k.tolist()


@pytest.mark.parametrize(
    ("op", "x", "result"),
    [
        *(("exp", 0.0, 1.0), ("exp", 88.72284, math.inf), ("exp", -104.0, 0.0)),
        *(("expm1", -20.0, -1.0), ("sigmoid", 0.0, 0.5), ("sigmoid", -math.inf, 0.0)),
        *(("log", 1.0, 0.0), ("log10", 1.0, 0.0), ("log1p", -1.0, -math.inf)),
        *(("cos", 0.0, 1.0), ("cosh", 0.0, 1.0), ("acos", 1.0, 0.0), ("acosh", 1.0, 0.0)),
        *(("erf", 4.0, 1.0), ("erfc", 0.0, 1.0), ("erfc", -5.0, 2.0), ("erfc", 10.1, 0.0)),
        *(("tanh", 10.0, 1.0), ("tanh", -math.inf, -1.0), ("atanh", 1.0, math.inf)),
    ],
)
def test_exact_result(op, x, result):
    assert ours(op, np.array([x], np.float32)).tolist() == [result]
