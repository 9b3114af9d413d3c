"""Why not: checks with their operands, changes that were tried, pairs, the card in the page."""

from __future__ import annotations

import re

import pytest
import torch

import fusekit
from fusekit.viz import FusionView, load
from fusekit.viz.collect.fused import collect
from fusekit.viz.page import block
from tests.viz import models

SQUARE = torch.ones(64, 64)


def view_of(function, *args, **options):
    with fusekit.options(**options):
        return collect(fusekit.fuse(function, name="f"), args, {}, timing=False)


def flipped(x, y):
    return torch.relu(x + 1).flip(0) * 2 + y


def viewed(x, y):
    h = torch.relu(x + 1)
    return h.t() * 2, h + y


def scaled(x, y):
    return torch.relu((x * 0.5) @ y)


def diagonal(x, y):
    return torch.relu(x @ torch.diag(y[0])) + 1


def small(x, y):
    return torch.exp(torch.lgamma(y[0]) + 1) * x + 1


def reshaped(x, y):
    return (x * 2).reshape(-1) + y.reshape(-1)


def crossed(x, y):
    h = torch.relu(x + 1)
    return torch.tanh(h @ y) + h


def drawn(x, y):
    return x + torch.randn_like(x) * y


FOUND = [
    (flipped, SQUARE, "put flip before relu and add", (3, 2), 32 << 10),
    (viewed, SQUARE, "apply t to the operands of relu", (2, 1), 16 << 10),
    (scaled, SQUARE, "put mm before mul (the same but for rounding)", (3, 2), 32 << 10),
    (diagonal, SQUARE, "multiply by the vector instead of mm", (3, 1), 64 << 10),
    (small, SQUARE, "expand the operands of exp to [64, 64] first", (2, 1), 512),
    (reshaped, SQUARE.t(), "pass x.contiguous()", (2, 1), 32 << 10),
]


@pytest.mark.parametrize(("function", "x", "text", "launches", "saved"), FOUND)
def test_a_change_is_found_and_what_it_brings_is_counted(function, x, text, launches, saved):
    seams = view_of(function, x, SQUARE).model["seams"]
    found = [seam["remedy"] for seam in seams if seam["remedy"]]
    assert re.sub(r" \(line \d+\)", "", found[0]["text"]).startswith(text)
    assert (found[0]["before"], found[0]["after"], found[0]["saved"]) == (*launches, saved)


def by_hand_flip(x, y):
    return torch.relu(x.flip(0) + 1) * 2 + y


def by_hand_scaled(x, y):
    return torch.relu((x @ y) * 0.5)


def by_hand_diagonal(x, y):
    return torch.relu(x * y[0]) + 1


def by_hand_small(x, y):
    return torch.exp(torch.lgamma(y[0].expand(64, 64)) + 1) * x + 1


BY_HAND = [
    (flipped, by_hand_flip),
    (scaled, by_hand_scaled),
    (diagonal, by_hand_diagonal),
    (small, by_hand_small),
]


@pytest.mark.parametrize(("before", "after"), BY_HAND)
def test_making_the_change_by_hand_gives_the_launches_that_were_promised(before, after):
    args = torch.rand(64, 64) + 1, torch.rand(64, 64) + 1
    torch.testing.assert_close(before(*args), after(*args))
    seams = view_of(before, *args).model["seams"]
    promised = next(seam["remedy"] for seam in seams if seam["remedy"])
    old, new = view_of(before, *args).model, view_of(after, *args).model
    assert old["totals"]["launches"] == promised["before"]
    assert new["totals"]["launches"] == promised["after"]
    assert old["ledger"]["fused"] - new["ledger"]["fused"] == promised["saved"]


def test_the_option_that_is_named_is_large_enough():
    def many(x, y):
        return sum(torch.relu(x[i] * y[i]) for i in range(12))

    seams = view_of(many, SQUARE, SQUARE, max_arguments=16).model["seams"]
    texts = {seam["remedy"]["text"] for seam in seams if seam["remedy"]}
    assert texts
    for text in texts:
        raised = int(text.removeprefix("fusekit.options(max_arguments=").removesuffix(")"))
        again = view_of(many, SQUARE, SQUARE, max_arguments=raised).model
        assert again["totals"]["launches"] < len(seams) + 1


def test_where_nothing_helps_the_card_says_so():
    view = view_of(crossed, SQUARE, SQUARE)
    assert [seam["remedy"] for seam in view.model["seams"]] == [None] * 3
    assert "change: no change found" in str(view.seams())
    assert "no change found" in block(view.model)


