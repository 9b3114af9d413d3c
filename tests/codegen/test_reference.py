"""The reference dialect: PyTorch's own values, every one kept."""

from __future__ import annotations

import math

import pytest
import torch

from fusekit.codegen import emit
from fusekit.codegen.dialects.reference import ReferenceDialect
from fusekit.frontends.dtypes import TO_TORCH
from fusekit.ir import DType, GraphBuilder, parse_graph
from tests.codegen import harness

GRAPH = parse_graph(
    "graph g(%0: f32, %1: f32, %2: scalar f64) {\n"
    "  %3: f32 = cast %2 dtype=f32\n"
    "  %4: f32 = mul %0, %3\n"
    "  %5: f32 = tanh %4\n"
    "  %6: f32 = add %5, %1\n"
    "  return %6, %5\n"
    "}\n"
)


def evaluate(graph, tensors, scalars=()) -> ReferenceDialect:
    dialect = ReferenceDialect(harness.kernel_spec(graph), tensors, scalars)
    emit(dialect.spec, dialect)
    return dialect


def apply(op, *tensors) -> torch.Tensor:
    dtype = {torch_type: dtype for dtype, torch_type in TO_TORCH.items()}[tensors[-1].dtype]
    return evaluate(harness.single(op, dtype), tensors).outputs[0]


def test_every_intermediate_is_kept():
    x, y = torch.randn(4, 1), torch.randn(3)
    values = evaluate(GRAPH, [x, y], [0.5]).values
    assert sorted(values) == list(range(7))
    assert torch.equal(values[4], x * 0.5)
    assert torch.equal(values[6], (x * 0.5).tanh() + y)


def test_a_function_of_vecmath_is_pytorchs_own():
    x = torch.randn(1000)
    assert torch.equal(apply("tanh", x), torch.tanh(x))


def test_outputs_are_fresh_and_have_the_shape_of_all_inputs():
    x, y = torch.randn(4, 1), torch.randn(3)
    full, narrow = evaluate(GRAPH, [x, y], [0.5]).outputs
    assert full.shape == narrow.shape == (4, 3)
    assert narrow.is_contiguous()
    (copied,) = evaluate(parse_graph("graph g(%0: f32) {\n  return %0\n}\n"), [x]).outputs
    assert torch.equal(copied, x)
    assert copied.data_ptr() != x.data_ptr()


def test_gradients_are_left_out():
    x = torch.randn(3, requires_grad=True)
    assert not apply("exp", x).requires_grad


@pytest.mark.parametrize("op", ["floordiv", "truncdiv", "remainder", "fmod"])
@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8])
def test_division_by_zero_raises_pytorchs_error(op, dtype):
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        apply(op, torch.ones(2, dtype=dtype), torch.zeros(2, dtype=dtype))


@pytest.mark.parametrize("op", ["floordiv", "truncdiv", "remainder", "fmod"])
def test_division_by_zero_raises_for_types_that_pytorch_only_stores(op):
    with pytest.raises(ZeroDivisionError):
        apply(op, torch.ones(2, dtype=torch.uint32), torch.zeros(2, dtype=torch.uint32))


def test_the_lowest_integer_by_minus_one_wraps():
    low = torch.tensor([-(2**31)], dtype=torch.int32)
    assert apply("truncdiv", low, -torch.ones_like(low)).item() == -(2**31)


@pytest.mark.parametrize(
    ("three", "rounded"),
    [
        # a float64 in between would be halfway between two float32: it must not round
        ((1 + 2**-23, 1 + 2**-23, 2**-60), 1 + 2**-22),
        ((1 + 2**-12, 1 + 2**-12, 2**-60), 1 + 2**-11 + 2**-23),
        ((1 + 2**-12, 1 + 2**-12, -(2**-60)), 1 + 2**-11),
        ((math.inf, 0.0, 1.0), math.nan),
        ((1e30, 1e30, -math.inf), -math.inf),
        ((1e38, 10.0, 0.0), math.inf),
        ((1.0, -0.0, -0.0), -0.0),
        ((2.0, -3.0, 6.0), 0.0),
    ],
)
def test_fma_rounds_once(three, rounded):
    got = apply("fma", *(torch.tensor(v, dtype=torch.float32) for v in three)).item()
    assert repr(got) == repr(rounded)


def test_fma_of_float64_overflows_to_infinity():
    x = torch.tensor(-1e308, dtype=torch.float64)
    assert apply("fma", x, -x, x).item() == -math.inf
    assert (
        apply("fma", x, torch.full_like(x, 10.0), torch.full_like(x, math.inf)).item() == math.inf
    )


def test_unsigned_arithmetic_wraps():
    x, y = (torch.tensor(v, dtype=torch.uint32) for v in ([2**32 - 1, 5], [2, 40]))
    assert apply("add", x, y).tolist() == [1, 45]
    assert apply("shl", x, y).tolist() == [2**32 - 4, 0]
    assert apply("lt", x, y).tolist() == [False, True]


def test_literals_wrap_and_halves_round():
    builder = GraphBuilder()
    builder.input(DType.F32)
    made = [(300, DType.U8), (-1, DType.U64), (2**63, DType.I64), (0.1, DType.F16)]
    graph = builder.finish([builder.const(*item) for item in made])
    got = [t.item() for t in evaluate(graph, [torch.zeros(())]).outputs]
    assert got == [44, 2**64 - 1, -(2**63), torch.tensor(0.1, dtype=torch.half).item()]


def test_its_source_is_the_graph():
    dialect = ReferenceDialect(harness.kernel_spec(GRAPH), [torch.ones(1), torch.ones(1)], [1.0])
    source = emit(dialect.spec, dialect)
    assert source.text == str(GRAPH)
    assert source.text.splitlines()[source.lines_of(5)[0][0] - 1] == "  %5: f32 = tanh %4"
    assert source.lines_of(0) == ((1, 1),)
