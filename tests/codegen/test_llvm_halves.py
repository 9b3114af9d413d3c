"""Every half, through several roundings in one kernel: the bits of eager."""

from __future__ import annotations

import pytest
import torch

import fusekit


def every(dtype: torch.dtype) -> torch.Tensor:
    return torch.arange(-(2**15), 2**15).to(torch.int16).view(dtype)


def assert_same_bits(got: torch.Tensor, wanted: torch.Tensor) -> None:
    assert torch.equal(got.isnan(), wanted.isnan())
    numbers = ~wanted.isnan()
    assert torch.equal(got.view(torch.int16)[numbers], wanted.view(torch.int16)[numbers])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("factor", [1.0, 1 / 3, -1.0078125, 1e-38, 1e-4, 3e38, 65504.0])
def test_results_and_what_leads_to_them(dtype, factor):
    def function(x):
        scaled = x * factor
        return scaled, scaled + x, torch.relu(scaled + x) - scaled

    x = every(dtype)
    for got, wanted in zip(fusekit.fuse(function, engine="llvm")(x), function(x), strict=True):
        assert_same_bits(got, wanted)


def test_float32_nans_and_ties():
    # NaNs whose payload a carry would turn into a zero, halfway cases, and the largest numbers
    bits = [0x7FFFFFFF, 0x7F800001, 0xFFFFFFFF, 0x3F808000, 0x3F818000, 0x7F7FFFFF, 0x00008000]
    bits += [0x00018000, 0x80008001, 0x007FFFFF]
    x = torch.tensor(bits, dtype=torch.int64).to(torch.int32).view(torch.float32).repeat(9)

    def function(x):
        return x.bfloat16(), x.bfloat16().float() * 1

    half, wide = fusekit.fuse(function, engine="llvm")(x)
    assert_same_bits(half, x.bfloat16())
    assert torch.equal(wide.nan_to_num(7), x.bfloat16().float().nan_to_num(7))


def test_functions_that_number_their_values_alike():
    def function(x):
        scaled = x * 3
        return [getattr(torch, name)(scaled) + x for name in ("tanh", "exp", "erf", "sin", "log1p")]

    x = torch.linspace(0, 2, 999).bfloat16()
    fused = fusekit.fuse(function, engine="llvm")
    assert not fused.explain(x).declined
    for got, wanted in zip(fused(x), function(x), strict=True):
        torch.testing.assert_close(got, wanted)


def test_a_number_that_is_the_same_for_all():
    x, one = every(torch.bfloat16), torch.tensor(1.7, dtype=torch.bfloat16)

    def function(x, one):
        return x * (one * 3 + 1)

    assert_same_bits(fusekit.fuse(function, engine="llvm")(x, one), function(x, one))


def test_a_rounding_is_not_undone_by_narrowing_and_widening():
    fused = fusekit.fuse(lambda x: (x * 3) * 5, engine="llvm")
    text = fused.source(torch.ones(64).bfloat16())
    assert text.count("zext <64 x i16>") + text.count("zext <32 x i16>") == 1
