"""A program at other sizes is the one that a trace at those sizes finds, whatever is in it."""

from __future__ import annotations

import dataclasses
import math
import os
import warnings
from typing import Any

import hypothesis
import torch
from hypothesis import strategies as st

import fusekit
from fusekit.errors import FusionDeclined
from fusekit.frontends.fx import capture
from fusekit.ir import Graph
from fusekit.runtime.program import build
from fusekit.runtime.resize import layouts_of, pattern_of, template_of
from fusekit.runtime.sizes import MisfitError
from tests.agreement import has_same_strides, run_quietly
from tests.graph_programs import Program, compiled, programs

EXAMPLES = int(os.environ.get("FUSEKIT_TEST_EXAMPLES", "200"))

_EXTENTS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 17, 33)


@st.composite
def sized(draw: Any, times: int) -> tuple[Program, list[Program]]:
    """A program, and the same for other extents."""
    program = draw(programs(most=12))
    known = sorted({n for given in program.inputs for n in given.shape})
    others = []
    for _ in range(times):
        new = {n: draw(st.sampled_from(_EXTENTS)) for n in known}
        new = {n: (m if n > 1 and draw(st.integers(0, 9)) else n) for n, m in new.items()}
        shapes = [tuple(new[n] for n in given.shape) for given in program.inputs]
        if max((math.prod(shape) for shape in shapes), default=0) <= 5000:
            inputs = zip(program.inputs, shapes, strict=True)
            replaced = tuple(dataclasses.replace(given, shape=shape) for given, shape in inputs)
            others.append(dataclasses.replace(program, inputs=replaced))
    return program, others


def arguments(program: Program) -> list[Any] | None:
    """Its arguments, if there are such in these sizes."""
    try:
        return program.arguments(0)
    except (RuntimeError, IndexError):  # a layout that is none for the shape
        return None


