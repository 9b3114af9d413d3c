"""Variants of a call: compiled, checked against eager, timed; other arguments and processors."""

from __future__ import annotations

import json

import pytest
import torch

import fusekit
from fusekit.bench import Settings
from fusekit.bench.trying import trials as trials_
from fusekit.bench.trying.agreement import Agreement, agreement
from fusekit.bench.trying.targets import targets
from fusekit.errors import PlanRefused, UsageError

X, Y, W = (torch.randn(16, 16) for _ in range(3))


def gated(x, y, w):
    h = torch.relu(x * y + 1)
    return torch.sigmoid(h @ w) * h


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(trials_, "_QUICK", Settings(runs=5, seconds=0.05))


def tried(change="", **options):
    return fusekit.bench.what_if(fusekit.fuse(gated), (X, Y, W), change=change, **options)


def test_an_operator_out_of_its_group_is_a_launch_more():
    variant = tried("relu - g1")
    assert repr(variant) == "Variant(gated: relu - g1; 3 groups)"
    assert variant.made.groups == (("mul_1", "add_1"), ("relu_1",), ("sigmoid_1", "mul_2"))
    assert (variant.current.launches, variant.made.launches) == (3, 4)
    # the result of relu is stored and loaded once more, and so is the sum before it
    assert variant.made.nbytes - variant.current.nbytes == 2 * X.nbytes
    assert variant.agreement.holds
    assert [race.against for race in variant.races] == ["current", "eager"]
    assert all(race.seconds > 0 for race in variant.races)
    assert "launches 3 -> 4" in str(variant)
    assert json.loads(json.dumps(variant.to_dict()))["made"]["launches"] == 4


def test_a_variant_is_replayed():
    variant = tried("relu - g1; ~sigmoid")
    again = fusekit.fuse(gated, plan=variant.plan.to_dict())
    assert again.plan(X, Y, W) == variant.plan
    torch.testing.assert_close(again(X, Y, W), gated(X, Y, W))


def test_an_illegal_variant_says_why():
    with pytest.raises(PlanRefused, match=r"FK0105.*mm_1 stands between"):
        tried("relu + sigmoid")


@pytest.mark.parametrize(
    "options",
    [
        {"engine": "reference"},
        {"threads": 1},
        {"fast": True},
        {"dtype": torch.float64},
        {"dtype": "bfloat16"},
        {"shape": 24},
        {"layout": "transposed"},
        {"layout": "strided"},
        {"plan": {}},
    ],
    ids=str,
)
def test_anything_else_may_change(options):
    if "plan" in options:
        options = {"plan": fusekit.fuse(gated).plan(X, Y, W).but(alone=["add"]).to_dict()}
    before = torch.get_num_threads(), X.clone()
    variant = tried(**options)
    assert variant.was_run
    assert variant.agreement.holds, variant.agreement
    assert str(variant.change) != "nothing"
    assert (torch.get_num_threads(), X.equal(before[1])) == (before[0], True)
    assert not fusekit.config.current().fast


def test_what_is_not_here_is_compiled_and_not_run():
    if not targets("cpu"):
        pytest.skip("no other target that kernels can be compiled for")
    for target in targets("cpu"):
        variant = tried("relu - g1", target=target)
        assert not variant.was_run
        assert variant.agreement is None
        assert variant.made.figures.target == target
        assert variant.made.figures.instructions > 20
        assert variant.made.figures.registers > 2
        assert f"not run here: compiled for {target} only" in str(variant)


def test_wide_registers_take_other_code():
    if "avx2" not in targets("cpu"):
        pytest.skip("no x86 CPU")
    narrow, wide = (tried(target=name).made.figures for name in ("avx2", "avx512"))
    assert narrow != wide
    assert narrow.registers <= 16 < wide.registers


def test_functions_that_write_or_draw():
    def writes(x, y):
        x.mul_(y).add_(1)
        return torch.exp(x)

    x = X.clone()
    variant = fusekit.fuse(writes).what_if(x, Y, change="exp - g1")
    assert variant.agreement.holds
    assert torch.equal(x, X)

    def draws(x):
        return torch.relu(x) * torch.rand_like(x)

    state = torch.get_rng_state()
    fused = fusekit.fuse(draws)
    variant = fused.what_if(X, change="relu - g1")
    assert variant.agreement is None
    assert "draws random numbers" in variant.note
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "options",
    [
        {"dtype": "int3"},
        {"layout": "diagonal"},
        {"shape": (4, 4, 4)},
        {"shape": (16, 8)},
        {"shape": (-1, -1)},
        {"engine": "no such"},
        {"target": "z80"},
        {"speed": 3},
        {"change": "relu"},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_the_users_error(options):
    with pytest.raises(UsageError):
        tried(**options)


def test_agreement_with_eager():
    x = torch.tensor([1.0, float("nan"), -0.0, 3e-39])
    assert agreement(x, x.clone()).ulp == 0
    near = x.clone()
    near[0] = torch.nextafter(near[0], torch.tensor(2.0))
    assert agreement(near, x).ulp == 1
    assert str(agreement(near, x)) == "1 ulp"
    near[0] = 1.001
    found = agreement(near, x)
    assert not found.holds
    assert "1 of 4 elements differ" in str(found)
    exact = x.double().index_fill(0, torch.tensor([0]), 1.0008)
    assert agreement(near, x, exact).holds  # no farther from float64 than eager
    flushed = x.clone()
    flushed[3] = 0.0
    assert agreement(flushed, x).ulp == 0
    for other, said in (
        (x.double(), "float64"),
        (x.view(2, 2), "[2, 2]"),
        (torch.zeros(4, 2)[:, 0], "strides"),
        ([x, x], "2 results"),
        (3, "3"),
    ):
        assert said in str(agreement(other, x))
    assert agreement((1, float("nan")), (1, float("nan"))).holds
    assert not agreement(1, 1.0).holds


def test_large_errors_are_written_out():
    assert str(Agreement(ulp=32_768.4)) == "32,768 ulp"
    assert str(Agreement(ulp=1.25)) == "1.25 ulp"
    assert str(Agreement(ulp=5000.0, complaint="other shapes")) == "other shapes"
