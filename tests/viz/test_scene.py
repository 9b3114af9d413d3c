"""What is drawn: folds, the pieces that a page puts together, and what they say."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import fusekit
from fusekit.viz.model.schema import Model
from fusekit.viz.picture import graphvizrun
from fusekit.viz.picture.data import picture_data
from fusekit.viz.picture.folding import Fold, fold, leaves
from fusekit.viz.picture.graphvizrun import Clock
from fusekit.viz.picture.pieces import ROOT, pieces
from fusekit.viz.picture.repeats import LEAST, repeats
from fusekit.viz.picture.scene import LIMIT, NARROW, WIDE, Story, scene
from tests.viz import models


@given(st.lists(st.integers(0, 3), max_size=60))
def test_runs_are_disjoint_and_repeat(items):
    last = 0
    for run in repeats(items):
        assert last <= run.start
        assert run.count >= LEAST
        for late in range(run.slack + 1):
            first = items[run.start + late : run.start + late + run.period]
            whole = items[run.start + late : run.stop + late]
            assert whole == first * run.count
        last = run.stop


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=8, unique=True),
    st.integers(LEAST, 12),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_a_repeated_stretch_is_found_wherever_it_is(stretch, count, before, after):
    """The ends are of items that occur once."""
    items = [*range(100, 100 + before), *(stretch * count), *range(200, 200 + after)]
    (run,) = repeats(items)
    assert (run.start, run.period, run.count) == (before, len(stretch), count)


class Counted:
    """An item that counts how often it is compared."""

    compared = 0

    def __init__(self, name: int) -> None:
        self.name = name

    def __hash__(self) -> int:
        return self.name

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return isinstance(other, Counted) and self.name == other.name


@pytest.mark.parametrize("stretch", [[1], [1, 2, 1, 3], list(range(40)) + list(range(20))])
def test_it_takes_steps_in_proportion(stretch):
    def steps(length: int) -> int:
        names = [*range(900, 907), *(stretch * (length // len(stretch))), *range(800, 810)]
        Counted.compared = 0
        repeats([Counted(name) for name in names])
        return Counted.compared

    assert steps(12_000) < 5 * steps(3_000)


def transformer(layers: int, *, head: int = 1) -> Model:
    """Layers of a kernel between products, after and before what is in no layer."""
    make = models.Maker("transformer", "")
    square = {"shape": (64, 64)}
    x = make.node("ids", kind="input", **square)
    last = make.node("embedding", x, kind="opaque", **square)
    mask = make.node("tril", kind="opaque", **square)
    for i in range(layers):
        w = make.node(f"h.{i}.w", kind="input", **square)
        v = make.node(f"h.{i}.v", kind="input", **square)
        wide = make.node("mm", last, w, kind="opaque", **square)
        moved = make.node("add", wide, mask, group=f"g{i + 1}", **square)
        bent = make.node("gelu", moved, group=f"g{i + 1}", **square)
        last = make.node("mm", bent, v, kind="opaque", **square)
        make.group(f"g{i + 1}", "llvm", "fk_0123", 16384, 16384)
    for _ in range(head):
        last = make.node("norm", last, kind="opaque", **square)
    make.node("out", last, kind="output", **square)
    make.totals(layers * 3 + 3, layers * 4 + 3, 512)
    return make.model


def test_layers_become_one_box_that_holds_layers_that_hold_groups():
    model = transformer(30)
    nodes = model["graph"]["nodes"]
    tree = fold(model)
    shown = [item.label if isinstance(item, Fold) else nodes[item]["label"] for item in tree]
    assert shown == ["ids", "embedding", "tril", "layer ×30", "norm", "out"]
    (layers,) = (item for item in tree if isinstance(item, Fold))
    assert [layer.label for layer in layers.items] == [f"layer {i}" for i in range(1, 31)]
    assert [layer.detail for layer in layers.items] == [f"h.{i}" for i in range(30)]
    (group,) = (item for item in layers.items[4].items if isinstance(item, Fold))
    assert (group.key, group.detail) == ("g4", "llvm · 2 ops")
    assert [nodes[i]["label"] for i in group.items] == ["add", "gelu"]


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize(
    "make",
    [
        lambda: transformer(40),
        lambda: models.chain(2000, groups=0),
        lambda: models.chain(2000, groups=3),
        lambda: models.chain(2000, groups=700),
        models.noisy_relu,
    ],
)
def test_every_node_is_in_it_once_and_no_level_is_too_large(make, grouped):
    model = make()
    tree = fold(model, grouped=grouped)
    assert sorted(leaves(tree)) == list(range(len(model["graph"]["nodes"])))
    levels = [tree, *(item.items for item in folds(tree))]
    assert max(map(len, levels)) <= LIMIT
    keys = [item.key for item in folds(tree)]
    assert len(keys) == len(set(keys))
    assert any(item.kind == "group" for item in folds(tree)) is (grouped and bool(model["groups"]))


def folds(items) -> list[Fold]:
    found = [item for item in items if isinstance(item, Fold)]
    return [*found, *(inner for item in found for inner in folds(item.items))]


def test_what_does_not_repeat_is_cut_into_parts():
    make = models.Maker("f", "")
    last = make.node("x", kind="input")
    for number in range(700):
        last = make.node(f"op{number}", last, kind="opaque")
    tree = fold(make.model)
    labels = [item.label for item in tree if isinstance(item, Fold)]
    assert labels[0] == f"part 1 of {len(labels)}"
    assert len(labels) > 5
    assert scene(make.model).note.startswith("701 nodes, folded")


def crossing(model: Model, grouped: bool) -> None:
    """Each edge appears in its piece, and at every border between its ends, exactly once."""
    story = Story(model, fused=grouped)
    tree = fold(model, limit=20, grouped=grouped)
    found = pieces(story, tree)
    inside = {ROOT: set(leaves(tree))} | {f.key: set(leaves(f.items)) for f in folds(tree)}
    for key, piece in found.items():
        ids = {node["id"]: i for i, node in enumerate(story.nodes)}
        into, out = set(), set()
        for edge in model["graph"]["edges"]:
            ends = [ids[edge[end]] in inside[key] for end in ("source", "target")]
            into |= {edge["value"]} if ends == [False, True] else set()
            out |= {edge["value"]} if ends == [True, False] else set()
        assert set(piece.inputs) == into
        assert set(piece.outputs) == out
        boxes = {box.key for box in piece.boxes}
        ports = {f"i{i}" for i in range(len(into))} | {f"o{i}" for i in range(len(out))}
        for wire in piece.wires:
            assert {wire.tail, wire.head} <= boxes | ports
        assert len({(w.tail, w.head, w.value) for w in piece.wires}) == len(piece.wires)


@pytest.mark.parametrize("grouped", [True, False])
def test_wires_cross_borders_through_ports(grouped):
    crossing(transformer(9), grouped)
    crossing(models.chain(90, groups=4), grouped)


def test_a_tensor_that_every_layer_reads_is_named_beside_them():
    model = transformer(40)
    (layers,) = folds(fold(model))[:1]
    piece = pieces(Story(model), fold(model))[layers.key]
    tags = [box for box in piece.boxes if box.kind == "tag"]
    assert [(tag.label, tag.values) for tag in tags] == [("tril", (2,))] * 39
    heads = [wire.head for wire in piece.wires if wire.value == 2]
    assert heads == [layer.key for layer in layers.items]


def test_equal_layers_are_laid_out_once():
    data = json.loads(picture_data(transformer(40)))
    assert len(data["after"]["pieces"]) == 1 + 1 + 40 + 40
    # the whole, the row of layers, a layer before and one after fusion, and a kernel
    assert len(data["layouts"]) == 5
    assert len(picture_data(transformer(40))) < 60_000


class Spent(Clock):
    """A clock whose time is up after so many layouts."""

    def __init__(self, layouts: int) -> None:
        super().__init__(5)
        self.layouts = layouts

    def left(self) -> float:
        self.layouts -= 1
        if self.layouts < 0:
            raise self.timeout()
        return super().left()


def test_what_takes_too_long_cannot_be_unfolded(monkeypatch):
    monkeypatch.setattr(graphvizrun, "_DONE", {})
    assert picture_data(transformer(41), clock=Spent(0)) == ""
    whole = json.loads(picture_data(transformer(41), clock=Spent(1)))
    assert whole["after"]["folds"] == whole["before"]["folds"] == []
    assert [piece is None for piece in whole["after"]["pieces"]] == [False] + [True] * 83


def test_a_seam_is_as_wide_as_its_bytes():
    model = models.gated_mlp()
    model["seams"][0]["bytes"] = 8 << 20
    model["seams"][1]["bytes"] = 32 << 20
    widths = {wire.bytes: wire.width for wire in scene(model).wires if not wire.code}
    assert set(widths.values()) == {1.3}
    seams = [wire.width for wire in scene(model).wires if wire.code]
    assert seams == [NARROW + (WIDE - NARROW) / 4, WIDE]


def test_before_fusion_every_operator_writes_memory():
    story = Story(models.gated_mlp(), fused=False)
    whole = pieces(story, fold(models.gated_mlp(), grouped=False))[ROOT]
    memory = [(wire.tail, wire.head) for wire in whole.wires if wire.kind == "memory"]
    names = {box.key: box.label for box in whole.boxes}
    assert [(names[a], names[b]) for a, b in memory] == [
        ("mul", "add"),
        ("add", "relu"),
        ("relu", "mm"),
        ("mm", "sigmoid"),
        ("sigmoid", "mul"),
        ("mm", "mul"),
        ("mul", "add"),
    ]
    assert not any(wire.code for wire in whole.wires)


def test_boxes_and_wires_say_type_bytes_and_strides():
    shown = scene(models.gated_mlp())
    box = next(box for box in shown.boxes if box.label == "b")
    assert box.detail == "f32[2048] · 8 KiB"
    assert box.title == "b\nf32[2048] · 8 KiB\nstrides [1]\nmodel.py:3"
    assert all(" · " in wire.title for wire in shown.wires)
    (seam, _) = (wire for wire in shown.wires if wire.code)
    assert seam.title.splitlines() == [
        "f32[2048,2048] · 16 MiB",
        "FK0101: its result is needed whole by a matrix product",
        "32 MiB, 1 launch",
    ]


def test_a_long_name_keeps_its_end():
    model = transformer(1)
    model["graph"]["nodes"][3]["label"] = "model.transformer.h.0.attention.weight"
    labels = [box.label for box in scene(model).boxes]
    assert labels[3] == "…h.0.attention.weight"


def test_a_number_between_kernels_is_a_thin_seam():
    """Its width is measured beside the largest tensor, not beside itself."""

    def function(x):
        return x * 2 * x.sum()

    view = fusekit.explore(function, torch.rand(64, 64))
    (seam,) = (wire for wire in scene(view.model).wires if wire.kind == "seam")
    assert NARROW <= seam.width < NARROW + 0.1
