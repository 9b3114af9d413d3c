"""Every float32 function within 2 ulp of float64, on a strided subset of all inputs.

The whole of them, and the special functions: fusekit verify-math; results in docs/accuracy.md.
"""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch

from fusekit import vecmath
from fusekit.ir import OPS, DType
from fusekit.vecmath import tabled
from tests.vecmath.evaluate import evaluate, ulps
from tests.vecmath.inputs import pairs, strided

STRIDE = 9973  # a prime: all low bits of the mantissa take their turn
BLOCK = 1 << 16
UNARY = [op for op in vecmath.functions() if OPS[op].arity == 1]
TABLED = sorted(tabled.FUNCTIONS)
BINARY = [op for op in vecmath.functions() if OPS[op].arity == 2]

# Results above this are not wrong, but worse than docs/accuracy.md says.
BOUNDS = {
    "acosh": 1.95,
    "asinh": 1.8,
    "atan2": 1.6,
    "atanh": 1.7,
    "cos": 1.6,
    "cosh": 1.9,
    "erf": 1.45,
    "erfc": 0.6,
    "expm1": 1.6,
    "hypot": 0.51,
    "log1p": 1.5,
    "sigmoid": 1.85,
    "sin": 1.6,
    "sinh": 1.9,
    "tan": 0.52,
}


def worst(op: str, *operands: np.ndarray, tables: bool = False) -> tuple[float, tuple[float, ...]]:
    graph = vecmath.function(op, DType.F32, tables=tables)
    assert graph is not None
    with np.errstate(invalid="ignore"):  # signalling NaN among the bits
        wide = [torch.from_numpy(x.astype(np.float64)) for x in operands]
    error = ulps(evaluate(graph, *operands), getattr(torch, op)(*wide).numpy())
    index = int(np.argmax(error))
    return float(error[index]), tuple(float(x[index]) for x in operands)


@pytest.mark.parametrize(
    ("op", "tables"), [*((op, False) for op in UNARY), *((op, True) for op in TABLED)]
)
def test_unary(op, tables):
    count = (1 << 32) // STRIDE
    starts = range(0, count, BLOCK)
    blocks = (strided(start * STRIDE, BLOCK, STRIDE) for start in starts)
    results = [worst(op, block, tables=tables) for block in blocks]
    assert max(results)[0] <= BOUNDS.get(op, 1.4), max(results)


@pytest.mark.parametrize("op", BINARY)
def test_binary(op):
    results = [worst(op, *pairs(op, BLOCK, seed)) for seed in range(6)]
    assert max(results)[0] <= BOUNDS.get(op, 1.4), max(results)


@pytest.mark.parametrize("op", ["sin", "cos", "tan"])
def test_beside_multiples_of_half_pi(op):
    """Where cancellation is worst, for every binade: the floats next to k * pi/2."""
    with mpmath.workprec(300):
        scales = [mpmath.mpf(2) ** e for e in range(1, 127)]
        multiples = [float(mpmath.nint(s * c) * mpmath.pi / 2) for s in scales for c in (1, 0.7)]
        middle = np.array(multiples, np.float32)
        x = np.concatenate([np.nextafter(middle, np.float32(0)), middle])
        want = np.array([float(getattr(mpmath, op)(mpmath.mpf(float(v)))) for v in x])
    graph = vecmath.function(op, DType.F32)
    assert graph is not None
    assert ulps(evaluate(graph, x), want).max() <= (0.6 if op == "tan" else 1.6)


@pytest.mark.parametrize("op", TABLED)
def test_beside_the_borders_of_intervals(op):
    """Where one polynomial takes over from another, and where the constant 1 does."""
    step, entries = {"erf": (277 / 1024, 16), "tanh": (303 / 1024, 32)}[op]
    borders = (np.arange(entries, dtype=np.float32) + np.float32(0.5)) * np.float32(step)
    bits = borders.view(np.uint32)[:, None] + np.arange(-2000, 2000).astype(np.uint32)
    x = bits.ravel().view(np.float32)
    assert worst(op, np.concatenate([x, -x]), tables=True)[0] <= BOUNDS.get(op, 1.4)


@pytest.mark.parametrize("op", ["sigmoid", "sin", "cos", "log", "log1p"])
def test_beside_what_is_rare(op):
    """Where the formula for usual operands ends."""
    ends = {"sigmoid": 87.0, "sin": 2.0**17, "cos": 2.0**17, "log": 2.0**-126, "log1p": 2.0**125}
    bits = np.array([ends[op]], np.float32).view(np.uint32) + np.arange(-9999, 9999)
    x = bits.astype(np.uint32).view(np.float32)
    assert worst(op, np.concatenate([x, -x]))[0] <= BOUNDS.get(op, 1.4)


@pytest.mark.parametrize(
    ("op", "x"),
    [
        # the float32 nearest to a multiple of pi/2, relatively: Payne-Hanek's hardest argument
        ("cos", 16367173.0 * 2.0**72),
        ("sin", 16367173.0 * 2.0**72),
        ("tan", 16367173.0 * 2.0**72),
    ],
)
def test_hardest_reduction(op, x):
    with mpmath.workprec(400):
        want = float(getattr(mpmath, op)(mpmath.mpf(x)))
    graph = vecmath.function(op, DType.F32)
    assert graph is not None
    got = evaluate(graph, np.array([x], np.float32))
    assert ulps(got, np.array([want]))[0] <= 0.6
