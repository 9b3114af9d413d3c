"""A whole program's view that runs again: its stopwatch, its panels, and what it refuses."""

from __future__ import annotations

import re

import pytest
import torch

import fusekit
from fusekit.errors import UsageError
from fusekit.viz.code.diff import Variant
from fusekit.viz.collect.wholeprogram import collect_compiled
from fusekit.viz.panels import Progress, Shown


@pytest.fixture(autouse=True)
def fresh():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def two_graphs(x, w):
    y = torch.relu(x * 2) @ w
    torch._dynamo.graph_break()
    return y.sigmoid() * y + x


def view_of(function, *args):
    program = torch.compile(function, backend="fusekit")
    return collect_compiled(program, args, {}, timing=False)


@pytest.fixture
def view():
    return view_of(two_graphs, torch.randn(16, 16), torch.randn(16, 16))


def panel(view, name, engine="llvm", **fields):
    shown = Shown(16, engine, view.model)
    return view.session().panel(name, {"pinned": "", **fields}, shown, Progress())


def test_exploring_times_the_program_against_what_torch_compile_was_given():
    program = torch.compile(two_graphs, backend="fusekit")
    view = fusekit.explore(program, torch.randn(16, 16), torch.randn(16, 16))
    rows = view.model["timing"]["rows"]
    assert [(row["name"], row["device"]) for row in rows] == [("eager", "cpu"), ("fused", "cpu")]
    assert all(row["samples"] and row["seconds"] > 0 for row in rows)
    assert "torch" in view.model["machine"]
    said = "2 groups · 3 launches (eager 6) · saves 7 KiB · 2 seams [FK0101 FK0207]"
    assert repr(view) == f"FusionView(two_graphs)  {said}"


def test_the_stopwatch_can_be_asked_again_and_says_no_times(view):
    timed = view.time(against=("eager",), seconds=0.2, flush=False)
    assert list(timed.samples) == ["eager on cpu", "fused on cpu"]
    assert re.fullmatch(r"Timed\(two_graphs\)  fused on cpu: [^0-9]*(\d[-0-9.]*×)?.*", repr(timed))
    assert not re.search(r"\d ?[mµn]?s\b", repr(timed))


def test_a_program_that_writes_is_not_timed():
    class Norm(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = torch.nn.BatchNorm1d(4)

        def forward(self, x):
            return torch.relu(self.norm(x))

    program = torch.compile(Norm(), backend="fusekit")
    view = fusekit.explore(program, torch.randn(8, 4))
    assert view.model["timing"] is None
    with pytest.raises(UsageError, match="writes into its arguments or its buffers"):
        view.time()
    still = Norm().eval()
    with torch.no_grad():
        timed = view_of(still, torch.randn(8, 4)).time(seconds=0.2)
    assert "fused on cpu" in timed.samples


def test_timing_leaves_the_arguments_as_they_are(view):
    looked = view.session()._looked("llvm")
    before = [arg.clone() for arg in looked.graphs[0].args]
    view.time(seconds=0.2)
    assert all(map(torch.equal, before, looked.graphs[0].args))


def test_only_panels_that_make_sense_are_offered(view):
    names = [each["name"] for each in view.session().panels()]
    assert names == ["diff", "stopwatch", "roofline", "cache"]


def test_the_panels_answer(view):
    assert "Not measured yet" in panel(view, "stopwatch")
    assert "Bytes alone predict" in panel(view, "stopwatch", go="1", seconds="0.2")
    assert "<figure" in panel(view, "stopwatch")
    assert "Not measured yet" in panel(view, "stopwatch", engine="cpp")  # another program
    with pytest.raises(UsageError, match="no panel"):
        panel(view, "what-if")


def test_the_diff_is_of_the_group_that_was_chosen(view):
    assert "group 2" in panel(view, "diff", text="group 2 · llvm", engine="cpp")
    source = next(s for s in view.model["sources"] if s["group"] == "g2" and s["engine"] == "llvm")
    found = view.diff("group 2 llvm", engine="cpp")
    made = view.session().other(source, Variant("cpp"))
    assert made["group"] == "g2"
    assert set(made["lines"]) <= {str(node["value"]) for node in view.model["graph"]["nodes"]}
    assert "cpp" in str(found)


def test_the_cache_is_graph_by_graph(view):
    cache = view.cache()
    assert repr(cache) == "<cache of two_graphs: 2 graphs, 2 entries, 2 kernels>"
    assert [len(graph["entries"]) for graph in cache.to_dict()["graphs"]] == [1, 1]
    first, second = panel(view, "cache"), panel(view, "cache", graph="1")
    assert "2 of 2" in first
    symbols = [kernel.symbol for graph in cache.graphs for kernel in graph.kernels]
    assert symbols[0] in first
    assert symbols[1] not in first
    assert symbols[1] in second
    assert "entry 1" in first or "would serve" in first


def test_a_roofline_has_the_groups_of_all_graphs(view):
    found = view.roofline(seconds=0.3)
    assert [group.name for group in found.groups] == ["group 1", "group 2"]
    by_name = {group["name"]: group for group in view.model["groups"]}
    for group in found.groups:
        shown = by_name[group.name]
        assert group.nbytes == shown["in_bytes"] + shown["out_bytes"]


def test_texts_that_the_view_lacks_are_made(view):
    shown = view.only("source", languages=("cuda",))
    assert [s["group"] for s in shown.model["sources"]] == ["g1", "g2"]
    assert view.source("cuda", group="g2") == shown.model["sources"][1]["text"]


@pytest.mark.parametrize(
    "ask",
    [
        lambda view: view.plan(),
        lambda view: view.what_if("mul_1 - g1"),
        lambda view: view.legality("mul_1 - g1"),
        lambda view: view.measure_step(1),
        lambda view: view.element(),
        lambda view: view.rounding(),
        lambda view: view.duet(),
        lambda view: view.sweep(),
        lambda view: view.crossover(),
    ],
)
def test_what_asks_about_one_function_says_so(view, ask):
    with pytest.raises(UsageError, match=r"about one function.*fusekit\.fuse"):
        ask(view)


def test_an_export_has_the_texts(view, tmp_path):
    written = view.export(tmp_path)
    assert {path.suffix for path in written} >= {".html", ".json", ".ll"}


def test_the_live_view_runs_on_another_engine(view):
    pytest.importorskip("anywidget", reason="anywidget is not installed (the extra `lab`)")
    live = view.live()
    assert (live.sizes, live.engines[0]) == ([16], "llvm")
    live.rerun(16, "reference")
    assert live.error == ""
    assert {group["engine"] for group in live.view.model["groups"]} == {"reference"}
    assert view.model["groups"][0]["engine"] == "llvm"
    assert repr(live).startswith("live FusionView(two_graphs)  2 groups")


def test_it_runs_with_gradients_as_it_was_explored():
    args = torch.randn(4, 4, requires_grad=True), torch.randn(4, 4)
    with torch.no_grad():
        view = view_of(two_graphs, *args)
    graphs = view.session()._looked("llvm").graphs
    assert [run.name.rpartition("_")[2] for run in graphs] == ["inference", "inference"]
