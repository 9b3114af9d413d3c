"""What the functions are made of, and how they are found."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fusekit import vecmath
from fusekit.ir import DType, parse_graph, print_graph
from fusekit.vecmath import rare, tabled
from tests.vecmath.evaluate import evaluate
from tests.vecmath.inputs import strided

SIMPLE = {
    *("const", "cast", "bitcast", "lookup", "select", "rarely", "add", "sub", "mul", "div", "fma"),
    *("neg", "abs"),
    *("copysign", "round", "sqrt", "and", "or", "xor", "not", "shl", "shr"),
    *("eq", "ne", "lt", "le", "gt", "ge", "isnan"),
}


EVERY = [*((op, False) for op in vecmath.functions()), *((op, True) for op in tabled.FUNCTIONS)]
every = pytest.mark.parametrize(("op", "tables"), EVERY)


@every
def test_a_function_is_basic_arithmetic(op, tables):
    graph = vecmath.function(op, DType.F32, tables=tables)
    assert graph is not None
    assert graph.name == f"{op}_f32"
    assert {node.op for node in graph.nodes} <= SIMPLE
    assert [graph.dtype(i) for i in (*graph.inputs, *graph.outputs)] == [DType.F32] * (
        len(graph.inputs) + 1
    )


@pytest.mark.parametrize("op", vecmath.functions())
def test_no_float_becomes_an_integer(op):
    """Out of range and NaN, that cast has no meaning that all targets share."""
    graph = vecmath.function(op, DType.F32)
    assert graph is not None
    for node in graph.nodes:
        if node.op == "cast":
            assert graph.dtype(node.output).is_float or not graph.dtype(node.inputs[0]).is_float


@every
def test_every_value_is_used(op, tables):
    graph = vecmath.function(op, DType.F32, tables=tables)
    assert graph is not None
    unused = [n.output for n in graph.nodes if not graph.users[n.output]]
    assert unused == list(graph.outputs)


@every
def test_the_text_form_keeps_a_function(op, tables):
    graph = vecmath.function(op, DType.F32, tables=tables)
    assert graph is not None
    assert parse_graph(print_graph(graph)) == graph


def test_a_function_is_built_once():
    assert vecmath.function("exp", DType.F32) is vecmath.function("exp", DType.F32)


@pytest.mark.parametrize(("op", "dtype"), [("exp", DType.F64), ("digamma", DType.F32)])
def test_the_rest_is_not_vecmaths(op, dtype):
    assert vecmath.function(op, dtype) is None


def test_lgamma_is_the_librarys_of_float64():
    graph = vecmath.function("lgamma", DType.F32)
    assert graph is not None
    assert [node.op for node in graph.nodes] == ["cast", "lgamma", "cast"]


@pytest.mark.parametrize("op", ["cos", "log", "log10", "log1p", "log2", "sigmoid", "sin"])
def test_the_parts_of_a_function_make_the_whole(op):
    graph = vecmath.function(op, DType.F32)
    assert graph is not None
    apart = rare.parts(graph)
    assert apart is not None
    x = strided(0, 1 << 16, 65521)
    asked, usual = (
        evaluate(dataclasses.replace(apart.usual, outputs=(output,)), x)
        for output in apart.usual.outputs
    )
    assert 0 < asked.mean() < 1
    made = np.where(asked, evaluate(apart.rare, x), usual)
    assert made.tobytes() == evaluate(graph, x).tobytes()


@pytest.mark.parametrize("op", ["sin", "cos"])
def test_what_is_rare_is_not_computed_always(op):
    graph = vecmath.function(op, DType.F32)
    assert graph is not None
    apart = rare.parts(graph)
    assert apart is not None
    assert DType.F64 not in {apart.usual.dtype(node.output) for node in apart.usual.nodes}
    assert DType.F64 in {apart.rare.dtype(node.output) for node in apart.rare.nodes}


def test_a_function_without_rare_operands_has_no_parts():
    graph = vecmath.function("exp", DType.F32)
    assert graph is not None
    assert rare.parts(graph) is None
