"""The graph in words: everything is in it, once, and each sentence is true of the model."""

from __future__ import annotations

import re

import hypothesis.strategies as st
import pytest
from hypothesis import given

from fusekit.viz import FusionView
from fusekit.viz.model.schema import new_model
from fusekit.viz.outline.outline import Entry, outline, outline_html, outline_text
from fusekit.viz.outline.relations import Relations
from fusekit.viz.page import block
from tests.viz import models

MODELS = (models.lstm_cell, models.gated_mlp, models.noisy_relu)


def every(entries: tuple[Entry, ...]) -> list[Entry]:
    return [found for entry in entries for found in (entry, *every(entry.below))]


def find(model, key: str) -> Entry:
    (found,) = [entry for entry in every(outline(model)) if entry.key == key]
    return found


@pytest.mark.parametrize("make", MODELS)
def test_every_node_group_and_seam_has_one_sentence(make):
    model = make()
    keys = [entry.key for entry in every(outline(model))]
    wanted = {f"n{i}" for i in range(len(model["graph"]["nodes"]))}
    wanted |= {f"g{i}" for i in range(len(model["groups"]))}
    wanted |= {f"s{i}" for i in range(len(model["seams"]))}
    assert sorted(keys) == sorted(wanted | {"inputs", "groups", "seams", "outputs"})


def test_the_landmarks_come_in_the_order_of_the_data():
    found = outline(models.noisy_relu())
    assert [entry.key for entry in found] == ["inputs", "groups", "seams", "outputs"]
    # What runs stands in the order in which it runs, groups and calls alike.
    assert [entry.key for entry in found[1].below] == ["n2", "g0", "n6", "n7"]


def test_sentences():
    model = models.gated_mlp()
    said = {entry.key: entry.sentence for entry in every(outline(model))}
    assert said["inputs"] == "4 inputs."
    assert said["groups"] == (
        "2 groups and 1 operator run by PyTorch, in the order in which they run."
    )
    assert said["seams"] == "2 seams: 64 MiB through memory."
    assert said["n3"] == "number scale, f64, line 3: read by mul."
    assert said["n7"] == (
        "mm, f32[2048,2048], 16 MiB, run by PyTorch, line 5: not a pointwise operator (FK0101); "
        "reads relu, w; read by sigmoid, mul 2."
    )
    assert said["n9"] == (
        "mul 2, f32[2048,2048], 16 MiB, operator 2 of 3 in g2, line 6: reads sigmoid, mm; "
        "read by add 2."
    )
    assert said["n11"] == "output out 0, f32[2048,2048], 16 MiB, line 6: made by add 2."
    assert said["g0"] == (
        "g1, kernel 1 of 2, 3 ops, cuda, saves 64 MiB: reads 16 MiB, writes 16 MiB; "
        "1 seam out (FK0101)."
    )
    assert said["s1"] == (
        "seam 2 of 2, mm to g2, FK0101: a matrix product is not a pointwise operator; "
        "costs 32 MiB and 1 launch; no change found."
    )


def test_the_smallest_change_is_said():
    assert find(models.noisy_relu(), "s0").sentence.endswith(
        "what may help: pass noise as an argument."
    )


def test_a_graph_without_seams_says_so():
    assert find(models.lstm_cell(), "seams").sentence == "no seams."


def test_many_readers_are_counted():
    maker = models.Maker("f", "def f(x): ...")
    x = maker.node("x", kind="input", shape=(4,))
    for _ in range(9):
        maker.node("neg", x, group=None, kind="opaque", shape=(4,))
    assert find(maker.model, "n0").sentence.endswith("read by neg, neg 2, neg 3, neg 4 and 5 more.")
    assert outline(maker.model)[0].sentence == "1 input."


def test_links_lead_where_the_model_says():
    model = models.gated_mlp()
    links = dict(find(model, "n7").links)
    assert links == {"v": "7", "l": "5", "g": "", "r": "6 1", "d": "0"}
    assert dict(find(model, "s0").links) == {"v": "6", "e": "n6 n7"}
    assert find(model, "g1").title == "fk_0f1e2d3c4b5a"


@given(st.integers(0, 60), st.integers(1, 7), st.integers(0, 70))
def test_a_long_graph_is_cut_and_says_so(length, groups, limit):
    model = models.chain(length, groups=groups)
    entries = every(outline(model, limit=limit))
    operators = [entry for entry in entries if entry.kind == "op"]
    assert len(operators) == min(length, limit)
    said = next(entry.sentence for entry in entries if entry.key == "groups")
    assert (f"the first {limit} of {length} operators" in said) == (length > limit)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=40))
def test_reads_and_readers_are_two_sides_of_the_edges(pairs):
    maker = models.Maker("f", "def f(): ...")
    ids = [maker.node("x", kind="input", shape=(2,)) for _ in range(21)]
    nodes = maker.model["graph"]["nodes"]
    edges = {(a, b) for a, b in pairs if a < b}
    for a, b in sorted(edges):
        maker._edge(ids[a], nodes[b])
    found = Relations(maker.model)
    assert {(a, b) for b, reads in enumerate(found.reads) for a in reads} == edges
    assert {(a, b) for a, readers in enumerate(found.readers) for b in readers} == edges


def test_the_text_is_the_list_of_the_page():
    model = models.noisy_relu()
    lines = [line.partition(". ")[2] for line in outline_text(model).splitlines()]
    spans = re.findall(r'<span class="fk-o"[^>]*>([^<]*)</span>', outline_html(model))
    assert lines == spans
    assert FusionView(model).outline() == outline_text(model)
    assert outline_html(model) in block(model, hydrate=False)


def test_an_empty_graph_has_no_outline():
    assert outline_html(new_model("f")) == outline_text(new_model("f")) == ""


def test_hostile_names_stay_text():
    text = outline_html(models.hostile())
    assert "<script" not in text
    assert "<img" not in text
    assert "\x1b" not in text
    assert not re.search(r"\son\w+=", re.sub(r'"[^"]*"', '""', re.sub(r">[^<]*<", "><", text)))
