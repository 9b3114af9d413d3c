"""The statistics of the stopwatch, on samples whose truth is known."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusekit.bench.measuring.causes import Surroundings, cause_of
from fusekit.bench.measuring.ratio import LOOKS, Ratio, decide, is_settled, ratio_of


def drawn(seed, rounds, speed, noise):
    """Rounds of (baseline, other), log-normal, with a slow drift that both share."""
    source = random.Random(seed)
    drift = [1 + 0.3 * math.sin(i / 9) for i in range(rounds)]
    base = [d * source.lognormvariate(0, noise) for d in drift]
    other = [d / speed * source.lognormvariate(0, noise) for d in drift]
    return base, other


@pytest.mark.parametrize(("error", "most_misses"), [(0.5, 130), (0.1, 30), (0.005, 5)])
def test_the_interval_misses_no_more_often_than_it_may(error, most_misses):
    misses = 0
    for seed in range(200):
        found = ratio_of(*drawn(seed, 30, 1.5, 0.2), error=error)
        misses += not found.low <= 1.5 <= found.high
    assert misses <= most_misses


def test_an_interval_that_may_miss_more_is_narrower():
    pair = drawn(1, 40, 1.5, 0.2)
    wide, narrow = ratio_of(*pair, error=0.005), ratio_of(*pair, error=0.5)
    assert wide.low < narrow.low < narrow.median < narrow.high < wide.high


def test_too_few_rounds_bound_nothing():
    found = ratio_of([2.0] * 5, [1.0] * 5)
    assert (found.median, found.low, found.high) == (2.0, 0.0, math.inf)
    assert decide(found) is None
    assert ratio_of([2.0] * LOOKS[0], [1.0] * LOOKS[0]).low == 2.0


def test_drift_that_both_share_does_not_widen_the_interval():
    base, other = drawn(3, 40, 2.0, 0.001)
    found = ratio_of(base, other)
    assert found.high / found.low < 1.01
    assert max(base) / min(base) > 1.5


@given(st.lists(st.tuples(st.floats(1e-6, 1e3), st.floats(1e-6, 1e3)), min_size=1, max_size=40))
def test_swapping_the_two_inverts_the_ratio(pairs):
    first, second = zip(*pairs, strict=True)
    one, other = ratio_of(first, second), ratio_of(second, first)
    if math.isfinite(one.high):
        assert one.low == pytest.approx(1 / other.high)
        assert one.low <= one.median <= one.high
        opposite = {"faster": "slower", "slower": "faster", "tie": "tie", None: None}
        assert decide(other) == opposite[decide(one)] or one.low == pytest.approx(1.02)


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (1.03, 9.0, "faster"),
        (0.2, 0.97, "slower"),
        (0.99, 1.01, "tie"),
        (0.99, 1.05, None),
        (1.01, 1.5, None),
        (0.5, 2.0, None),
        (0.0, math.inf, None),
    ],
)
def test_verdicts(low, high, outcome):
    assert decide(Ratio(1.0, low, high, 20)) == outcome


@pytest.mark.parametrize(
    ("speed", "wrong"), [(1.0, {"faster", "slower"}), (1.1, {"slower", "tie"})]
)
def test_stopping_as_soon_as_a_look_decides_is_wrong_rarely(speed, wrong):
    mistakes = 0
    for seed in range(150):
        base, other = drawn(seed, LOOKS[-1], speed, 0.1)
        said = (decide(ratio_of(base[:n], other[:n])) for n in LOOKS)
        mistakes += next((one for one in said if one), None) in wrong
    assert mistakes <= 0.05 * 150


def test_what_is_decided_but_vague_is_not_settled():
    assert is_settled(Ratio(2.0, 1.9, 2.1, 20))
    assert not is_settled(Ratio(2.0, 1.1, 3.0, 20))
    assert not is_settled(Ratio(1.0, 0.97, 1.03, 20))


NOISY = Ratio(1.1, 0.8, 1.4, 40)
QUIET = Surroundings(rounds=40, others=0.01, sample=1e-3, step=1e-7)


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({}, "noise", "0.8× to 1.4×"),
        ({"compiles": 1}, "first-run compile", "compiled"),
        ({"others": 0.4}, "other load", "40% of the processor"),
        ({"lost": 20}, "other load", "20 of 60 rounds"),
        ({"drift": -0.12}, "clock", "12%"),
        ({"sample": 2e-6}, "too short", "2 µs"),
        ({"rounds": 4}, "too short", "only 4 rounds"),
        ({"host": 0.97}, "launch-bound", "CPU"),
        ({"others": None}, "noise", ""),
        ({"others": 0.4, "compiles": 2}, "first-run compile", ""),
    ],
)
def test_the_cause_is_named(change, kind, said):
    import dataclasses

    found = cause_of(dataclasses.replace(QUIET, **change), NOISY)
    assert found.kind == kind
    assert said in found.sentence


def test_the_median_is_of_the_ratios_and_not_of_the_times():
    base, other = [1.0, 10.0, 100.0], [1.0, 5.0, 10.0]
    assert ratio_of(base, other).median == statistics.median([1.0, 2.0, 10.0])
