"""Small strides, short rows, what is left of a row: eager's values, and nothing else touched."""

from __future__ import annotations

import math
from collections import OrderedDict
from weakref import WeakValueDictionary

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fusekit
from fusekit.codegen import schedule
from fusekit.codegen.cpu_walks import LONGEST_PERIOD, MOST_PERIODIC
from fusekit.runtime import kernels

DTYPES = [torch.float32, torch.float64, torch.float16, torch.uint8, torch.bool, torch.int32]


@pytest.fixture(params=["masks", "no masks"])
def masks(request, monkeypatch):
    """The rest of a row as a vector, or one element at a time; the kernels are this test's own."""
    if request.param == "no masks":
        monkeypatch.setattr(schedule, "_MASKS", frozenset({"none has this"}))
    monkeypatch.setattr(kernels, "_slots", OrderedDict())
    monkeypatch.setattr(kernels, "_alive", WeakValueDictionary())
    with fusekit.options(disk_cache=False):
        yield


def numbers(count: int, dtype: torch.dtype) -> torch.Tensor:
    return (torch.arange(count) * 37 % 101 % (2 if dtype is torch.bool else 101)).to(dtype)


def check(function, *tensors):
    got, wanted = fusekit.fuse(function, engine="llvm")(*tensors), function(*tensors)
    assert torch.equal(got, wanted)
    assert got.stride() == wanted.stride()


@pytest.mark.parametrize("step", [2, 3, 4, 5])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_second_third_fourth_element(dtype, step):
    for size in (1, 2, 15, 31, 32, 33, 64, 127, 128, 129, 515):
        # the last element is the last of the memory
        x = numbers((size - 1) * step + 1, dtype)[::step]
        check(lambda x, y: x ^ y if x.dtype is torch.bool else x + y, x, numbers(size, dtype))


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_channels_of_pixels(data):
    channels = data.draw(st.integers(1, 6))
    shape = (data.draw(st.integers(1, 3)), *data.draw(st.tuples(*[st.integers(1, 40)] * 2)))
    dtype = data.draw(st.sampled_from([torch.uint8, torch.float32, torch.int16]))
    pixels = numbers(math.prod(shape) * channels, dtype).view(*shape, channels)
    mean, deviation = torch.rand(channels, 1, 1), torch.rand(channels, 1, 1) + 1
    check(lambda p, m, d: (p.permute(0, 3, 1, 2).float() - m) / d, pixels, mean, deviation)
    contiguous = torch.contiguous_format
    check(
        lambda p, m: torch.zeros(p.permute(0, 3, 1, 2).shape) + p.permute(0, 3, 1, 2) * m,
        pixels,
        mean,
    )
    check(lambda p: p.permute(0, 3, 1, 2).to(torch.float32, memory_format=contiguous) * 2, pixels)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [2, 3, 5, 31, 32, 33, 100, 255, LONGEST_PERIOD, 300])
def test_one_row_for_all(masks, dtype, width):
    for rows in (1, 2, 7, 90):
        x, row, other = numbers(rows * width, dtype), numbers(width, dtype), numbers(width, dtype)
        check(
            lambda x, a, b: (x + a) * b if x.is_floating_point() else (x ^ a) | b,
            x.view(rows, width),
            row,
            other,
        )


def test_more_rows_than_are_repeated_on_the_stack():
    rows = [torch.randint(0, 9, (5,)) for _ in range(MOST_PERIODIC + 1)]
    check(lambda x, *rows: sum(rows, x), torch.randint(0, 9, (40, 5)), *rows)


def test_threads_that_begin_within_a_row(monkeypatch):
    monkeypatch.setattr(schedule, "_GRAIN_FLOPS", 1)
    monkeypatch.setattr(kernels, "_slots", OrderedDict())
    monkeypatch.setattr(kernels, "_alive", WeakValueDictionary())
    with fusekit.options(disk_cache=False):
        for rows in (1000, 1001, 3333):
            check(lambda x, y: x * y, torch.randn(rows, 7), torch.randn(7))


@pytest.mark.parametrize("width", [1, 3, 15, 16, 17, 31, 33, 40, 63, 100])
@pytest.mark.parametrize("dtype", [torch.float32, torch.int8, torch.bool, torch.float64])
def test_what_is_left_of_a_row(masks, width, dtype):
    memory = numbers(60 * (width + 1), dtype).view(60, width + 1)
    x, column = memory[:, :width], numbers(60, dtype).view(60, 1)
    check(lambda x, c: x ^ c if x.dtype is torch.bool else x * c, x, column)
    # in place: what lies between the rows stays
    kept, rest = memory.clone(), memory[:, width:].clone()
    fused = fusekit.fuse(lambda x, c: x.logical_or_(c) if x.dtype is torch.bool else x.add_(c))
    fused(kept[:, :width], column)
    wanted = x.logical_or(column) if dtype is torch.bool else x + column
    assert torch.equal(kept[:, :width], wanted)
    assert torch.equal(kept[:, width:], rest)


def test_a_step_is_known_and_a_repeated_row_is_told_from_the_rest():
    fused = fusekit.fuse(lambda x: x[::3] * 2, engine="llvm")
    assert "picked2" in fused.source(torch.randn(100))
    short = fusekit.fuse(lambda x, y: x * y, engine="llvm")
    assert "wrapped:" in short.source(torch.randn(10, 7), torch.randn(7))
    long = LONGEST_PERIOD + 1
    assert "wrapped:" not in short.source(torch.randn(10, long), torch.randn(long))
