"""Contiguous and row-wise kernels: every tail, every width, inputs that start anywhere."""

from __future__ import annotations

import itertools

import pytest
import torch

import fusekit
from tests.gpu.harness import (
    ALL_DTYPES,
    ENGINE,
    assert_equal,
    check,
    check_accuracy,
    counted,
    filled,
    mix,
    name_of,
)

pytestmark = pytest.mark.gpu

all_dtypes = pytest.mark.parametrize("dtype", ALL_DTYPES, ids=name_of)
by_size = pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.bfloat16, torch.float32, torch.float64], ids=name_of
)


@all_dtypes
def test_every_tail_of_a_vector(dtype):
    fused = fusekit.fuse(mix, engine=ENGINE)
    for n in (*range(18), *range(4096, 4114), 100_003):
        check(fused, filled((n,), dtype), filled((n,), dtype), what=n)


def test_every_tail_of_vectors_of_mixed_widths():
    def function(a, b, c, d):
        return a + b, c * 2, d > 0, torch.where(a > 1, d, c), b.double()

    fused = fusekit.fuse(function, engine=ENGINE)
    kinds = (torch.uint8, torch.int16, torch.float32, torch.float64)
    for n in (*range(18), *range(1024, 1042)):
        check(fused, *(filled((n,), kind) for kind in kinds), what=n)


@by_size
def test_rows_of_any_width_with_broadcast_operands(dtype):
    def function(x, row, column, single):
        return mix(x, row) + mix(column, single)

    fused = fusekit.fuse(function, engine=ENGINE)
    widths = (1, 2, 3, 4, 5, 7, 8, 12, 15, 16, 17, 24, 31, 32, 33, 48, 255, 256, 1000, 1001)
    for rows, width in itertools.product((1, 3, 64), widths):
        shapes = ((rows, width), (width,), (rows, 1), ())
        check(fused, *(filled(shape, dtype) for shape in shapes), what=(rows, width))


@all_dtypes
@pytest.mark.parametrize("channels", [2, 3, 4])
def test_rows_as_short_as_a_pixel(dtype, channels):
    """Around the ends of vectors and of blocks; operands of channels, of pixels, and strided."""

    def function(x, y, row, every_second):
        return mix(mix(x, row), y), mix(x, every_second)

    fused = fusekit.fuse(function, engine=ENGINE)
    lanes = 16 // dtype.itemsize
    block = 256 * lanes * 3 // channels
    whole = (16, 32, 48, block - 16, block, block + 16, 100_000)
    for pixels in (*whole, 2, 3, 5, block - 1, block + 1, 100_003):
        shape = (pixels, channels)
        row, every_second = filled((channels,), dtype), filled((2 * channels,), dtype)[::2]
        check(fused, filled(shape, dtype), filled(shape, dtype), row, every_second, what=shape)
        shifted = filled((pixels * channels + 1,), dtype)[1:].view(shape)
        check(fused, shifted, filled(shape, dtype), row, every_second, what=shape)
        check(fused, filled((pixels, 1), dtype), filled(shape, dtype), row, row, what=shape)


def test_pixels_in_place():
    """The mean is read before the thread's vectors are stored."""

    def function(x, mean, deviation):
        return x.sub_(mean).div_(deviation)

    fused = fusekit.fuse(function, engine=ENGINE)
    for pixels in (5, 1024, 50_000, 50_001):
        x, mean, deviation = filled((pixels, 3)), filled((3,)), filled((3,))
        expected = function(x.clone(), mean, deviation)
        assert_equal(fused(x, mean, deviation), expected, pixels)
        assert_equal(x, expected, pixels)


@by_size
def test_an_outer_product_has_no_input_of_its_own_size(dtype):
    for shape in ((5, 7), (64, 64), (33, 16), (1, 9), (9, 1)):
        check(mix, filled((shape[0], 1), dtype), filled((shape[1],), dtype), what=shape)


@by_size
@pytest.mark.parametrize("start", [1, 2, 3, 4, 5, 8, 15, 16])
def test_operands_that_start_anywhere(dtype, start):
    """Each operand in turn, and both, lie where no vector load may start."""
    fused = fusekit.fuse(mix, engine=ENGINE)
    for n in (1, 17, 64, 4099):
        aligned, shifted = filled((n,), dtype), filled((n + start,), dtype)[start:]
        check(fused, aligned, shifted, what=n)
        check(fused, shifted, aligned, what=n)
        check(fused, shifted, shifted + shifted, what=n)
        check(fused, filled((n + start,), dtype)[start:], shifted, what=n)


