"""Transposed inputs: every extent, dtype, stride and number of threads gives eager's values."""

from __future__ import annotations

import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fusekit
from fusekit.codegen import Schedule, Target, emit
from fusekit.codegen.dialects import llvm_transposition as transposition
from fusekit.codegen.dialects.llvm import LlvmDialect
from fusekit.ir import DType, Graph, GraphBuilder
from fusekit.specs import ArgSpec, Stride, TensorDesc
from tests.codegen.harness import kernel_spec, launch, run

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.int8, torch.bool, torch.int64]


def addition(dtype: DType = DType.F32) -> Graph:
    builder = GraphBuilder("addition")
    x, y = builder.input(dtype), builder.input(dtype)
    return builder.finish([builder.apply("add", x, y)])


@pytest.mark.parametrize("grain", [1, 10**9])
@pytest.mark.parametrize(
    "shape",
    [(16, 16), (64, 128), (65, 129), (1, 40), (40, 1), (15, 200), (200, 15), (17, 31), (128, 300),
     (130, 16), (3, 70, 33), (2, 3, 16, 20)],
)  # fmt: skip
def test_every_shape(shape, grain):
    x = torch.randn(*shape[:-2], shape[-1], shape[-2]).transpose(-1, -2)
    y = torch.randn(shape)
    around = torch.full((math.prod(shape) + 2,), 77.0)
    out = around[1:-1].view(shape)
    (got,) = run(addition(), x, y, out=[out], grain=grain, blocks=True, collapse=False)
    assert torch.equal(got, x + y)
    assert around[0] == around[-1] == 77


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_functions_of_transposed_tensors(data):
    dtype = data.draw(st.sampled_from(DTYPES))
    outer = data.draw(st.lists(st.integers(1, 3), max_size=2))
    shape = [*outer, data.draw(st.integers(14, 150)), data.draw(st.integers(14, 300))]
    order = data.draw(st.permutations(range(len(shape))))
    offset = data.draw(st.integers(0, 3))
    padded = [shape[d] for d in order]
    padded[-1] += data.draw(st.integers(0, 2))
    memory = torch.randint(0, 90, (math.prod(padded) + offset,)).to(dtype)
    given = memory[offset:].view(padded)[..., : shape[order[-1]]]
    x = given.permute([order.index(d) for d in range(len(shape))])
    y = torch.randint(0, 90, shape).to(dtype)
    bias = torch.randint(0, 9, (shape[-1],)).to(dtype)

    def function(x, y, bias):
        return (x ^ y, bias & x) if dtype is torch.bool else (x * y + bias, x - y)

    got = fusekit.fuse(function, engine="llvm")(x, y, bias)
    for one, other in zip(got, function(x, y, bias), strict=True):
        assert torch.equal(one, other)
        assert one.stride() == other.stride()


@pytest.mark.parametrize("engine", ["llvm", "cpp"])
def test_both_engines_and_several_transposed_inputs(engine):
    def function(a, b, c):
        return torch.relu(a.t() + b) * c.t(), a.t() < c.t()

    a, b, c = torch.randn(150, 70), torch.randn(70, 150), torch.randn(150, 70)
    got = fusekit.fuse(function, engine=engine)(a, b, c)
    assert all(map(torch.equal, got, function(a, b, c)))


def test_more_transposed_inputs_than_are_copied():
    def function(*tensors):
        return sum(x.t() for x in tensors[1:]) + tensors[0]

    tensors = [torch.randint(0, 9, (40, 40)) for _ in range(12)]
    assert torch.equal(fusekit.fuse(function, engine="llvm")(*tensors), function(*tensors))


def test_writing_into_what_is_transposed():
    x, y = torch.randn(100, 80), torch.randn(80, 100)

    def function(x, y):
        x.t().mul_(y)
        return x.t() + y

    other = x.clone()
    got = fusekit.fuse(function, engine="llvm")(other, y)
    assert torch.equal(got, function(x, y))
    assert torch.equal(other, x)


def test_a_division_by_zero_in_a_block_is_reported():
    builder = GraphBuilder()
    x, y = builder.input(DType.I32), builder.input(DType.I32)
    graph = builder.finish([builder.apply("floordiv", x, y)])
    x, y = torch.arange(70 * 90, dtype=torch.int32).view(90, 70).t(), torch.ones(70, 90).int()
    assert launch(graph, x, y, blocks=True, grain=1).status == 0
    y[69, 89] = 0
    assert launch(graph, x, y, blocks=True, grain=1).status == 1


def test_numbers_drawn_in_blocks_are_those_of_rows():
    x = torch.randn(50, 70)
    fused = fusekit.fuse(torch.nn.functional.dropout, engine="llvm")
    across = fusekit.fuse(lambda x, p: torch.nn.functional.dropout(x.t(), p), engine="llvm")
    torch.manual_seed(3)
    rows = fused(x.t().contiguous(), 0.5)
    torch.manual_seed(3)
    assert torch.equal(across(x, 0.5), rows)


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
def test_the_rows_of_a_square_are_its_columns(bits):
    side = min(16, 512 // bits)
    registers = {f"%r0.{c}": [(r, c) for r in range(side)] for c in range(side)}
    stored = {}
    for line in transposition.definition(bits, 100):
        if match := re.match(r"  (\S+) = shufflevector .*> (\S+), .*> (\S+), <.*> <(.*)>", line):
            name, first, second, mask = match.groups()
            both = registers[first] + registers[second]
            registers[name] = [both[int(lane.split()[1])] for lane in mask.split(", ")]
        if match := re.match(r"  store <.*> (\S+), ptr %to\.(\d+),", line):
            stored[int(match[2])] = registers[match[1]]
    assert stored == {r: [(r, c) for c in range(side)] for r in range(side)}


def test_the_text(golden):
    graph = addition()
    across = TensorDesc(DType.F32, (Stride.UNIT, Stride.STRIDED), 4)
    along = TensorDesc(DType.F32, (Stride.STRIDED, Stride.UNIT), 4)
    args = ArgSpec("cpu", 2, (across, along), (along,))
    target = Target("znver4", "+avx2,+avx512f,+f16c,+fma", 64)
    spec = kernel_spec(graph)
    schedule = Schedule(lanes=16, grain=65536, block=(64, 128))
    golden(emit(spec, LlvmDialect(spec, args, schedule, target)).text)
