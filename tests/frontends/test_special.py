"""Functions of bits and of integers: exactly eager's."""

from __future__ import annotations

import pytest
import torch

import fusekit

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)

SPECIALS = (0.0, -0.0, 1.0, -1.0, 0.5, 3.0, -7.25, 1e-45, -1e-39, 1e-310, 65504.0, 3.3e38, 1.7e308)


def numbers(dtype: torch.dtype) -> torch.Tensor:
    info = torch.finfo(dtype)
    edges = (info.max, info.tiny, -info.tiny, info.eps, float("inf"), float("-inf"), float("nan"))
    return torch.tensor([*SPECIALS, *edges], dtype=torch.float64).to(dtype)


def assert_same(fn, *args) -> None:
    """The same bits, by a kernel."""
    fused = fusekit.fuse(fn, engine="llvm")
    assert not fused.explain(*args).declined
    found, expected = fused(*args), fn(*args)
    pairs = zip(found, expected, strict=True) if isinstance(found, tuple) else [(found, expected)]
    for mine, yours in pairs:
        assert mine.dtype == yours.dtype
        same = (mine == yours) | ((mine != mine) & (yours != yours))
        if mine.is_floating_point():
            same &= (mine.signbit() == yours.signbit()) | (yours != 0)
        assert bool(same.all()), (mine[~same], yours[~same])


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_the_next_number_in_each_direction(dtype):
    x = numbers(dtype)
    assert_same(torch.nextafter, *torch.meshgrid(x, x, indexing="ij"))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_mantissa_and_exponent(dtype):
    assert_same(torch.frexp, numbers(dtype))


@pytest.mark.parametrize("decimals", [-3, -1, 0, 2, 7])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_rounding_to_decimals(dtype, decimals):
    x = torch.cat(
        [numbers(dtype), torch.linspace(-2000, 2000, 4001, dtype=torch.float64).to(dtype)]
    )
    assert_same(lambda x: torch.round(x, decimals=decimals), x)


@pytest.mark.parametrize("dtype", [*FLOATS, torch.int32, torch.bool], ids=str)
def test_the_angle_of_a_real_number(dtype):
    x = numbers(torch.float32)[:15]
    assert_same(torch.angle, x.to(dtype) if dtype.is_floating_point else (x > 0.6).to(dtype) * 3)


@pytest.mark.parametrize("function", [torch.gcd, torch.lcm])
def test_divisors_of_all_bytes(function):
    for dtype in (torch.int8, torch.uint8):
        info = torch.iinfo(dtype)
        x = torch.arange(info.min, info.max + 1).to(dtype)
        assert_same(function, *torch.meshgrid(x, x, indexing="ij"))


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.int64], ids=str)
def test_divisors_of_extreme_integers(dtype):
    info = torch.iinfo(dtype)
    x = torch.tensor([info.min, info.min + 1, info.max, 0, 1, -1, 6, -360, 822, 927], dtype=dtype)
    assert_same(torch.gcd, *torch.meshgrid(x, x, indexing="ij"))
    # eager dies of lcm where the divisor of the most negative number comes out as -1
    assert_same(torch.lcm, *torch.meshgrid(x[1:], x[1:], indexing="ij"))


def test_hermite_polynomials_of_a_high_degree_are_nan_as_in_eager():
    x, degree = torch.tensor([1e-3]), torch.tensor([127.0, 128.5, 129.0, 512.0])
    for function in (torch.special.hermite_polynomial_h, torch.special.hermite_polynomial_he):
        made = fusekit.fuse(function, engine="llvm")(x, degree)
        assert made.isnan().tolist() == [False, False, True, True]
        assert bool(function(x, degree).isnan()[2:].all())