def traced(program: Program, given: list[Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return capture(program.function(), tuple(given), {}, name="f", dynamic=False)


def facts(graph: Graph) -> tuple[Any, ...]:
    return tuple(graph.values), graph.inputs, graph.nodes, graph.outputs


_SHAPING = """{x}.t()|{x}.transpose(0, -1)|{x}.mT|{x}[:, :{k}]|{x}[{k}:]|{x}[:{k}, 1:]|{x}[-{k}:]
{x}[..., ::{k}]|{x}.unsqueeze({d})|{x}.squeeze()|{x}.chunk({k}, {d})[0]|{x}.chunk({k}, {d})[-1]
{x}.split({k}, {d})[-1]|{x}.narrow({d}, 1, {k})|{x}.select({d}, {k})|{x}.expand({k}, -1, -1)
torch.cat([{x}, {y}], {d})|torch.stack([{x}, {x} + 1], {d})|{x}.view(-1, {k})|{x}.permute(1, 0)
{x}.expand({k}, {k})|{x} @ {x}.transpose(-1, -2)|{x} @ {y}|{x}.sum({d}, keepdim=True)|{x}.sum(0)
torch.softmax({x}, {d})|{x}.contiguous()|{x}.reshape(-1, {k})|{x}.flatten()|{x}.expand_as({y})
{x}.view({k}, -1)|{x}[:, None]|torch.nn.functional.layer_norm({x}, ({k},))|{x}.mean(-1)|{x}[{k}]
torch.nn.functional.linear({x}, {y})|{x}.repeat(1, {k})|{x}.unflatten(0, ({k}, -1))|{x}.tril()
{x}.flatten({d})|{x}[:, None].flatten(1)|torch.stack([{x}, {y}]).flatten(end_dim=-2)
{x}.reshape({k}, -1)|torch.reshape({x}, (-1,))|{x}[None].reshape(-1, 2, {k})|{x}.t().flatten()
{x}.narrow({d}, -{k}, 1)|{x}[..., {k}:-1:2]|{x}[:-{k}].squeeze({d})|{x}.movedim({d}, 0)|{x}[-1]
torch.cat([{x}[{k}:], {x}[:{k}]])|torch.cat({x}.split({k}, {d})[::-1], {d})|{x}.select({d}, -{k})
torch.cat([{x}[:, :{k}], {y}], 0)|{x}.diagonal()|{x}.roll({k}, 0)|{x}.cumsum({d})|{x}.swapaxes(0, 1)
{x} + {y}|{x} * 2 + 1|torch.relu({x})|{x} - {y}.t()|{x} * {y}[0]|torch.where({x} > 0, {x}, {y})"""


@st.composite
def shaping(draw: Any) -> tuple[str, list[list[torch.Tensor]]]:
    """A program that moves and cuts dimensions, and arguments of several sizes."""
    first = draw(st.tuples(*[st.sampled_from(_EXTENTS[2:])] * 2))
    lines: list[str] = []
    names = {"torch": torch, "x": torch.ones(first), "y": torch.ones(first)}
    for number in range(draw(st.integers(1, 7))):
        made = [name for name in names if name != "torch" and not name.startswith("__")]
        given = {key: draw(st.sampled_from(made)) for key in "xy"}
        given |= {"k": draw(st.integers(1, 8)), "d": draw(st.integers(-2, 1))}
        text = draw(st.sampled_from(_SHAPING.replace("\n", "|").split("|"))).format(**given)
        try:
            value = eval(text, names)
        except (RuntimeError, IndexError, TypeError):
            continue
        if 0 < value.numel() <= 5000:
            names[f"v{number}"] = value
            lines.append(f"    v{number} = {text}")
    results = ", ".join(f"{name} * 3 + 1" for name in names if name[0] in "xv")
    text = "\n".join(["def f(x, y):", *lines, f"    return ({results},)", ""])
    sizes = draw(st.lists(st.tuples(*[st.sampled_from(_EXTENTS)] * 2), min_size=2, max_size=6))
    turned = draw(st.booleans())
    sizes = [first, *sizes]
    pairs = [[torch.randn(size), torch.randn(size)] for size in sizes]
    return text, [[x, y.t().clone().t() if turned else y] for x, y in pairs]


@hypothesis.settings(
    max_examples=EXAMPLES * 2,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
@hypothesis.given(shaping())
def test_the_graph_of_a_program_that_moves_dimensions(
    drawn: tuple[str, list[list[torch.Tensor]]],
) -> None:
    text, (first, *others) = drawn
    function = compiled(text)
    program = build(capture(function, tuple(first), {}, name="f"), 64)
    template = template_of(program, first)
    for given in others if template else ():
        layouts = layouts_of(given)
        if layouts is None or pattern_of(layouts) != pattern_of(template.layouts):
            continue
        try:
            made = template.at(layouts)
        except MisfitError:
            continue
        found = capture(function, tuple(given), {}, name="f")
        assert facts(made.capture.graph) == facts(found.graph)
        kinds = {call.binding.args for call in made.kernels}
        again = build(found, 64)
        if len(again.kernels) == len(made.kernels):
            assert kinds == {call.binding.args for call in again.kernels}


@hypothesis.settings(
    max_examples=max(EXAMPLES // 4, 1),
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
@hypothesis.given(shaping())
def test_a_sequence_of_sizes_gives_what_eager_does(
    drawn: tuple[str, list[list[torch.Tensor]]],
) -> None:
    text, calls = drawn
    function = compiled(text)
    fused = fusekit.fuse(compiled(text))
    for given in calls:
        wanted, expected = run_quietly(function, given)
        status, found = run_quietly(fused, given)
        assert status == wanted, found
        for ours, theirs in zip(found, expected, strict=True) if status == "ok" else ():
            assert ours.shape == theirs.shape
            assert has_same_strides(ours, theirs)
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3, equal_nan=True)


@hypothesis.settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(hypothesis.HealthCheck)
)
@hypothesis.given(sized(times=6))
def test_the_graph_is_that_of_a_trace(drawn: tuple[Program, list[Program]]) -> None:
    program, others = drawn
    first = program.arguments(0)
    try:
        found = build(traced(program, first), 64)
    except FusionDeclined:
        return
    template = template_of(found, first)
    if template is None:
        return
    for other in others:
        given = arguments(other)
        layouts = None if given is None else layouts_of(given)
        if layouts is None or pattern_of(layouts) != pattern_of(template.layouts):
            continue
        try:
            made = template.at(layouts)
        except MisfitError:
            continue
        assert facts(made.capture.graph) == facts(traced(other, given).graph)


@hypothesis.settings(
    max_examples=max(EXAMPLES // 4, 1),
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
@hypothesis.given(sized(times=4))
def test_results_are_those_of_a_new_capture(drawn: tuple[Program, list[Program]]) -> None:
    program, others = drawn
    fused = fusekit.fuse(program.function())
    for other in (program, *others):
        if arguments(other) is None:
            continue
        status, found = run_quietly(fused, other.arguments(0))
        wanted, expected = run_quietly(fusekit.fuse(program.function()), other.arguments(0))
        assert status == wanted
        if status != "ok":
            continue
        for ours, theirs in zip(found, expected, strict=True):
            if isinstance(theirs, torch.Tensor):
                assert ours.stride() == theirs.stride()
                assert torch.equal(_bits(ours), _bits(theirs))


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    """NaN is equal to NaN, and 0.0 is not -0.0."""
    integers = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.int8}
    return tensor.contiguous().view(integers[tensor.itemsize])
