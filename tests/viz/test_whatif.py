"""Variants of a call, from a view and from the panel: what they say, keep and refuse."""

from __future__ import annotations

import html
import re

import pytest
import torch

import fusekit
from fusekit.bench import Settings
from fusekit.bench.trying import trials as trials_
from fusekit.errors import PlanRefused, UsageError
from fusekit.viz import FusionView
from fusekit.viz.collect.fused import collect
from fusekit.viz.live.deck import CURRENT, Deck
from fusekit.viz.live.whatif import operators, options_for
from fusekit.viz.panels import Cancelled, Progress, Shown
from fusekit.viz.panels.fields import in_words
from tests.viz import models

X, Y, W = (torch.randn(16, 16) for _ in range(3))


def gated(x, y, w):
    h = torch.relu(x * y + 1)
    return torch.sigmoid(h @ w) * h


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(trials_, "_QUICK", Settings(runs=5, seconds=0.05))


@pytest.fixture
def view() -> FusionView:
    return collect(fusekit.fuse(gated), (X, Y, W), {}, timing=False)


class Asked:
    """The panel of one view, asked as the browser asks it."""

    def __init__(self, view: FusionView) -> None:
        self.session = view.session()
        self.model = view.model

    def __call__(self, *, progress: Progress | None = None, size: int = 16, **fields: str) -> str:
        shown = Shown(size, "llvm", self.model)
        given = {"pinned": "", **fields}
        return self.session.panel("what-if", given, shown, progress or Progress())

    def value(self, label: str) -> str:
        nodes = self.model["graph"]["nodes"]
        return str(next(node["value"] for node in nodes if node["label"] == label))


@pytest.fixture
def asked(view) -> Asked:
    return Asked(view)


