"""When a result is eager's: near it, or as far from float64 as eager is, there or at worst."""

from __future__ import annotations

import torch

from fusekit.bench.trying.agreement import agreement

EXACT = torch.linspace(1.0, 2.0, 100, dtype=torch.float64)
STEP = 2.0**-23


def off(**ulps: float) -> torch.Tensor:
    """The exact values in float32, some of them off: a3=40 puts element 3 off by 40 eps."""
    found = EXACT.float()
    for name, ulp in ulps.items():
        found[int(name[1:])] *= 1 + ulp * STEP
    return found


def test_a_few_roundings_are_eager_s() -> None:
    assert agreement(off(a3=7), off(), EXACT).holds
    assert not agreement(off(a3=12), off(), EXACT).holds


def test_where_eager_is_off_so_may_we_be() -> None:
    assert agreement(off(a3=-100), off(a3=30), EXACT).holds
    assert not agreement(off(a3=-100), off(a3=20), EXACT).holds


def test_a_cancelling_sum_is_off_in_other_elements() -> None:
    assert agreement(off(a3=40), off(a7=30), EXACT).holds
    assert not agreement(off(a3=60), off(a7=30), EXACT).holds


def test_nothing_that_eager_does_makes_a_wrong_value_right() -> None:
    theirs = off()
    theirs[7] = 1000.0
    assert not agreement(off(a3=200), theirs, EXACT).holds


def test_without_float64_only_roundings_count() -> None:
    assert not agreement(off(a3=40), off(a7=30)).holds


def test_a_complaint_says_where() -> None:
    found = agreement(off(a3=60), off(), EXACT)
    assert "at [3] (1 of 100 elements differ)" in str(found)
