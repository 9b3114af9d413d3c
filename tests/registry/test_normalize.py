"""The normal form: equal for graphs that may share their kernels, and for no others."""

from __future__ import annotations

import pytest

from fusekit.ir import DType, GraphBuilder, Loc, parse_graph, print_graph
from fusekit.registry import group_graph, normalize

PLAIN = """graph plain(%0: f32, %1: f32, %2: scalar f64) {
  %3: f32 = cast %2 dtype=f32
  %4: f32 = mul %0, %3
  %5: f32 = add %4, %1
  return %5
}
"""


def text(graph):
    return print_graph(normalize(graph)[0])


def of(source):
    return text(parse_graph(source))


def test_names_and_numbers_do_not_matter():
    renumbered = """graph other(%5: f32, %4: f32, %1: scalar f64) {
  %2: f32 = cast %1 dtype=f32
  %0: f32 = mul %5, %2
  %3: f32 = add %0, %4
  return %3
}
"""
    assert of(renumbered) == of(PLAIN)
    assert "plain" not in of(PLAIN)


def test_the_order_of_independent_nodes_does_not_matter():
    first = """graph g(%0: f32, %1: f32) {
  %2: f32 = exp %0
  %3: f32 = neg %1
  %4: f32 = add %2, %3
  return %4
}
"""
    exp, neg = "  %2: f32 = exp %0\n", "  %3: f32 = neg %1\n"
    second = first.replace(exp + neg, neg + exp)
    assert second != first
    assert of(second) == of(first)


def test_what_no_output_needs_is_gone():
    unused = PLAIN.replace("  return", "  %6: f32 = exp %0\n  return")
    assert of(unused) == of(PLAIN)


def test_sizes_and_lines_do_not_matter():
    shaped = PLAIN.replace("%0: f32,", "%0: f32[4,5]{1,4},").replace("%4: f32", "%4: f32[4,5]")
    assert of(shaped) == of(PLAIN)
    builder = GraphBuilder()
    builder.loc, builder.origin = Loc("cell.py", 3, "y = -x"), "aten.neg.default"
    x = builder.input(DType.F32)
    placed = builder.finish([builder.apply("neg", x)])
    assert text(placed) == of("graph g(%0: f32) {\n  %1: f32 = neg %0\n  return %1\n}\n")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mul %0, %3", "mul %3, %0"),
        ("add %4, %1", "sub %4, %1"),
        ("add %4, %1", "add %4, %0"),
        ("return %5", "return %4"),
        ("return %5", "return %5, %4"),
        ("return %5", "return %5, %5"),
        ("f32", "f64"),
        ("scalar f64", "scalar i64"),
    ],
)
def test_structure_and_dtypes_matter(old, new):
    changed = PLAIN.replace(old, new)
    assert changed != PLAIN
    assert of(changed) != of(PLAIN)


@pytest.mark.parametrize("values", [(1.0, 2.0), (0.0, -0.0), (1e-8, 1.1e-8), (1.0, float("nan"))])
def test_constants_matter(values):
    def graph(value):
        builder = GraphBuilder()
        x = builder.input(DType.F32)
        return builder.finish([builder.apply("add", x, builder.const(value, DType.F32))])

    assert len({text(graph(value)) for value in values}) == len(values)


def test_the_order_of_inputs_and_outputs_is_kept():
    swapped = PLAIN.replace("(%0: f32, %1: f32", "(%1: f32, %0: f32")
    assert of(swapped) != of(PLAIN)
    graph, _ = normalize(parse_graph(PLAIN.replace("return %5", "return %5, %4, %0")))
    assert len(graph.outputs) == 3
    assert graph.outputs[2] == graph.inputs[0]


def test_an_unused_input_stays():
    graph, _ = normalize(parse_graph(PLAIN.replace("add %4, %1", "add %4, %0")))
    assert len(graph.inputs) == 3


def test_the_numbering_leads_from_old_to_new():
    graph = parse_graph(PLAIN)
    normal, numbering = normalize(graph)
    assert [numbering[i] for i in graph.inputs] == list(normal.inputs)
    assert [numbering[i] for i in graph.outputs] == list(normal.outputs)
    assert all(graph.dtype(old) is normal.dtype(new) for old, new in numbering.items())


def test_it_is_its_own_normal_form():
    normal, _ = normalize(parse_graph(PLAIN))
    assert print_graph(normalize(normal)[0]) == print_graph(normal)


def test_chunk_and_cat_are_kept_with_their_dims():
    def graph(dim, chunks=2):
        builder = GraphBuilder()
        pieces = builder.chunk(builder.input(DType.F32), chunks, dim)
        return builder.finish([builder.cat([builder.apply("neg", i) for i in pieces], dim)])

    graphs = graph(0), graph(1), graph(-1), graph(0, chunks=3)
    assert len({text(each) for each in graphs}) == 4
    assert text(graph(1)) == text(graph(1))


def test_part_of_a_graph():
    graph = parse_graph(PLAIN)
    by_result = {node.output: node for node in graph.nodes}
    normal, numbering = group_graph(graph, [by_result[5]], (4, 1), (5,))
    assert [node.op for node in normal.nodes] == ["add"]
    assert (numbering[4], numbering[1]) == tuple(normal.inputs)


def test_long_chains_need_no_deep_stack():
    builder = GraphBuilder()
    value = builder.input(DType.F32)
    for _ in range(5000):
        value = builder.apply("neg", value)
    assert len(normalize(builder.finish([value]))[0].nodes) == 5000
