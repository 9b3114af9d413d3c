"""The table of goals, and what a run says about each."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusekit.bench.measuring.ratio import between, ratio_of
from fusekit.bench.suite.goals import GOALS, ROWS, estimate, verdict
from fusekit.bench.suite.run import FULL, QUICK
from tests.bench.suite_cases import GOOD, changed, good_run, without

BOUNDS = {
    "gpu_share": 0.97,
    "gpu_mean": 0.97,
    "chains_mean": 0.35,
    "chains_worst": 0.8,
    "memory_mean": 0.85,
    "memory_worst": 1.0,
    "large_mean": 0.4,
    "compile_llvm": 30e-3,
    "compile_cuda": 60e-3,
    "compile_cpp": 300e-3,
    "cached_llvm": 5e-3,
    "cached_cuda": 5e-3,
    "cached_cpp": 5e-3,
    "first": 300e-3,
    "later": 60e-3,
    "call": 2.5e-6,
    "launch": 8e-6,
    "sizes_kernels": 1,
    "sizes_median": 0.2e-3,
    "sizes_p99": 0.2e-3,
    "import": 100e-3,
}

RUN = good_run()


def judged(run):
    return {goal.key: verdict(goal, estimate(goal, run)) for goal in GOALS}


def found(run, key):
    return next(estimate(goal, run) for goal in GOALS if goal.key == key)


def test_the_table_is_whole():
    assert {goal.key: goal.bound for goal in GOALS} == BOUNDS
    assert [goal.key for goal in GOALS if goal.at_least] == ["gpu_share"]
    assert {goal.row for goal in GOALS} == {*ROWS} - {"others"}


@pytest.mark.parametrize("effort", [FULL, QUICK], ids=["full", "quick"])
def test_every_goal_can_be_met(effort):
    assert set(judged(good_run(effort)).values()) == {"met"}


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.key)
def test_every_goal_can_be_missed_and_no_other_row_suffers(goal):
    run = RUN
    for race in RUN.of(goal.row):
        run = changed(run, race.row, race.name, fused=20.0)
    if goal.key == "sizes_kernels":
        run.race("sizes", "sizes").counts["kernels"] = 3.0
    try:
        verdicts = judged(run)
    finally:
        RUN.race("sizes", "sizes").counts["kernels"] = 1.0
    assert verdicts[goal.key] == "missed"
    rows = {each.row for each in GOALS if verdicts[each.key] != "met"}
    assert rows == {goal.row}


def test_the_worst_of_a_row_is_named():
    run = changed(RUN, "chains", "mish 4M", fused=12.0)
    assert "worst mish 4M, 3" in found(run, "chains_worst").detail
    assert judged(run)["chains_worst"] == "missed"
    assert judged(run)["chains_mean"] == "met"
    share = changed(RUN, "gpu", "int64", fused=2.0)
    assert "worst int64, 0.495" in found(share, "gpu_share").detail


def test_a_race_that_is_missing_leaves_a_good_row_undecided():
    run = without(RUN, "memory", "saxpy 4M")
    assert judged(run)["memory_mean"] == "cannot tell"
    assert found(run, "memory_mean").missing == "without saxpy 4M (too large)"
    slow = changed(run, "memory", "transpose_add 4M", fused=8.0)
    assert judged(slow)["memory_worst"] == "missed"


def test_a_contender_that_is_missing_says_why():
    run = changed(RUN, "large", "saxpy 16M", inductor=None)
    run.race("large", "saxpy 16M").notes["inductor"] = "needs a C++ compiler"
    assert "saxpy 16M (inductor needs a C++ compiler)" in found(run, "large_mean").missing
    for each in RUN.of("large"):
        run = changed(run, "large", each.name, fused=None)
    assert found(run, "large_mean").value is None
    assert judged(run)["large_mean"] == ""


def test_a_bound_inside_the_interval_is_within_noise():
    for factor, said in ((1.249, "met, within noise"), (1.251, "missed, within noise")):
        assert judged(changed(RUN, "call", "call", fused=factor))["call"] == said


def test_a_busy_machine_says_nothing():
    import dataclasses

    races = tuple(dataclasses.replace(race, load=0.6) for race in RUN.races)
    verdicts = judged(dataclasses.replace(RUN, races=races))
    assert verdicts["chains_mean"] == verdicts["call"] == "cannot tell"


def test_a_tail_is_judged_by_its_own_quantile():
    import dataclasses

    samples = (1e-4,) * 980 + (1e-3,) * 20
    race = dataclasses.replace(RUN.race("sizes", "sizes"), samples={"fused": samples})
    races = tuple(race if each.row == "sizes" else each for each in RUN.races)
    run = dataclasses.replace(RUN, races=races)
    assert found(run, "sizes_median").value == 1e-4
    assert found(run, "sizes_p99").value == 1e-3
    assert judged(run)["sizes_median"] == "met"
    assert judged(run)["sizes_p99"] == "missed"


def test_the_made_up_seconds_are_those_of_the_goals():
    assert {*GOOD} == {
        race.name for race in RUN.races if race.row not in ("gpu", "chains", "memory", "large")
    } - {"rotary 4M"}


@given(st.lists(st.floats(1e-9, 1e3), min_size=1, max_size=60))
def test_the_interval_of_a_median_is_that_of_the_sign_test(samples):
    ends = between(samples)
    paired = ratio_of(samples, [1.0] * len(samples), error=0.05)
    assert ends == (paired.low, paired.high)
    assert ends[0] <= statistics.median(samples) <= ends[1]


@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=60), st.floats(0.01, 0.99))
def test_an_interval_widens_with_certainty(samples, share):
    sure, less = between(samples, share, error=0.01), between(samples, share, error=0.2)
    assert sure[0] <= less[0]
    assert less[1] <= sure[1]


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_an_interval_misses_as_often_as_it_says(share):
    generator = random.Random(7)
    true = -math.log(1 - share)
    hits = 0
    for _ in range(400):
        low, high = between([generator.expovariate(1) for _ in range(200)], share)
        hits += low <= true <= high
    assert hits >= 0.92 * 400
