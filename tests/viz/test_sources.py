"""The texts of real kernels: which there are, and what their lines link to."""

from __future__ import annotations

import hypothesis
import pytest
import torch

import fusekit
from fusekit.errors import EngineUnavailableError, UsageError
from fusekit.runtime.engines import ENGINES
from fusekit.viz.code.diff import Variant
from fusekit.viz.collect.boxes import boxes, group_name
from fusekit.viz.collect.fused import collect
from fusekit.viz.collect.sources import ASSEMBLY, Texts, sources
from fusekit.viz.page import block
from fusekit.viz.view import FusionView
from tests.graph_programs import Program, programs


def gated(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    h = torch.tanh(x + y) * torch.sigmoid(x)
    z = h @ h
    return torch.relu(z) / (y.abs() + 1)


def cell(gates: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    i, f, g, o = gates.chunk(4, 1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


@pytest.fixture(scope="module")
def view() -> FusionView:
    given = (torch.ones(64, 64), torch.ones(64, 64))
    return collect(fusekit.fuse(gated), given, {}, timing=False)


def lines_of(source) -> dict[str, set[int]]:
    return {
        value: {n for first, last in runs for n in range(first, last + 1)}
        for value, runs in source["lines"].items()
    }


@hypothesis.settings(max_examples=15, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(programs(most=12))
def test_lines_link_to_values_of_their_kernel_alone(program: Program) -> None:
    entry = fusekit.fuse(program.function(), engine="llvm").entry(tuple(program.arguments(0)), {})
    if entry.program is None or entry.plan is None:
        return
    made = {value: box for box in boxes(entry.program) for value in box.makes}
    found = sources(entry.program, ENGINES["llvm"], ["llvm", "asm", "cpp", "cuda", "ir"])
    for number, call in enumerate(entry.program.kernels):
        own = {  # groups that share a kernel share its text
            str(made[old].value if old in made else entry.program.graph.viewed(old))
            for other in entry.program.kernels
            if other.spec.key == call.spec.key
            for old in other.numbering
        }
        for source in found:
            if source["group"] != group_name(number) or source["engine"] == "cpp":
                continue
            assert set(source["lines"]) <= own
            text = source["text"].splitlines()
            for lines in lines_of(source).values():
                assert all(text[line - 1].strip() for line in lines)


@hypothesis.settings(max_examples=25, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(programs(most=12))
def test_every_computed_node_has_a_line(program: Program) -> None:
    """In every source, and in the IR."""
    entry = fusekit.fuse(program.function(), engine="llvm").entry(tuple(program.arguments(0)), {})
    if entry.program is None:
        return
    texts = Texts(entry.program)
    for number, call in enumerate(entry.program.kernels):
        graph = call.spec.graph
        back = {new: old for old, new in call.numbering.items()}
        made = {value: box for box in boxes(entry.program) for value in box.makes}
        computed = {
            str(made[back[node.output]].value)
            for node in graph.nodes
            if node.is_pointwise and node.op != "const" and back.get(node.output) in made
        }
        for engine in ("llvm", "cpp", "cuda"):
            linked = set(texts.text(number, engine, engine)["lines"])
            assert computed <= linked, engine
        assert set(texts.ir(number)["lines"]) >= computed


@pytest.mark.parametrize(("engine", "language"), [("llvm", "asm"), ("cpp", "asm"), ("cuda", "ptx")])
def test_most_nodes_have_instructions(engine: str, language: str) -> None:
    given = (torch.ones(32, 256), torch.ones(32, 64))
    program = fusekit.fuse(cell).entry(given, {}).program
    texts = Texts(program)
    try:
        found = texts.text(0, engine, language)
    except EngineUnavailableError as error:
        pytest.skip(str(error))
    made = {str(box.value) for box in boxes(program) if box.nodes[-1].is_pointwise}
    linked = lines_of(found)
    # LLVM moves a product to where it is used, across a branch, and leaves it without a line
    assert len(made & set(linked)) >= (0.75 if engine == "llvm" else 0.9) * len(made)
    transcendental = [str(box.value) for box in boxes(program) if box.label in ("tanh", "sigmoid")]
    assert len(transcendental) == 5
    for value in transcendental:
        assert len(linked[value]) >= 5
    instructions = [line for line in found["text"].splitlines() if line.startswith("  ")]
    assert len(set().union(*linked.values())) > len(instructions) / 3


def test_the_assembly_of_what_runs_is_there_unasked(view):
    held = [(s["group"], s["language"], s["engine"]) for s in view.model["sources"]]
    wanted = [("llvm", "llvm"), ("asm", "llvm"), ("cpp", "cpp"), ("cuda", "cuda"), ("ir", "")]
    assert held == [(g, *pair) for g in ("g1", "g2") for pair in wanted]


def test_other_languages_are_made_when_they_are_asked_for(view):
    try:
        text = view.source("ptx", group="g2")
    except UsageError as error:
        pytest.skip(str(error))
    assert ".visible .entry" in text
    shown = view.only(languages=["ptx", "asm"]).model["sources"]
    assert {s["language"] for s in shown} == {"ptx", "asm"}
    engines = {s["engine"] for s in shown if s["language"] == "asm"}
    assert engines == {e for e in ("llvm", "cpp") if ENGINES[e].unavailable() is None}


def test_a_recording_makes_nothing(view):
    with pytest.raises(UsageError, match="no such source in this view; it holds: asm, cpp"):
        FusionView(view.model).source("sass")
    with pytest.raises(UsageError, match="recording"):
        FusionView(view.model).diff("group 1 asm", target="x86-64-v3")


def test_a_view_of_a_usual_cell_is_light(view):
    assert len(block(view.model).encode()) < 400_000


def test_variants(view):
    program = fusekit.fuse(gated).entry((torch.ones(64, 64), torch.ones(64, 64)), {}).program
    texts = Texts(program)
    first = texts.text(0, "llvm", "llvm")
    assert texts.other(first, Variant()) == first
    narrow = [t for t in ENGINES["llvm"].load_compiler().targets() if t.vector_bytes == 16]
    if narrow:
        other = texts.other(first, Variant(target=narrow[-1].name))
        assert "16 bytes in a register" in other["text"]
        assert set(other["lines"]) == set(first["lines"])
    assert texts.other(first, Variant(engine="cpp"))["language"] == "cpp"
    contracted = texts.other(texts.text(0, "cuda", "cuda"), Variant(fast=True))
    assert contracted["engine"] == "cuda"


@pytest.mark.parametrize(
    ("variant", "said"),
    [
        (Variant(engine="reference"), "engine 'reference' has no text; there are llvm, cpp, cuda"),
        (Variant(target="vax"), "llvm has no target 'vax'; there are "),
        (Variant(engine="cuda"), "engine cuda has no asm"),
    ],
)
def test_what_cannot_be_made_is_named(view, variant, said):
    asm = next(s for s in view.model["sources"] if s["language"] == "asm")
    program = fusekit.fuse(gated).entry((torch.ones(64, 64), torch.ones(64, 64)), {}).program
    with pytest.raises(UsageError, match=said):
        Texts(program).other(asm, variant)
    ir = next(s for s in view.model["sources"] if s["language"] == "ir")
    with pytest.raises(UsageError, match="ir is the same whatever"):
        Texts(program).other(ir, variant)


def test_every_engine_with_a_compiler_says_what_it_assembles():
    assert {engine.name for engine in ENGINES.values() if engine.compiler} == set(ASSEMBLY)
