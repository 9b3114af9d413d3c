"""Samples in turns: medians, disturbed samples."""

from __future__ import annotations

import gc
import pickle

import pytest

from fusekit.bench.measuring import timing
from fusekit.bench.measuring.timing import Settings, Timing, is_disturbed, measure

QUICK = Settings(runs=5, seconds=0.2, sample=0.0, warmup=1)


def samples(name, *values, **more):
    return Timing(name, tuple(values), first=1.0, **more)


def test_contenders_take_turns_and_the_first_call_is_kept_apart():
    calls = []
    found = measure({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, QUICK)
    assert "".join(calls).endswith("ababababab")
    assert found["a"].runs >= 5
    assert found["a"].first > 0


def test_first_calls_that_were_made_already_are_not_made_again():
    found = measure({"a": lambda: None}, QUICK, firsts={"a": 12.5})
    assert found["a"].first == 12.5


def test_short_calls_are_repeated_within_a_sample():
    found = measure({"a": lambda: None}, Settings(runs=5, sample=2e-4, seconds=0.5))
    assert found["a"].inner > 100
    assert found["a"].median < 1e-5


def test_a_flushed_sample_is_one_call(monkeypatch):
    flushed = []
    monkeypatch.setattr(timing, "_flush", lambda: flushed.append(1))
    found = measure({"a": lambda: None}, Settings(runs=5, seconds=0.2, flush=True))
    assert found["a"].inner == 1
    assert len(flushed) >= 5


def test_the_collector_is_off_while_measuring_and_on_again_afterwards():
    seen = []
    measure({"a": lambda: seen.append(gc.isenabled())}, QUICK)
    assert seen[-1] is False
    assert gc.isenabled()


def test_what_waits_is_waited_for():
    waited = []
    measure({"a": lambda: None}, QUICK, synchronize=lambda: waited.append(1))
    assert waited


@pytest.mark.parametrize(
    ("total", "quickest", "expected"),
    [
        (9.1e-3, 1e-3, True),  # one slice of the scheduler
        (17.2e-3, 1e-3, True),
        (1.4e-3, 1e-3, False),  # slower, but no wait
        (5e-3, 1e-3, False),
        (108e-3, 100e-3, False),  # a slice more is nothing to a long call
    ],
)
def test_a_wait_for_the_core_is_told_from_a_slow_call(total, quickest, expected):
    assert is_disturbed(total, quickest) is expected


def test_disturbed_samples_are_dropped_and_taken_again(monkeypatch):
    times = iter([1e-3] * 4 + [1e-3, 9e-3] * 50)
    monkeypatch.setattr(timing.Watch, "_time", lambda self: next(times))
    monkeypatch.setattr(timing, "_REST", 0.0)
    found = measure({"a": lambda: None}, Settings(runs=8, sample=0.0, warmup=0))["a"]
    assert found.samples == (1e-3,) * 8
    assert found.disturbed >= 7
    assert found.reliable


def test_where_all_samples_wait_they_stand_for_want_of_better_ones(monkeypatch):
    switches = iter(range(1000))
    monkeypatch.setattr(timing.Watch, "_time", lambda self: 8e-3)
    monkeypatch.setattr(timing, "_switches", lambda: next(switches))
    monkeypatch.setattr(timing, "_REST", 0.0)
    found = measure({"a": lambda: None}, Settings(runs=6, sample=0.0))["a"]
    assert not found.reliable
    assert found.samples


def test_median_quartiles_and_spread():
    found = samples("a", 1.0, 2.0, 3.0, 4.0, 5.0)
    assert found.median == 3.0
    assert found.quartiles == (2.0, 4.0)
    assert found.spread == 2.0
    assert samples("a", 2.0).spread == 0.0


def test_a_timing_travels_between_processes():
    found = samples("a", 1.0, 1.5, 2.0)
    assert pickle.loads(pickle.dumps(found)) == found