def test_the_checks_are_in_order_with_their_operands():
    (seam,) = [s for s in view_of(crossed, SQUARE, SQUARE).model["seams"] if s["code"] == "FK0105"]
    assert [(check["code"], check["holds"]) for check in seam["checks"]] == [
        ("FK0101", True),
        ("FK0106", True),
        ("FK0105", False),
        ("FK0107", True),
    ]
    assert seam["checks"][1]["operands"] == "relu.shape=(64, 64) and add.shape=(64, 64)"
    assert seam["checks"][2]["operands"] == ("a path leads through other steps: mm stands between")
    labels = {
        node["id"]: node["label"]
        for node in view_of(crossed, SQUARE, SQUARE).model["graph"]["nodes"]
    }
    assert [labels[node] for node in seam["nodes"]] == ["relu", "add"]


def test_different_shapes_are_named():
    (seam,) = view_of(small, SQUARE, SQUARE).model["seams"]
    assert seam["checks"][-1]["operands"] == "exp.shape=(64) vs mul.shape=(64, 64)"
    assert not seam["checks"][-1]["holds"]


def test_the_first_check_that_fails_is_the_seams_reason():
    for function in (flipped, viewed, scaled, diagonal, small, crossed, drawn):
        for seam in view_of(function, SQUARE, SQUARE).model["seams"]:
            failing = next(check for check in seam["checks"] if not check["holds"])
            assert (failing["code"], failing["sentence"]) == (seam["code"], seam["sentence"])


def test_all_pairs_are_counted_alike_ones_together():
    def six(*given):
        return [torch.relu(tensor) for tensor in given]

    pairs = view_of(six, *(torch.ones(n, 4) for n in range(2, 8))).model["pairs"]
    assert pairs["total"] == 15 == sum(row["count"] for row in pairs["rows"])
    assert {row["code"] for row in pairs["rows"]} == {"FK0106"}
    same = view_of(six, *(torch.ones(4, 4) for _ in range(6))).model["pairs"]
    assert [(row["code"], row["count"]) for row in same["rows"]] == [("", 15)]
    assert "and 12 more" in block(view_of(six, *(torch.ones(4, 4) for _ in range(6))).model)


def test_the_row_links_what_crosses_and_the_card_folds():
    view = view_of(viewed, SQUARE, SQUARE)
    (seam,) = view.model["seams"]
    page = block(view.model)
    value = {n["id"]: n["value"] for n in view.model["graph"]["nodes"]}
    linked = {str(seam["value"]), *(str(value[node]) for node in seam["nodes"])}
    row = page[page.index('<table class="fk-table fk-seams') :]
    marked = row[row.index('data-v="') + 8 :].partition('"')[0]
    assert set(marked.split()) == linked
    assert "5 checks, 2 in the way" in page
    assert "verified: 2 launches → 1, saves 16 KiB" in page


def test_a_price_has_a_time_only_if_the_bandwidth_was_measured():
    view = view_of(viewed, SQUARE, SQUARE)
    assert "about" not in str(view.seams())
    assert "price: 32 KiB, 1 launch, about 32.8 µs" in str(view.seams(bytes_per_second=1e9))
    assert view.seams().to_dict()["seams"][0]["seconds"] is None


def test_it_is_the_same_from_a_file_and_in_every_run(tmp_path):
    view = view_of(flipped, SQUARE, SQUARE)
    loaded = load(view.save(tmp_path / "x.fk.json"))
    assert (
        repr(loaded.seams()) == str(view.seams()) == str(view_of(flipped, SQUARE, SQUARE).seams())
    )
    assert len(loaded.seams()) == 2


def test_trying_changes_leaves_no_trace():
    fused = fusekit.fuse(flipped)
    fused(SQUARE, SQUARE)
    before = fusekit.stats()
    collect(fused, (SQUARE, SQUARE), {}, timing=False)
    assert fusekit.stats() == before


def test_nothing_of_the_users_becomes_markup():
    model = models.hostile()
    for seam in model["seams"]:
        check = {"code": models.EVIL, "sentence": models.EVIL, "holds": False}
        seam["checks"] = [{**check, "operands": models.EVIL}]
        seam["remedy"] = {"text": models.EVIL, "before": 2, "after": 1, "saved": 3}
    pair = {"code": models.EVIL, "sentence": models.EVIL, "detail": models.EVIL, "count": 1}
    model["pairs"] = {"rows": [{**pair, "examples": [models.EVIL]}], "total": 1}
    page = block(model, hydrate=False)
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "\x1b" not in str(FusionView(model).seams())