def text_of(page: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", " ", page))


# from Python


def test_a_view_tries_variants(view):
    variant = view.what_if("relu - g1")
    assert repr(variant) == "Variant(gated: relu - g1; 3 groups)"
    assert view.what_if(dtype="float64").agreement.holds
    with pytest.raises(PlanRefused, match=r"FK0105.*mm_1 stands between"):
        view.what_if("relu + sigmoid")
    assert not view.legality("relu + sigmoid").legal
    assert view.legality("relu - g1").legal
    assert view.plan().groups == (("mul_1", "add_1", "relu_1"), ("sigmoid_1", "mul_2"))
    with pytest.raises(UsageError, match="no option 'speed'"):
        view.what_if(speed=3)


def test_a_recording_has_nothing_to_try():
    view = FusionView(models.lstm_cell())
    for ask in (view.plan, view.what_if, lambda: view.legality("a + b")):
        with pytest.raises(UsageError, match="recording"):
            ask()


# what can be done


def test_operators_and_their_options(view):
    fused, args, _ = view.session().call()
    program = fused.entry(args, {}).program
    known = {operator.name: operator for operator in operators(program)}
    assert list(known) == ["mul_1", "add_1", "relu_1", "mm_1", "sigmoid_1", "mul_2"]
    assert known["mm_1"].place == "run by PyTorch"
    assert known["relu_1"].neighbours == ("add_1", "mm_1", "mul_2")
    offered = options_for(program, view.plan(), [known["relu_1"]])
    assert [(option.change, option.verdict.legal) for option in offered] == [
        ("relu_1 - g1", True),
        ("relu_1 + g2", False),
        ("relu_1 - add_1", True),
        ("~relu_1", True),
    ]
    both = options_for(program, view.plan(), [known["mul_1"], known["relu_1"]])
    assert [option.change for option in both] == ["mul_1 + relu_1", "mul_1 - relu_1"]
    assert options_for(program, view.plan(), [known["mm_1"]]) == []


# the deck


def test_a_deck_keeps_stars_and_compares(view, tmp_path):
    deck = Deck()
    first = deck.add(view.what_if("relu - g1"))
    second = deck.add(view.what_if("~relu"))
    assert (first.number, second.number, repr(deck)) == (1, 2, "Deck(2 cards)")
    assert deck.star(2).starred
    assert str(deck).splitlines()[1].startswith("2* Variant(gated: ~relu")
    found = deck.compare(CURRENT, 1)
    assert found.same == (("sigmoid_1", "mul_2"),)
    assert found.first == (("mul_1", "add_1", "relu_1"),)
    assert found.second == (("mul_1", "add_1"), ("relu_1",))
    assert found.launches == (3, 4)
    assert "+ relu_1" in str(found)
    path = deck.save(tmp_path / "x.deck.json")
    assert fusekit.fuse(gated, plan=path).plan(X, Y, W) == second.variant.plan
    deck.star(2)
    with pytest.raises(UsageError, match="star"):
        fusekit.fuse(gated, plan=deck.to_dict())
    deck.remove(2)
    assert fusekit.fuse(gated, plan=deck.dumps()).plan(X, Y, W) == first.variant.plan
    for number in (2, 7):
        with pytest.raises(UsageError, match="no card"):
            deck.remove(number)
    with pytest.raises(UsageError):
        deck.compare(CURRENT, CURRENT)
    assert deck.add(first.variant).number == 3


# the panel


def test_the_panel_offers_what_can_be_done(asked):
    assert "Pin an operator" in asked()
    page = text_of(asked(pinned=asked.value("relu")))
    assert "Pinned: relu_1, in group 1" in page
    assert "take relu_1 out of its group legal: 3 groups" in re.sub(r"\s+", " ", page)
    assert "mm_1 stands between relu_1 and mul_2" in page
    assert "nothing can be changed" in asked(pinned=asked.value("mm"))
    assert "data-pin" in asked()


def test_choosing_judges_and_compiles_nothing(asked):
    asked()
    before = fusekit.stats().kernels
    page = asked(pinned=asked.value("relu"), add="relu_1 - g1")
    assert 'value="relu_1 - g1"' in page
    assert "Would be legal: 3 groups" in page
    page = asked(change="relu_1 - g1", add="~sigmoid_1")
    assert 'value="relu_1 - g1; ~sigmoid_1"' in page
    page = asked(change="relu_1 + mul_2")
    assert "Not legal." in page
    assert "mm_1 stands between relu_1 and mul_2" in page
    assert "there is" not in asked(change="relu_1 - g1", clear="1")
    assert "fk-error" in asked(change="relu_1 - g9")
    assert fusekit.stats().kernels == before


def test_trying_adds_a_card(asked):
    page = asked(change="relu_1 - g1", **{"try": "1"})
    assert "This is card 1 of the deck" in page
    cells = text_of(page)
    assert "2 → 3" in cells
    assert "3 → 4" in cells
    page = asked(change="relu_1 - g1; mul_1 + sigmoid_1", **{"try": "1"})
    assert "Not legal." in page
    assert "Deck of 1 card" in page
    page = asked(dtype="float64", engine="reference", extent="8", fast="off", **{"try": "1"})
    assert "2: engine reference, fast off, float64, shape 8" in page
    page = asked(star="2")
    assert 'aria-pressed="true"' in page
    assert "only current" in asked(compare="1", one="0", other="1")
    assert "fusekit-plan" in asked(plan="1")
    assert "Deck of 1 card" in asked(remove="2")


def test_the_extent_is_a_slider_over_powers_of_two_and_its_own(asked):
    page = asked()
    assert 'data-stops="1 2 4 8 16 32 64"' in page
    assert 'value="4" aria-valuetext="16, as now"' in page
    assert page.count("class=fk-own") == 1
    page = asked(extent="24")
    assert 'type="number" name="extent" value="24" min="1"' in page
    assert "<output>24, 1.5 times as now</output>" in page
    assert "Deck" not in page
    with pytest.raises(fusekit.UsageError, match="the first extent is from 1 to"):
        asked(extent="0")


def test_what_cannot_be_read_leaves_the_form_as_it_is(asked):
    page = asked(change="mul_1 <b>")
    assert "'mul_1 <b>' is no change of a plan" in text_of(page)
    assert 'name="change" value="mul_1 &lt;b&gt;"' in page


def test_the_extent_as_it_is_changes_nothing(asked):
    page = asked(extent="16", fast="off", **{"try": "1"})
    assert "1: fast off" in page
    assert "shape 16" not in page


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (4096, "4,096, as now"),
        (8192, "8,192, twice as now"),
        (2048, "2,048, half of now"),
        (4, "4, 1/1,024 of now"),
        (16384, "16,384, 4 times as now"),
    ],
)
def test_an_extent_in_words(value, said):
    assert in_words(value, 4096) == said


def test_the_deck_stays_at_other_sizes(asked):
    asked(change="relu_1 - g1", **{"try": "1"})
    page = asked(size=8)
    assert "Deck of 1 card" in page
    assert "llvm, 16 × 16" in page


def test_a_trial_is_stopped(asked):
    progress = Progress()
    progress.cancel()
    with pytest.raises(Cancelled):
        asked(progress=progress, change="relu_1 - g1", **{"try": "1"})
    assert "Deck" not in asked()


def test_the_panel_escapes(asked):
    page = asked(change='"><script>alert(1)</script>')
    assert "<script>" not in page


def test_a_live_view_of_a_plan_shows_that_plan(view):
    plan = view.plan().but("relu - g1")
    split = collect(fusekit.fuse(gated, plan=plan), (X, Y, W), {}, timing=False)
    assert split.model["totals"]["groups"] == 3
    assert split.session().rerun(8, "llvm")["totals"]["groups"] == 3
    assert "FK0111" in {seam["code"] for seam in split.model["seams"]}
