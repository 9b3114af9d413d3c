"""Graphs are typed and verified as they are built."""

import pytest

from fusekit.errors import GraphError
from fusekit.ir import OPS, DType, GraphBuilder, Kind, Node, Ref


def test_the_result_dtype_follows_the_rule() -> None:
    builder = GraphBuilder()
    x, n = builder.input(DType.F32), builder.input(DType.I32)
    assert builder.dtype(builder.apply("add", x, x)) is DType.F32
    assert builder.dtype(builder.apply("lt", n, n)) is DType.BOOL
    assert builder.dtype(builder.cast(n, DType.F64)) is DType.F64
    assert builder.cast(n, DType.I32) == n


@pytest.mark.parametrize(
    ("op", "dtypes"),
    [
        ("add", (DType.F32, DType.F64)),
        ("add", (DType.F16, DType.F16)),
        ("add", (DType.BOOL, DType.BOOL)),
        ("exp", (DType.I32,)),
        ("and", (DType.F32, DType.F32)),
        ("floordiv", (DType.F32, DType.F32)),
        ("add", (DType.F32,)),
    ],
)
def test_operands_that_an_op_does_not_take_are_refused(op: str, dtypes: tuple[DType, ...]) -> None:
    builder = GraphBuilder()
    operands = [builder.input(dtype) for dtype in dtypes]
    with pytest.raises(GraphError, match=op):
        builder.apply(op, *operands)


def test_shapes_broadcast() -> None:
    builder = GraphBuilder()
    x, y = builder.input(DType.F32, (4, 1)), builder.input(DType.F32, (3,))
    assert builder.shape(builder.apply("add", x, y)) == (4, 3)
    assert builder.shape(builder.apply("add", x, builder.const(1, DType.F32))) == (4, 1)


def test_constants_are_made_once_and_keep_the_sign_of_zero() -> None:
    builder = GraphBuilder()
    assert builder.const(1, DType.F32) == builder.const(1.0, DType.F32)
    assert builder.const(0.0, DType.F32) != builder.const(-0.0, DType.F32)
    assert builder.const(1, DType.F32) != builder.const(1, DType.F64)


def test_rollback_forgets() -> None:
    builder = GraphBuilder()
    x = builder.input(DType.F32)
    one = builder.const(1.0, DType.F32)
    mark = builder.mark()
    made = builder.apply("exp", builder.const(2.0, DType.F32))
    builder.input(DType.F32)
    assert builder.maker(made) == builder.nodes[-1]
    builder.rollback(mark)
    assert builder.maker(made) is None
    assert builder.const(1.0, DType.F32) == one
    assert builder.const(2.0, DType.F32) == one + 1
    assert len(builder.nodes) == 2
    assert builder.maker(one) == builder.nodes[0]
    assert builder.finish([one]).inputs == (x,)


def test_a_value_must_be_defined_before_it_is_read() -> None:
    builder = GraphBuilder()
    x = builder.input(DType.F32)
    later = builder.value(DType.F32)
    builder.apply("add", x, later)
    with pytest.raises(GraphError, match="before it is defined"):
        builder.finish([x])


def test_a_cat_of_a_group_is_not_read_inside_it() -> None:
    builder = GraphBuilder()
    x = builder.input(DType.F32)
    cat = builder.cat([builder.apply("exp", x), builder.apply("neg", x)], 0)
    builder.add(Node("exp", (cat,), (builder.value(DType.F32),), origin="x"))
    with pytest.raises(GraphError, match="may only be returned"):
        builder.finish([cat])


def test_a_chunk_splits_an_input() -> None:
    builder = GraphBuilder()
    x = builder.apply("exp", builder.input(DType.F32))
    pieces = builder.chunk(x, 2, 0)
    with pytest.raises(GraphError, match="not an input"):
        builder.finish(pieces)


def test_scalars_follow_tensors() -> None:
    builder = GraphBuilder()
    s = builder.scalar(DType.F64)
    x = builder.input(DType.F32)
    y = builder.apply("mul", x, builder.cast(s, DType.F32))
    graph = builder.finish([y])
    assert graph.inputs == (x, s)
    assert graph.tensor_inputs == (x,)
    assert graph.scalar_inputs == (s,)
    with pytest.raises(GraphError, match="scalar input"):
        builder.scalar(DType.F32)


def test_the_table_is_complete_and_documented() -> None:
    for name, row in OPS.items():
        assert row.name == name
        assert row.doc
        assert row.kinds <= frozenset(Kind)
        assert row.arity >= -1


def test_a_chain_of_views_leads_to_what_it_looks_at() -> None:
    builder = GraphBuilder()
    x = builder.input(DType.F32, (4, 4))
    made = builder.apply("exp", x)
    first, second = (builder.value(DType.F32, (2, 4)) for _ in range(2))
    builder.call("aten.slice.Tensor", (Ref(made), 0, 1, 3), (), [made], [first], op="view")
    builder.call("aten.alias.default", (Ref(first),), (), [first], [second], op="view")
    graph = builder.finish([second])
    last = graph.outputs[0]
    assert graph.producers[graph.viewed(last)].op == "exp"
    assert graph.viewed(graph.inputs[0]) == graph.inputs[0]
