"""Integers wrap around, whatever else of the kernel could tell that they did not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import fusekit
from tests.gpu.harness import ENGINE, assert_equal, name_of

pytestmark = pytest.mark.gpu

INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8)

# A compiler that takes sums never to overflow makes a constant, or something simpler, of each.
CASES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "add": lambda x, y: (x + 1) > x,
    "sub": lambda x, y: (x - 1) < x,
    "mul": lambda x, y: (x * 2) // 2,
    "neg": lambda x, y: (-x) > 0,
    "abs": lambda x, y: torch.abs(x) < 0,
    "choice_by_abs": lambda x, y: torch.where(abs(x) < 0, abs(x) + y, abs(x) * 3),
    "remainder_of_abs": lambda x, y: torch.abs(x) % 3,
    "widened_neg": lambda x, y: (-x).long() + 1,
    "sum_of_two": lambda x, y: ((x + y) - y) * 1 + (x + y > y),
    "square": lambda x, y: (x * x) < 0,
    "pow": lambda x, y: torch.pow(x, 3) - x,
    "gcd": lambda x, y: torch.gcd(x, torch.full_like(x, 3)),
}


@pytest.mark.parametrize("dtype", INTEGERS, ids=name_of)
@pytest.mark.parametrize("name", CASES)
def test_wraps(name: str, dtype: torch.dtype) -> None:
    limits = torch.iinfo(dtype)
    near = torch.arange(40, dtype=torch.int64)
    extremes = [limits.min + near, limits.max - near, near - (20 if limits.min else 0)]
    x = torch.cat(extremes).to(dtype).to("cuda")
    y = x.flip(0)
    fused = fusekit.fuse(CASES[name], engine=ENGINE)
    assert_equal(fused(x, y), CASES[name](x, y), name)
