"""Divisions that are no division: by a number, and by what is one for a whole vector."""

from __future__ import annotations

import pytest
import torch

import fusekit
from tests.gpu.harness import ENGINE, assert_equal

pytestmark = pytest.mark.gpu

SPECIAL = (0.0, -0.0, 1.0, -1.0, float("inf"), -float("inf"), float("nan"), 3e38, -3e38, 2.0**-126)


def dividends() -> torch.Tensor:
    """Special ones, then all significands."""
    significands = torch.arange(2**23, 2**24, device="cuda").float()
    return torch.cat([torch.tensor(SPECIAL, device="cuda"), significands])


@pytest.mark.parametrize("divisor", [255.0, 3.0, -7.0, 0.1, 6.0, 2.0, 1e-9, 1e15, 1.4142135])
def test_by_a_number(divisor: float) -> None:
    x = dividends()
    # eager multiplies by the reciprocal of a number; a tensor it divides by
    expected = x / torch.full_like(x, divisor)
    assert_close_to_quotient(fusekit.fuse(lambda x: x / divisor, engine=ENGINE)(x), expected)


@pytest.mark.parametrize(
    "divisor",
    [
        0.229,
        3.0,
        -0.7,
        2.0,
        1.0,
        0.0,
        -0.0,
        float("inf"),
        float("nan"),
        1e-42,
        2.0**-126,
        3e38,
        -1e-30,
    ],
)
def test_by_one_element_for_many(divisor: float) -> None:
    x = dividends()
    y = torch.tensor(divisor, device="cuda")
    fused = fusekit.fuse(lambda x, y: x / y[None], engine=ENGINE)
    assert "reciprocal" in fused.source(x, y)
    # a tensor of one dimension, or eager takes the divisor for a number
    assert_close_to_quotient(fused(x, y), x / y.expand_as(x).contiguous())


def assert_close_to_quotient(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal, but for an ulp in one of millions, and for subnormal numbers."""
    same = (found == expected) | (found.isnan() & expected.isnan())
    same &= found.isnan() | (found.signbit() == expected.signbit())
    near = (found.double() - expected.double()).abs() <= expected.double().abs() * 2.0**-23
    tiny = expected.abs() < 2.0**-126
    near |= tiny & ((found - expected).abs() <= 2.0**-148)
    assert bool((same | near).all()), (found[~(same | near)][:5], expected[~(same | near)][:5])
    assert int((~same & ~tiny).sum()) <= 2
    assert_equal(found[:0], expected[:0])
