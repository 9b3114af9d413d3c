"""What the functions are made of, and how they are found."""

from __future__ import annotations

import pytest

from fusekit import vecmath
from fusekit.ir import DType, parse_graph, print_graph

SIMPLE = {
    *("const", "cast", "bitcast", "select", "rarely", "add", "sub", "mul", "div", "fma", "neg", "abs"),
    *("copysign", "round", "sqrt", "and", "or", "xor", "not", "shl", "shr"),
    *("eq", "ne", "lt", "le", "gt", "ge", "isnan"),
}


@pytest.mark.parametrize("op", vecmath.functions())
def test_a_function_is_basic_arithmetic(op):
    graph = vecmath.function(op, DType.F32)
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


@pytest.mark.parametrize("op", vecmath.functions())
def test_every_value_is_used(op):
    graph = vecmath.function(op, DType.F32)
    assert graph is not None
    unused = [n.output for n in graph.nodes if not graph.users[n.output]]
    assert unused == list(graph.outputs)


@pytest.mark.parametrize("op", vecmath.functions())
def test_the_text_form_keeps_a_function(op):
    graph = vecmath.function(op, DType.F32)
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
