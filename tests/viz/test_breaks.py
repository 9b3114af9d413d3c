"""Graph breaks in views of whole programs: seams with a reason, a line and the bytes that cross."""

from __future__ import annotations

import re

import pytest
import torch

import fusekit
from fusekit.viz.collect.wholeprogram import collect_compiled
from fusekit.viz.model.schema import check
from fusekit.viz.picture.scene import scene


@pytest.fixture(autouse=True)
def fresh():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def view_of(function, *args, **options):
    program = torch.compile(function, backend="fusekit", **options)
    view = collect_compiled(program, args, {}, timing=False)
    check(view.model)
    return view


def breaks(view):
    return [seam for seam in view.model["seams"] if seam["code"] != "FK0101"]


def line_of(view, text):
    user = view.model["user"]
    lines = user["text"].splitlines()
    return user["first"] + next(i for i, line in enumerate(lines) if text in line)


def said(x):
    y = torch.relu(x * 2)
    print(end="")
    return y.sigmoid() * y + x


def test_a_break_is_a_seam_between_the_kernels_at_its_line():
    x = torch.randn(64, 4)
    view = view_of(said, x)
    (seam,) = breaks(view)
    assert (seam["source"], seam["target"], seam["code"]) == ("g1", "g2", "FK0207")
    assert seam["sentence"].startswith("torch.compile ended a graph here (")
    assert "print" in seam["sentence"]
    assert seam["line"] == line_of(view, "print(")
    assert seam["bytes"] == 2 * 64 * 4 * 4  # y, written by one kernel and read by the other
    assert seam["value"] == next(
        node["value"] for node in view.model["graph"]["nodes"] if node["label"] == "relu"
    )
    assert seam["hint"]


def test_it_is_in_graph_outline_table_and_text():
    view = view_of(said, torch.randn(64, 4))
    (wire,) = (wire for wire in scene(view.model).wires if wire.kind == "seam")
    assert wire.code == "FK0207"
    line = line_of(view, "print(")
    assert f"seam 1 of 1, group 1 to group 2, FK0207, line {line}: torch.compile" in view.outline()
    html = view.html()
    table = re.search(r'<table class="[^"]*fk-seams.*?</table>', html, re.DOTALL)[0]
    assert f'data-l="{line}"' in table
    assert f"line {line}</p>" in table
    assert "Avoid calling" in table
    assert "[FK0207]" in repr(view)
    assert f"[FK0207] group 1 -> group 2, line {line}: torch.compile ended" in str(view.seams())


def test_a_branch_on_a_value_names_torch_where():
    def branched(x):
        y = torch.sigmoid(x) * x
        if y.sum() > 0:
            y = y * 2
        return y + x

    view = view_of(branched, torch.ones(32))
    (seam,) = (seam for seam in breaks(view) if seam["bytes"])
    assert "a branch on the value of a tensor" in seam["sentence"]
    assert "torch.where" in seam["hint"]
    assert seam["line"] == line_of(view, "if y.sum()")
    # y alone crosses: x is the user's
    assert seam["bytes"] == 2 * 32 * 4


def test_a_break_that_no_tensor_crosses_costs_no_bytes():
    def apart(x, z):
        y = x * 2 + 1
        torch._dynamo.graph_break()
        return y, z * 3 - 1

    (seam,) = breaks(view_of(apart, torch.randn(8), torch.randn(8)))
    assert (seam["source"], seam["target"]) == ("g1", "g2")
    assert (seam["bytes"], seam["launches"], seam["value"]) == (0, 0, None)
    assert "graph_break" in seam["sentence"]


def test_tensors_between_the_same_kernels_are_one_seam():
    def several(x):
        a = x * 2
        b = x + 1
        torch._dynamo.graph_break()
        return a * b

    (seam,) = breaks(view_of(several, torch.randn(16)))
    assert seam["bytes"] == 2 * 2 * 16 * 4


def test_what_fusekit_divides_itself_has_its_own_reason():
    def positive(x):
        return (x[(x + 1) * 2 > 0] * 2).relu()

    with torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True):
        view = view_of(positive, torch.ones(64))
    into, out = breaks(view)
    (index,) = (n["id"] for n in view.model["graph"]["nodes"] if n["kind"] == "opaque")
    assert (into["source"], into["target"], into["code"]) == ("g1", index, "FK0201")
    assert (out["source"], out["target"], out["code"]) == (index, "g2", "FK0201")
    assert into["line"] == out["line"] == line_of(view, "return")
    assert into["bytes"] == 2 * 64  # the mask
    assert out["bytes"] == 2 * 64 * 4


def test_a_break_in_a_function_that_is_called_breaks_its_caller_too():
    def inner(y):
        torch._dynamo.graph_break()
        return y + 1

    def outer(x):
        y = inner(x.sigmoid() * 2)
        return y * 3

    found = breaks(view_of(outer, torch.randn(8)))
    assert [(seam["source"], seam["target"]) for seam in found] == [("g1", "g2"), ("g2", "g3")]
    assert all("graph_break" in seam["sentence"] for seam in found)
    assert "line" in found[0]["sentence"]  # inner is not in the text that is shown
    assert found[0]["line"] is None


def test_one_graph_has_no_break():
    def whole(x):
        return torch.relu(x * 2) + x

    view = view_of(whole, torch.randn(8))
    assert view.model["seams"] == []


def test_explain_lists_the_breaks():
    explained = fusekit.explain(torch.compile(said, backend="fusekit"), torch.randn(4))
    (ended,) = explained.breaks
    assert ended.code == "FK0207"
    assert "print" in ended.loc.text
    assert "graph breaks:\n    [FK0207] torch.compile ended a graph here" in str(explained)
