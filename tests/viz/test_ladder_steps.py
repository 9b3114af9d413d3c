"""Steps of the ladder as plans: what they divide, what they compute, how they are measured."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

import fusekit
from fusekit.bench import Settings
from fusekit.bench.trying import trials as trials_
from fusekit.bench.trying.variant import Race
from fusekit.errors import UsageError
from fusekit.viz import FusionView
from fusekit.viz.collect.fused import collect
from fusekit.viz.decisions.steps import MeasuredStep, step_plan
from fusekit.viz.panels import Progress, Shown
from fusekit.viz.words import ratio_text
from tests.viz import models

X, W = torch.rand(32, 32), torch.rand(32, 32)


def mlp(x, w):
    return torch.sigmoid(torch.relu(x * 2 + w) @ w) * 3 + x


def viewed(x, w):
    h = torch.relu(x + 1)
    return h.t() * 2, h + w


def small(x, w):
    return torch.exp(torch.lgamma(w[0] + 1) + 1) * x + 1


def normed(x, w):
    return torch.relu(torch.nn.functional.batch_norm(x * 2, w[0], w[1])) + 1


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(trials_, "_QUICK", Settings(runs=10, seconds=5.0))


def view_of(function) -> FusionView:
    return collect(fusekit.fuse(function), (X, W), {}, timing=False)


@pytest.mark.parametrize("function", [mlp, viewed, small, normed])
def test_the_plan_of_a_step_moves_what_its_row_says(function):
    fused, view = fusekit.fuse(function), view_of(function)
    rungs = view.model["ladder"]
    for step, rung in enumerate(rungs):
        plan = step_plan(fused, (X, W), {}, view.model, step)
        made = collect(fusekit.fuse(function, plan=plan), (X, W), {}, timing=False).model
        # where simplification helps, the first kernels are those of the simplified operators
        row = rungs[1] if step == 0 and rungs[1]["kind"] == "capture" else rung
        assert made["totals"]["launches"] == row["launches"]
        assert made["ledger"]["fused"] == row["bytes"]
        torch.testing.assert_close(fusekit.fuse(function, plan=plan)(X, W), function(X, W))


def test_a_step_is_measured_against_the_plan_in_force():
    found = view_of(mlp).measure_step(1)
    assert repr(found) == "MeasuredStep(1: 6 launches, 60 KiB)"
    assert found.estimate == pytest.approx(60 / 36)
    low, high = found.interval or (0.0, math.inf)  # none where the machine leaves too few rounds
    assert 0 < low <= found.measured <= high or found.interval is None
    assert "measured" in str(found)
    assert found.to_dict()["variant"]["agrees"]


def test_an_estimate_that_is_far_off_is_flagged():
    found = view_of(mlp).measure_step(4)
    assert found.estimate == 1
    for seconds, off in ((5.0, True), (1.5, False), (0.4, True)):
        interval = 0.9 / seconds, 1.1 / seconds
        race = Race("current", seconds, 1.0, 0.2, 1 / seconds, interval, "slower", "")
        step = MeasuredStep(4, dataclasses.replace(found.variant, races=(race,)))
        assert step.disagrees == off
        assert ("disagree" in str(step)) == off
        assert step.interval == pytest.approx((seconds / 1.1, seconds / 0.9))
        few = dataclasses.replace(race, interval=None)
        step = MeasuredStep(4, dataclasses.replace(found.variant, races=(few,)))
        assert step.interval is None
        assert step.measured_text == ratio_text(seconds)


def test_what_cannot_be_measured_is_said(tmp_path):
    view = view_of(mlp)
    with pytest.raises(UsageError, match="no step 5 in the ladder; there are 0 to 4"):
        view.measure_step(5)
    with pytest.raises(UsageError, match="this view is a recording"):
        fusekit.load(view.save(tmp_path / "x.fk.json")).measure_step(1)


CHANGES = [
    "relu_1 - g1",
    "~sigmoid_1",
    "relu_1 - g1; ~sigmoid_1",
    "sigmoid_1 - mul_2",
    "mul_1 + relu_1",
]


@pytest.mark.parametrize("whole", [True, False], ids=["division", "constraints"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_planned_function_climbs_to_its_own_plan(change, whole):
    """Whether the plan gives every group, or only says what may join and what may not."""
    plan = fusekit.fuse(mlp).plan(X, W).but(change)
    plan = plan if whole else dataclasses.replace(plan, groups=None)
    fused = fusekit.fuse(mlp, plan=plan)
    model = collect(fused, (X, W), {}, timing=False).model
    last = model["ladder"][-1]
    assert last["launches"] == model["totals"]["launches"]
    assert last["bytes"] == model["ledger"]["fused"]
    for step in range(1, len(model["ladder"])):
        other = step_plan(fused, (X, W), {}, model, step)
        made = collect(fusekit.fuse(mlp, plan=other), (X, W), {}, timing=False).model
        assert made["totals"]["launches"] == model["ladder"][step]["launches"]
        assert made["ledger"]["fused"] == model["ladder"][step]["bytes"]
        torch.testing.assert_close(fusekit.fuse(mlp, plan=other)(X, W), mlp(X, W))


def test_a_step_of_a_planned_function_is_measured_against_its_plan():
    plan = fusekit.fuse(mlp).plan(X, W).but("relu_1 - g1")
    found = collect(fusekit.fuse(mlp, plan=plan), (X, W), {}, timing=False).measure_step(1)
    assert found.variant.current.launches == 4
    assert found.measured is not None


def test_a_planned_function_has_its_own_ladder_and_reasons():
    plan = fusekit.fuse(mlp).plan(X, W).but("relu_1 - g1")
    view = collect(fusekit.fuse(mlp, plan=plan), (X, W), {}, timing=False)
    assert view.model["ladder"][-1]["launches"] == view.model["totals"]["launches"] == 4
    (seam,) = [seam for seam in view.model["seams"] if seam["code"] == "FK0111"]
    assert next(check["code"] for check in seam["checks"] if not check["holds"]) == "FK0111"
    assert (seam["remedy"], seam["tried"]) == (None, None)


def test_the_panel_measures_and_remembers():
    view = view_of(mlp)
    session = view.session()
    said = []

    def asked(**fields):
        shown = Shown(32, "llvm", view.model)
        progress = Progress(said.append)
        return session.panel("ladder", {"pinned": "", **fields}, shown, progress)

    assert '<option value="4" selected>' in asked()
    first = asked(step="1", measure="1")
    assert '<th scope="row">1</th><td class="fk-num-cell">6</td>' in first
    assert "60 KiB" in first
    both = asked(step="2", measure="1")
    assert '<th scope="row">1</th>' in both
    assert '<th scope="row">2</th>' in both
    assert said


def test_the_panel_of_a_call_that_is_not_fused_says_so():
    def nothing(x, w):
        return x @ w

    view = view_of(nothing)
    answer = view.session().panel(
        "ladder", {"pinned": ""}, Shown(32, "llvm", view.model), Progress()
    )
    assert "Nothing was fused" in answer
    assert models.lstm_cell()["ladder"] == []
