"""The text form prints and parses back to the same graph."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusekit.errors import GraphError, ParseError
from fusekit.ir import DType, Graph, GraphBuilder, Loc, Ref, Token, parse_graph, print_graph

FLOATS = (DType.F32, DType.F64)
UNARY = ("exp", "neg", "tanh", "floor", "copy")
BINARY = ("add", "mul", "maximum", "atan2")
COMPARE = ("lt", "ne", "isnan")


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    builder = GraphBuilder(draw(st.sampled_from(("graph", "my_fn", "f2"))))
    shape = draw(st.none() | st.just((2, 3)) | st.just(()))
    dtype = draw(st.sampled_from(FLOATS))
    values = [builder.input(dtype, shape, strides=(1, 2) if shape == (2, 3) else None)]
    values += [builder.input(dtype, shape) for _ in range(draw(st.integers(0, 2)))]
    scalar = builder.scalar(DType.F64)
    for number in range(draw(st.integers(1, 12))):
        builder.loc = draw(st.none() | st.just(Loc("/home/me/a b.py", number + 1, "y = x @ w | z")))
        builder.origin = draw(st.sampled_from(("aten.add.Tensor", "aten.exp.default")))
        kind = draw(st.sampled_from(("unary", "binary", "const", "cast", "select")))
        pick = st.sampled_from(values)
        if kind == "unary":
            values.append(builder.apply(draw(st.sampled_from(UNARY)), draw(pick)))
        elif kind == "binary":
            values.append(builder.apply(draw(st.sampled_from(BINARY)), draw(pick), draw(pick)))
        elif kind == "const":
            values.append(builder.const(draw(st.floats(width=32)), dtype))
        elif kind == "cast":
            half = builder.cast(draw(pick), DType.BF16)
            values.append(builder.cast(half, dtype))
        else:
            condition = builder.apply("isnan", draw(pick))
            values.append(builder.apply("select", condition, draw(pick), draw(pick)))
    values.append(builder.apply("add", values[-1], builder.cast(scalar, dtype)))
    return builder.finish(draw(st.lists(st.sampled_from(values), min_size=1, max_size=3)))


def same(a: Graph, b: Graph) -> bool:
    return (a.values, a.inputs, a.nodes, a.outputs, a.name) == (
        (b.values, b.inputs, b.nodes, b.outputs, b.name)
    )


@given(graphs())
def test_a_graph_survives_printing_and_parsing(graph: Graph) -> None:
    text = print_graph(graph, locations=True)
    assert same(parse_graph(text), graph)
    assert print_graph(parse_graph(text), locations=True) == text


@given(graphs())
def test_without_locations_only_they_are_lost(graph: Graph) -> None:
    again = parse_graph(print_graph(graph))
    assert [n.op for n in again.nodes] == [n.op for n in graph.nodes]
    assert again.values == graph.values
    assert print_graph(again) == print_graph(graph)


def test_calls_and_views_keep_their_arguments() -> None:
    builder = GraphBuilder("f")
    x = builder.input(DType.F32, (4, 4))
    y = builder.value(DType.F32, (2, 4))
    z = builder.value(None, ())
    args = (Ref(x), 0, None, True, 1.5, "mean", (1, (Ref(x), -2)), Token("torch_dtype", "float32"))
    builder.call("aten.slice.Tensor", (Ref(x), 0, 1, 3), (), [x], [y], op="view")
    builder.call("aten.thing.default", args, (("k", DType.F16),), [x], [z])
    graph = builder.finish([y, z])
    assert same(parse_graph(print_graph(graph)), graph)


def test_nan_and_infinities_are_literals() -> None:
    builder = GraphBuilder()
    values = [builder.const(v, DType.F32) for v in (math.nan, math.inf, -math.inf, -0.0)]
    again = parse_graph(print_graph(builder.finish(values)))
    found = [node.literal for node in again.nodes]
    assert math.isnan(found[0])
    assert found[1:3] == [math.inf, -math.inf]
    assert math.copysign(1, found[3]) == -1


def test_chunk_and_cat() -> None:
    text = """graph group(%0: f32, %1: f32) {
  %2: f32, %3: f32 = chunk %0 chunks=2 dim=-1
  %4: f32 = add %2, %3
  %5: f32 = mul %4, %1
  %6: f32 = cat %4, %5 dim=0
  return %6
}
"""
    assert print_graph(parse_graph(text)) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "graph"),
        ("graph g(%0: f32) {\n  return %1\n}\n", "%1"),
        ("graph g(%0: f32) {\n  %1: f32 = frobnicate %0\n  return %1\n}\n", "frobnicate"),
        ("graph g(%0: f32) {\n  %1: f16 = exp %0\n  return %1\n}\n", "exp"),
        ("graph g(%0: f31) {\n  return %0\n}\n", "f31"),
        ("graph g(%0: f32) {\n  what is this\n  return %0\n}\n", "line 2"),
    ],
)
def test_a_bad_text_says_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises((ParseError, GraphError), match=said):
        parse_graph(text)
