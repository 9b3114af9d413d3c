"""Routines in each language do what they do in Python."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

from fusekit import routines
from fusekit.codegen.dialects import c_routines, llvm_routines
from fusekit.codegen.dialects.cpp import CppDialect
from fusekit.ir import OPS, DType
from fusekit.routines.parser import parse
from tests.codegen import harness, op_cases
from tests.codegen.test_cpp import compiles
from tests.codegen.test_cpp import run as run_cpp

FLOATING = sorted(name for name in routines.FUNCTIONS if name != "gcd")

RELATIVE = 1e-9
"""NumPy's functions and the C library's differ in the last places, and differences cancel."""


def inputs(op: str) -> list[torch.Tensor]:
    """Special values, and as many of each size."""
    generator = torch.Generator().manual_seed(0)
    special = op_cases.operands(op, DType.F64)
    sizes = 10.0 ** (torch.rand(OPS[op].arity, 200, generator=generator).double() * 5 - 3)
    signs = torch.where(torch.rand(sizes.shape, generator=generator) < 0.3, -1.0, 1.0)
    drawn = list(sizes * signs)
    if "polynomial" in op:
        drawn[1] = (torch.rand(200, generator=generator) * 12).double()
    return [torch.cat(pair) for pair in zip(special, drawn, strict=True)]


@functools.cache
def in_python(op: str) -> tuple[list[torch.Tensor], torch.Tensor]:
    columns = inputs(op)
    with np.errstate(all="ignore"):
        rows = zip(*(column.numpy() for column in columns), strict=True)
        found = [float(routines.FUNCTIONS[op](*row)) for row in rows]
    return columns, torch.tensor(found, dtype=torch.float64)


def check(op: str, found: torch.Tensor) -> None:
    columns, expected = in_python(op)
    size = expected.abs().clamp(min=1e-12 if "polynomial" not in op else 1.0)
    near = (found - expected).abs() <= RELATIVE * size
    same = (found == expected) | (found.isnan() & expected.isnan()) | near
    assert bool(same.all()), [x[~same] for x in (*columns, found, expected)]


@pytest.mark.parametrize("op", FLOATING)
def test_in_llvm(op):
    columns, _ = in_python(op)
    (found,) = harness.run(harness.single(op, DType.F64), *columns)
    check(op, found)


@compiles
@pytest.mark.parametrize("op", FLOATING)
def test_in_cpp(op):
    columns, _ = in_python(op)
    (found,) = run_cpp(harness.single(op, DType.F64), *columns)
    check(op, found)


@pytest.mark.parametrize("op", FLOATING)
def test_float32_is_the_rounded_float64(op):
    columns = [column.float() for column in inputs(op)]
    (narrow,) = harness.run(harness.single(op, DType.F32), *columns)
    (wide,) = harness.run(harness.single(op, DType.F64), *(x.double() for x in columns))
    assert op_cases.same(narrow, wide.float())


def test_what_routines_share_is_written_once():
    names = [routine.name for routine in routines.routine("k1").family()]
    assert len(set(names)) == len(names)
    assert names[-1] == "k1_scalar"


def collatz(x: int, most: int) -> int:
    """Steps down to 1, at most so many."""
    steps = 0
    while x > 1 and steps < most:
        x = x // 2 if x % 2 == 0 else 3 * x + 1
        steps += 1
        if x < 0:
            break
    return steps


def swapped(x: float, y: float) -> float:
    """Names that change at once, a loop, and a condition of several parts."""
    for _ in range(3):
        x, y = y, x + y
    if (x < y and not y < 0.0) or x == 5.0:
        return x / y
    return -x


@pytest.mark.parametrize("function", [collatz, swapped])
def test_statements(function):
    made = parse(function)
    text = "\n".join(
        c_routines.definition(made, CppDialect.types, lambda value, _: repr(value), "static")
    )
    assert text.count("while") == 1
    assert "\n".join(llvm_routines.definition(made)).count("br label %again") == 2


def test_what_is_outside_the_subset_is_refused_with_its_line():
    def lists(x: float) -> float:
        """Not in the subset."""
        return [x][0]

    with pytest.raises(SyntaxError, match="outside the subset") as caught:
        parse(lists)
    assert caught.value.text == "[x][0]"
    assert caught.value.filename == __file__
