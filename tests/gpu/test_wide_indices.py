"""More than 2**31 elements, and few elements further apart than that."""

from __future__ import annotations

import random

import pytest
import torch

import fusekit
from tests.gpu.harness import DEVICE, ENGINE, assert_equal, counted

pytestmark = pytest.mark.gpu

ROWS, COLUMNS = 65_537, 32_771
"""Odd, and just over 2**31 elements in all."""

_WINDOW = 1 << 20


@pytest.fixture(autouse=True)
def _memory():
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    if free < 16 * 2**30:
        pytest.skip(f"needs 16 GiB of GPU memory, {free / 2**30:.1f} are free")
    yield
    torch.cuda.empty_cache()


@pytest.fixture
def large():
    """Random bytes, ROWS x COLUMNS."""
    return torch.randint(0, 256, (ROWS, COLUMNS), dtype=torch.uint8, device=DEVICE)


def combined(x, y):
    return x * 3 + y


def bits_of_index(fused, *args):
    """The index width of the one kernel that runs."""
    (call,) = fused.entry(args, {}).program.kernels
    return call.binding.args.index_bits


def compare(made, function, *args):
    """At both ends, around 2**31 and at random places, row by row; eager sees a few rows only."""
    rows = made.shape[0]
    step = min(max(_WINDOW // made.shape[1], 1), rows)
    starts = {0, rows - step, min(2**31 // made.shape[1], rows - step)}
    starts |= {random.randrange(rows - step + 1) for _ in range(40)}
    for start in sorted(starts):
        some = [x[start : start + step] if x.shape[:1] == (rows,) else x for x in args]
        assert_equal(made[start : start + step], function(*some), start)


def run(function, *args):
    fused = fusekit.fuse(function, engine=ENGINE)
    assert fused.explain(*args).fused
    assert bits_of_index(fused, *args) == 64
    with counted(launches=1):
        return fused(*args)


def test_one_dimension_of_more_than_2_to_the_31_elements(large):
    x = large.flatten()
    assert x.numel() > 2**31
    made = run(lambda x: x * 3 + 1, x)
    count = made.numel()
    starts = {0, count - 999, 2**31 - 500, 2**30 - 500}
    starts |= {random.randrange(count - 999) for _ in range(40)}
    for start in sorted(starts):
        part = slice(start, start + 999)
        assert_equal(made[part], x[part] * 3 + 1, start)
    del made
    shifted = x[1:]  # no vector load may start here
    made = run(lambda x: x * 3 + 1, shifted)
    for start in (0, 2**31 - 500, shifted.numel() - 999):
        part = slice(start, start + 999)
        assert_equal(made[part], shifted[part] * 3 + 1, start)


def test_rows_of_a_broadcast_operand(large):
    row = torch.randint(0, 256, (COLUMNS,), dtype=torch.uint8, device=DEVICE)
    compare(run(combined, large, row), combined, large, row)


def test_an_expanded_operand_alone():
    row = torch.randint(0, 256, (COLUMNS,), dtype=torch.uint8, device=DEVICE)
    tall = torch.randint(0, 256, (ROWS, 1), dtype=torch.uint8, device=DEVICE)
    args = row.expand(ROWS, COLUMNS), tall.expand(ROWS, COLUMNS)
    compare(run(combined, *args), combined, *args)


def test_a_transposed_operand(large):
    other = torch.randint(0, 256, (COLUMNS, ROWS), dtype=torch.uint8, device=DEVICE)
    compare(run(combined, other, large.t()), combined, other, large.t())


def test_every_second_element(large):
    """A span of more than 2**31 over half as many elements."""
    x = large[:, ::2]
    compare(run(lambda x: x * 3 + 1, x), lambda x: x * 3 + 1, x)


@pytest.mark.parametrize(
    ("shape", "strides"),
    [
        ((3, 5), (2**31 + 7, 3)),
        ((2, 64), (2**32 + 64, 1)),
        ((5, 2), (3, 2**32 - 1)),
        ((40, 2), (1, 2**32 + 1)),
    ],
    ids=str,
)
def test_a_few_elements_that_are_far_apart(shape, strides):
    storage = torch.empty(2**32 + 2**31, dtype=torch.uint8, device=DEVICE)
    x = storage[: 2**32 + 2**31].as_strided(shape, strides)
    x.copy_(torch.randint(0, 256, shape, dtype=torch.uint8, device=DEVICE))
    y = torch.randint(0, 256, shape, dtype=torch.uint8, device=DEVICE)
    assert_equal(run(combined, x, y), combined(x, y), shape)
    assert_equal(run(combined, y, x), combined(y, x), shape)


def test_small_and_large_calls_of_one_function(large):
    """The width is part of what a kernel is compiled for, not of the plan before it."""
    fused = fusekit.fuse(combined, engine=ENGINE)
    small, row = large[:5], large[9]
    for x in (small, large, small):
        made = fused(x, row)
        assert bits_of_index(fused, x, row) == (64 if x is large else 32)
        compare(made, combined, x, row)