@by_size
@pytest.mark.parametrize("shape", [(5, 32), (64, 64), (7, 33)])
def test_rows_of_a_matrix_that_starts_anywhere(dtype, shape):
    fused = fusekit.fuse(mix, engine=ENGINE)
    row = filled((shape[1] + 3,), dtype)[3:]
    for start in (0, 1, 3, 4, 7):
        x = filled((shape[0] * shape[1] + start,), dtype).flatten()[start:].view(shape)
        check(fused, x, row, what=start)
        check(fused, filled(shape, dtype), row, what=start)
        check(fused, filled((shape[0] + 1, shape[1]), dtype)[1:], filled(shape, dtype), what=start)


@by_size
def test_rows_that_are_further_apart_than_they_are_long(dtype):
    """Each row starts as aligned as the distance between rows allows."""
    fused = fusekit.fuse(mix, engine=ENGINE)
    for width, gap in itertools.product((8, 16, 17), (1, 2, 4, 8, 16)):
        x = filled((9, width + gap), dtype)
        check(fused, x[:, :width], filled((9, width), dtype), what=(width, gap))
        check(fused, x[:, gap:], x[:, :width], what=(width, gap))


@by_size
def test_a_plan_serves_tensors_that_become_unaligned_later(dtype):
    """Shape and strides are the same, so it is the plan of the first call that has to notice."""
    n = 1000
    base, other = filled((n + 32,), dtype), filled((n + 32,), dtype)
    fused = check(mix, base[:n], other[:n])
    entry = fused.entry((base[:n], other[:n]), {})
    before = fusekit.stats().misses
    for one, two in itertools.product((0, 1, 2, 3, 8, 16, 31), (0, 1, 4, 16)):
        x, y = base[one : one + n], other[two : two + n]
        assert fused.entry((x, y), {}) is entry
        with counted(launches=1):
            got = fused(x, y)
        assert_equal(got, mix(x, y), (one, two))
    assert fusekit.stats().misses == before


def test_alignments_that_were_met_compile_nothing_again():
    base, y = filled((1100,)), filled((1000,))
    fused = fusekit.fuse(mix, engine=ENGINE)
    for start in range(5):
        fused(base[start : start + 1000], y)
    with counted(launches=5, new_kernels=0):
        for start in range(5):
            fused(base[start : start + 1000], y)


def test_views_made_inside_the_function_start_anywhere():
    def function(x, y):
        return x[1:] * y[:-1] + x.flatten()[3:][:1] + y[2:][:1]

    for n in (8, 64, 1001):
        check(function, filled((n,)), filled((n,)), what=n)


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=name_of
)
def test_transcendental_functions_are_as_close_to_float64_as_eager(dtype):
    x, y = filled((20_001,), dtype), filled((20_001,), dtype)
    for function in (
        *(torch.exp, torch.tanh, torch.sigmoid, torch.sin, torch.cos, torch.erf, torch.expm1),
        *(torch.atan, torch.asinh, lambda x: torch.log1p(x.abs()), lambda x: x.abs().rsqrt()),
    ):
        check_accuracy(function, x)
    check_accuracy(torch.atan2, x, y)
    check_accuracy(torch.hypot, x, y)


def test_scalars_are_arguments_of_the_kernel():
    def function(x, s, n):
        return (x * s + n) * s

    x = filled((1000,))
    fused = check(function, x, 2.5, 3)
    with counted(new_kernels=0):
        for s, n in ((0.1, 7), (-1e-8, -5), (1e30, 2), (float("inf"), 4), (float("nan"), 3)):
            check(fused, x, s, n, what=(s, n))


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8], ids=name_of)
def test_integer_scalars_keep_every_bit(dtype):
    fused = fusekit.fuse(lambda x, n: x * n + n, engine=ENGINE)
    x = filled((1000,), dtype)
    check(fused, x, 3)
    with counted(new_kernels=0):
        for n in (5, 77, 100):
            check(fused, x, n, what=n)
    if dtype is torch.int64:
        check(fused, x, 2**53 + 1)
        check(fused, x, -(2**62) - 1)


def test_booleans_steer_and_multiply():
    fused = fusekit.fuse(lambda x, flag: x * flag + (1 if flag else 2), engine=ENGINE)
    for flag in (True, False, True):
        check(fused, filled((77,)), flag)


def test_scalars_of_every_kind_in_one_call():
    """The driver takes them packed: a bool is followed by padding."""

    def function(x, a, b, c):
        return torch.where(x > a, x * b, x + c), x.double() * a + b

    fused = fusekit.fuse(function, engine=ENGINE)
    for a, b, c in ((0.5, 3, 1.25), (1, 0.25, 7), (2, 3, 4)):
        check(fused, filled((130,)), a, b, c)
