"""Halves with numbers, integers and 0-dim tensors of other dtypes: to the bit what eager returns.

PyTorch rounds most of these to the half before it computes, and some not. Operators here are those
whose every step is rounded correctly, so nothing but that can differ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import fusekit

HALVES = [torch.float16, torch.bfloat16]
VALUES = (1e-8, 1e-20, 0.1, 1.0009, 3.14159, -1.7171, 7.3219, 2049, 70000.0)
OTHERS = (None, torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64)
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]

OPERATORS: dict[str, Callable[[Any, Any], torch.Tensor]] = {
    name: getattr(torch, name)
    for name in (
        *("add", "sub", "rsub", "mul", "div", "floor_divide", "fmod", "remainder"),
        *("maximum", "fmax", "copysign", "eq", "lt", "ge"),
        *("logical_and", "logical_or", "logical_xor"),
    )
} | {
    "div_trunc": lambda x, y: torch.div(x, y, rounding_mode="trunc"),
    "add_alpha": lambda x, y: torch.add(x, y, alpha=0.3),
    "sub_alpha": lambda x, y: torch.sub(x, y, alpha=3),
    "clamp": lambda x, y: torch.clamp(x, max=y),
    "where": lambda x, y: torch.where(x > 1, x, y),
    "lerp": lambda x, y: torch.lerp(x, x + 1, y),
    "plus": lambda x, y: x + y,
    "from": lambda x, y: y - x,
    "over": lambda x, y: x // y,
    "modulo": lambda x, y: x % y,
}


def eager(function: Callable[..., torch.Tensor], operands: tuple[Any, ...]) -> Any:
    try:
        return function(*operands)
    except (RuntimeError, TypeError):
        return None


def pairs(dtype: torch.dtype, device: str) -> list[tuple[Any, Any]]:
    """A tensor of halves with each value of each kind, in both orders."""
    steps = torch.linspace(-3, 3, 64, device=device).to(dtype)
    made: list[tuple[Any, Any]] = []
    for kind in OTHERS:
        for value in VALUES:
            other = value if kind is None else torch.tensor(value, device=device).to(kind)
            made += [(steps, other), (other, steps)]
    # whole vectors: what is left of one, eager's loops compute with other roundings
    integers = torch.arange(2000, 2128, device=device)
    half = torch.tensor(1.3, dtype=dtype, device=device)
    return [*made, (integers, half), (half, integers), (steps, steps.flip(0))]


def without_nan(tensor: torch.Tensor) -> torch.Tensor:
    return torch.where(tensor.isnan(), 7, tensor)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", HALVES, ids=lambda dtype: str(dtype)[6:])
@pytest.mark.parametrize("name", OPERATORS)
def test_what_takes_part_is_rounded_where_eager_rounds_it(
    name: str, dtype: torch.dtype, device: str
) -> None:
    operator = OPERATORS[name]
    results = [(pair, eager(operator, pair)) for pair in pairs(dtype, device)]
    accepted = [(pair, made) for pair, made in results if made is not None]
    assert accepted

    def function(operands):
        return [operator(*pair) for pair in operands]

    found = fusekit.fuse(function)([pair for pair, _ in accepted])
    wrong = []
    for (pair, theirs), ours in zip(accepted, found, strict=True):
        assert ours.dtype == theirs.dtype
        if not torch.equal(without_nan(ours), without_nan(theirs)):
            wrong.append(pair)
    assert not wrong
