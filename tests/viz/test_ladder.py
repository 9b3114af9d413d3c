"""The ladder: from eager to the plan in the partition's order, as rows, frames and an object."""

from __future__ import annotations

import re

import pytest
import torch

import fusekit
from fusekit.viz import FusionView, load
from fusekit.viz.collect.fused import collect
from fusekit.viz.decisions.ladder import _kernels, _key_steps
from fusekit.viz.page import block
from tests.viz import models

X, W = torch.ones(64, 64), torch.ones(64, 64)


def mlp(x, w):
    return torch.sigmoid(torch.relu(x * 2 + w) @ w) * 3 + x


def shared(x, w):
    return torch.cat([x * 2, w + 1], 1).relu() + 1


def optimizer(x, w):
    return x - 0.1 * w, x.t() - 0.1 * w.t()


def long(x, w):
    for _ in range(200):
        x = torch.relu(x) + w
    return x


def view_of(function):
    return collect(fusekit.fuse(function), (X, W), {}, timing=False)


@pytest.mark.parametrize("function", [mlp, shared, optimizer, long])
def test_it_begins_with_eager_and_ends_with_the_plan(function):
    model = view_of(function).model
    first, *_, last = model["ladder"]
    totals, ledger = model["totals"], model["ledger"]
    assert (first["launches"], first["bytes"]) == (totals["eager_launches"], ledger["eager"])
    assert (last["launches"], last["bytes"]) == (totals["launches"], ledger["fused"])


def test_each_step_says_what_it_saves():
    rungs = view_of(mlp).model["ladder"]
    assert [(rung["text"], rung["launches"], rung["bytes"] >> 10) for rung in rungs] == [
        ("every operator for itself", 7, 272),
        ("mul joins add", 6, 240),
        ("add joins relu", 5, 208),
        ("sigmoid joins mul", 4, 176),
        ("sigmoid joins add", 3, 144),
    ]


def test_the_joins_lead_to_the_groups():
    model = view_of(mlp).model
    nodes = [n for n in model["graph"]["nodes"] if n["kind"] in ("op", "opaque")]
    kernels = _kernels(model, nodes, len(model["ladder"]) - 2)
    before_last = {kernels[node] for group in model["groups"] for node in group["nodes"]}
    assert len(before_last) == len(model["groups"]) + 1
    all_joined = [pair for rung in model["ladder"] for pair in rung["joins"]]
    assert {node for pair in all_joined for node in pair} == {
        node for group in model["groups"] for node in group["nodes"]
    }


def test_what_is_computed_again_is_a_step():
    kinds = [rung["kind"] for rung in view_of(shared).model["ladder"]]
    assert kinds == ["eager", "capture", "join", "join", "join", "recompute"]


def test_many_joins_share_rows():
    model = view_of(long).model
    assert len(model["ladder"]) <= 123
    assert sum(len(rung["joins"]) for rung in model["ladder"]) == 399
    assert "fk-frame" not in block(model, hydrate=False)


def test_the_page_has_at_most_six_frames_and_a_row_for_each_step():
    model = view_of(mlp).model
    page = block(model, hydrate=False)
    assert page.count('class="fk-frame"') == 5
    assert len(re.findall(r'<tr data-step="\d+"', page)) == 5
    assert "32 KiB (12 %)" in page
    many = view_of(long).model["ladder"]
    assert len(_key_steps(many)) == 6
    assert {0, len(many) - 1} < set(_key_steps(many))


def test_no_ladder_where_nothing_was_fused(tmp_path):
    view = collect(fusekit.fuse(torch.cumsum), (X, 0), {}, timing=False)
    assert view.model["ladder"] == []
    assert str(view.ladder()) == "no steps: nothing was fused"
    assert "fk-ladder" not in block(view.model, hydrate=False)


def test_as_an_object_it_is_the_same_from_a_file(tmp_path):
    view = view_of(mlp)
    loaded = load(view.save(tmp_path / "x.fk.json"))
    assert repr(loaded.ladder()) == str(view.ladder())
    assert str(view.ladder()).splitlines()[1] == (
        "  1    6 launches    240 KiB     -32 KiB  mul joins add"
    )
    steps = view.ladder().to_dict()["steps"]
    assert [step["saved"] for step in steps] == [0, *[32 << 10] * 4]
    assert len(view.ladder()) == 5


def test_nothing_of_the_users_becomes_markup():
    model = models.hostile()
    rung = {"kind": "join", "text": models.EVIL, "joins": [["n4", "n5"]]}
    model["ladder"] = [{**rung, "launches": 3, "bytes": 9}, {**rung, "launches": 2, "bytes": 4}]
    page = block(FusionView(model).model, hydrate=False)
    assert "<script" not in page
    assert "<img src=x" not in page
