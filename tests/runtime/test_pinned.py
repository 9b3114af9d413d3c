"""Numbers that a capture depends on: when it serves another call, and when it does not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

import fusekit
from fusekit.frontends.scalars import is_same_value

ZEROS = (0.0, -0.0, 0.0, 1.0, -0.0)
NAN = float("nan")


@pytest.mark.parametrize(
    "function",
    [
        lambda x, s: x * torch.tensor(s),
        lambda x, s: x * torch.tensor([s, 1.0]),
        lambda x, s: x * math.copysign(2.0, s),
        lambda x, s: x * float(f"{s}5"),
        lambda x, s: x * (2 if str(s) == "0.0" else 3),
    ],
)
def test_the_sign_of_a_zero_counts(function: Callable[..., Any]) -> None:
    fused, x = fusekit.fuse(function), torch.ones(2)
    for value in ZEROS:
        found, expected = fused(x, value), function(x, value)
        assert torch.equal(found, expected)
        assert torch.equal(found.signbit(), expected.signbit())
    assert len(fused.history().specialisations) == len(set(map(repr, ZEROS)))


def test_the_sign_of_a_zero_outside() -> None:
    names: dict[str, Any] = {}
    exec("def f(x):\n    return x * scale", names)
    fused, x = fusekit.fuse(names["f"]), torch.ones(4)
    for value in ZEROS:
        names["scale"] = value
        assert torch.equal(fused(x).signbit(), names["f"](x).signbit())


def test_what_is_not_a_number_is_prepared_for_once() -> None:
    fused = fusekit.fuse(lambda x, s: x * torch.tensor(s))
    for _ in range(3):
        assert fused(torch.ones(4), float("nan")).isnan().all()
    history = fused.history()
    assert len(history.specialisations) == 1
    assert not history.fallbacks


def test_another_zero_is_told_as_such() -> None:
    fused = fusekit.fuse(lambda x, s: x * torch.tensor(s))
    for value in (0.0, -0.0):
        fused(torch.ones(4), value)
    changes = fused.history().specialisations[-1].changes
    assert changes == ("s: 0.0 -> -0.0, a number that the capture depends on",)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        *((1, 1, True), (1, True, False), (1, 1.0, False), (2.5, 2.5, True), (0, 0, True)),
        *((0.0, -0.0, False), (-0.0, -0.0, True), (0j, complex(0, -0.0), False)),
        *((NAN, float("nan"), True), (NAN, 1.0, False), ("a", "b", False), (None, None, True)),
    ],
)
def test_values_that_a_trace_cannot_tell_apart(one: Any, other: Any, same: bool) -> None:
    assert is_same_value(one, other) is same
