"""The verdict's rule on rounds that were recorded on a busy machine, and in real runs."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest
import torch

import fusekit
from fusekit.bench import Settings
from fusekit.bench.measuring import timing
from fusekit.bench.measuring.causes import Surroundings
from fusekit.bench.measuring.ratio import LOOKS, decide, ratio_of
from fusekit.bench.measuring.stopwatch import Taken, take, told

RECORDED = json.loads(Path(__file__).with_name("recorded_rounds.json").read_text(encoding="utf-8"))
"""One thread on two cores that others used, in seconds; `truth` is who is faster in quiet."""

each = pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["what"])


@each
def test_no_look_at_recorded_rounds_says_anything_false(case):
    base, other = case["baseline"], case["other"]
    said = [decide(ratio_of(base[:n], other[:n])) for n in LOOKS if n <= len(base)]
    assert set(said) <= {case["truth"], None}
    if case["truth"] != "tie":
        assert said[0] == case["truth"]


@each
def test_recorded_rounds_are_told_with_their_interval(case):
    samples = {"eager": case["baseline"], "fused": case["other"]}
    rounds = len(case["baseline"])
    quiet = Surroundings(rounds, others=0.01, sample=1e-3, step=1e-7)
    found = told(Taken(samples, dict.fromkeys(samples, quiet), {}), "eager", "fused")
    low, high = found.ratio.interval
    assert low <= found.ratio.median <= high
    assert (found.outcome == "cannot tell") == bool(found.cause.kind)
    assert f"{low:.3g}" in found.sentence
    busy = Surroundings(rounds, others=0.86)
    found = told(Taken(samples, dict.fromkeys(samples, busy), {}), "eager", "fused")
    assert (found.outcome, found.cause.kind) == ("cannot tell", "other load")


def test_noise_that_both_share_hides_no_difference():
    """A tenth less time is seen where the quartiles of the times overlap."""
    twice = RECORDED[-1]
    base, other = twice["baseline"], [0.9 * seconds for seconds in twice["other"]]
    assert decide(ratio_of(base, other)) == "faster"
    assert statistics.quantiles(other, n=4)[2] > statistics.quantiles(base, n=4)[0]


def test_the_order_within_a_round_changes(monkeypatch):
    called = []

    def sample(watch):
        called.append(watch.name)
        watch.totals.append(1e-3)
        watch.hosts.append(0.0)
        watch.waits.append(False)

    monkeypatch.setattr(timing.Watch, "sample", sample)
    contenders = dict.fromkeys("abc", lambda: None)
    take(contenders, Settings(runs=4, seconds=30.0, sample=0.0, warmup=0))
    assert "".join(called) == "abccbaabccba"


def heavy(x):
    for _ in range(12):
        x = torch.exp(torch.sin(x))
    return x


def light(x):
    return x + 1.0


def settled(found, *outcomes):
    """The verdict, or why the machine that runs the tests allows none."""
    assert found.outcome in (*outcomes, "cannot tell")
    assert (found.outcome == "cannot tell") == bool(found.cause.kind)
    assert found.sentence


def test_a_large_difference_is_told_whichever_is_the_baseline():
    x = torch.randn(4096)
    calls = {"heavy": lambda: heavy(x), "light": lambda: light(x)}
    taken = take(calls, Settings(seconds=0.5))
    settled(told(taken, "heavy", "light"), "faster")
    settled(told(taken, "light", "heavy"), "slower")
    assert told(taken, "heavy", "light").ratio.median > 5


def test_compare_and_sweep_say_what_the_stopwatch_says():
    how = Settings(seconds=0.3)
    single = fusekit.compare(heavy, torch.randn(4096), settings=how)
    swept = fusekit.sweep(heavy, torch.randn, [64, 4096], settings=how)
    for found in (single, *(point.comparison for point in swept.points)):
        row = found.row("fused", "cpu")
        assert row.interval is None or row.interval[0] <= row.ratio <= row.interval[1]
        assert (row.outcome == "cannot tell") == bool(row.cause)
        assert row.reason in found.verdict
        assert "95 %" in found.method
        (data,) = [
            r for r in found.as_timing()["rows"] if (r["name"], r["device"]) == ("fused", "cpu")
        ]
        assert data["cause"] == row.cause
