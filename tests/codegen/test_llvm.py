"""The LLVM dialect's ops and casts, against eager PyTorch and against exact arithmetic."""

from __future__ import annotations

import math
import platform

import pytest
import torch

from fusekit.codegen import Schedule, Target, emit
from fusekit.codegen.dialects.llvm import LlvmDialect
from fusekit.frontends.dtypes import TO_TORCH
from fusekit.ir import OPS, DType, GraphBuilder
from fusekit.specs import ArgSpec, Stride, TensorDesc
from tests.codegen import op_cases as cases
from tests.codegen.harness import kernel_spec, llvm, run, single

BASELINE = Target("x86-64", "", 16)
"""No AVX, no half instructions, no Sleef."""


AVX2 = Target("haswell", "+avx2,+f16c,+fma", 32)
"""Sleef four doubles or eight floats at a time."""


def name_case(value):
    return value.value if isinstance(value, DType) else str(value)


def some(names, dtypes):
    return [(op, dtype) for op in names for dtype in dtypes if OPS[op].accepts(dtype)]


@pytest.mark.parametrize(("op", "dtype"), cases.CASES, ids=name_case)
def test_every_op_is_spelled(op, dtype):
    values = cases.operands(op, dtype)
    (got,) = run(single(op, dtype), *values)
    assert got.shape == values[-1].shape


@pytest.mark.parametrize(
    ("op", "dtype"),
    [
        case
        for case in cases.CASES
        if case[1].is_integral and case[0] not in ("select", "rarely", "philox")
    ],
    ids=name_case,
)
def test_integers(op, dtype):
    columns = cases.operands(op, dtype)
    (got,) = run(single(op, dtype), *columns)
    rows = zip(columns[0].tolist(), columns[-1].tolist(), strict=True)
    assert got.tolist() == [cases.integer(op, dtype, x, y) for x, y in rows]


@pytest.mark.parametrize("op", ["floordiv", "truncdiv", "remainder", "fmod"])
@pytest.mark.parametrize(
    ("dtype", "divisor"),
    [
        (dtype, divisor)
        for dtype in cases.INTEGERS
        for divisor in (1, 2, 3, 7, 100, -1, -2, -7)
        if divisor >= cases.bounds(dtype)[0]
    ],
    ids=name_case,
)
def test_division_by_a_constant(op, dtype, divisor):
    builder = GraphBuilder()
    x = builder.input(dtype)
    graph = builder.finish([builder.apply(op, x, builder.const(divisor, dtype))])
    x = cases.tensor(cases.edges(dtype), dtype)
    (got,) = run(graph, x)
    assert got.tolist() == [cases.integer(op, dtype, value, divisor) for value in x.tolist()]


def test_every_quotient_of_bytes():
    for dtype in (DType.I8, DType.U8):
        lowest, highest = cases.bounds(dtype)
        numbers = torch.arange(lowest, highest + 1)
        divisors = numbers[numbers != 0]
        x = numbers.repeat_interleave(len(divisors)).to(TO_TORCH[dtype])
        y = divisors.repeat(len(numbers)).to(TO_TORCH[dtype])
        (got,) = run(single("floordiv", dtype), x, y)
        expected = torch.div(x.long(), y.long(), rounding_mode="floor").to(x.dtype)
        assert torch.equal(got, expected)


@pytest.mark.parametrize("dtype", [DType.I16, DType.U16, DType.I32, DType.U32, DType.I64])
def test_random_quotients(dtype):
    lowest, highest = cases.bounds(dtype)
    x = torch.randint(lowest, highest, (20_000,))
    # quotients just above and just below a whole number are the ones that rounding could spoil
    y = torch.randint(1, max(int(highest**0.5), 2), (20_000,))
    x = torch.where(torch.arange(20_000) % 2 == 0, x, x // y * y - torch.arange(20_000) % 3)
    x = x.clamp(lowest, highest)
    (got,) = run(single("truncdiv", dtype), x.to(TO_TORCH[dtype]), y.to(TO_TORCH[dtype]))
    assert torch.equal(got.long(), torch.div(x, y, rounding_mode="trunc"))


@pytest.mark.parametrize("op", ["and", "or", "xor", "not", "eq", "ne", "lt", "le", "gt", "ge"])
def test_bools(op):
    columns = cases.operands(op, DType.BOOL)
    (got,) = run(single(op, DType.BOOL), *columns)
    torch_op = getattr(torch, f"logical_{op}" if op in ("and", "or", "xor", "not") else op)
    assert torch.equal(got, torch_op(*columns))


def test_bytes_that_are_no_proper_bools():
    flags = torch.tensor([0, 1, 2, 255], dtype=torch.uint8).view(torch.bool)
    (got,) = run(single("not", DType.BOOL), flags)
    assert got.view(torch.uint8).tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("target", [None, BASELINE], ids=["host", "baseline"])
@pytest.mark.parametrize(("op", "dtype"), some(cases.EXACT, cases.FLOATS), ids=name_case)
def test_exact_float_ops(op, dtype, target):
    columns = cases.operands(op, dtype)
    (got,) = run(single(op, dtype), *columns, target=target)
    # of two zeros, eager takes one in its vector code and the other in its scalar code
    signed = op not in ("maximum", "minimum")
    assert cases.same(got, cases.EXACT[op](*columns), signed_zeros=signed)


@pytest.mark.parametrize("dtype", cases.FLOATS, ids=name_case)
def test_fma_rounds_once(dtype):
    bits = {DType.F32: 12, DType.F64: 27}[dtype]
    x = torch.tensor([1 + 2.0**-bits] * 40, dtype=TO_TORCH[dtype])
    (got,) = run(single("fma", dtype), x, x, -x * x)
    assert got[0] == 2.0 ** (-2 * bits) or got[0] == (x.double() * x.double() - x * x)[0]
    assert got[0] != 0


def test_nothing_is_contracted():
    builder = GraphBuilder()
    x, y, z = (builder.input(DType.F32) for _ in range(3))
    graph = builder.finish([builder.apply("add", builder.apply("mul", x, y), z)])
    x, y = torch.randn(2, 1000)
    (got,) = run(graph, x, y, -x * y)
    assert not got.any()


@pytest.mark.parametrize("op", ["select", "rarely"])
@pytest.mark.parametrize("dtype", list(DType), ids=name_case)
def test_select(dtype, op):
    columns = cases.operands(op, dtype)
    (got,) = run(single(op, dtype), *columns)
    assert torch.equal(got, torch.where(*columns))


@pytest.mark.parametrize("target", [None, AVX2, BASELINE], ids=["host", "avx2", "baseline"])
@pytest.mark.parametrize(("op", "dtype"), some(cases.EAGER, cases.FLOATS), ids=name_case)
def test_transcendental_ops(op, dtype, target):
    if target is AVX2 and llvm().compiler.target().vector_bytes < 32:
        pytest.skip("this machine has no AVX2")
    low, high = cases.DOMAIN.get(op, (-8.0, 8.0))
    columns = [
        (torch.rand(150, dtype=torch.float64) * (high - low) + low).to(TO_TORCH[dtype])
        for _ in range(OPS[op].arity)
    ]
    exact = cases.exact_values(op, tuple(tuple(column.tolist()) for column in columns))
    (got,) = run(single(op, dtype), *columns, target=target)
    eager = cases.EAGER[op](*columns)
    assert cases.ulps(got, exact) <= max(2.0, 1.5 * cases.ulps(eager, exact))


@pytest.mark.parametrize(("op", "dtype"), some(cases.EAGER, cases.FLOATS), ids=name_case)
def test_transcendental_ops_of_special_values(op, dtype):
    columns = cases.operands(op, dtype)
    (got,) = run(single(op, dtype), *columns)
    exact = cases.EAGER[op](*(column.double() for column in columns)).to(got.dtype)
    wrong = ~torch.isclose(got, exact, rtol=1e-5, atol=0, equal_nan=True)
    assert not wrong.any(), [values[wrong] for values in (*columns, got, exact)]


NUMBERS = [
    0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.5, -1.5, 127.9, 128.0, -128.9, -129.0, 200.0, 255.9, 256.0,
    -300.0, 32767.9, 65535.5, 65504.0, 65519.9, 65520.0, 70000.0, -70000.0, 2.0**24 + 1,
    2.0**31 - 1, 2.0**31, -(2.0**31), -(2.0**31) - 1, 3e9, -3e9, 2.0**32, 5e9, -5e9,
    2.0**53 + 1, 1e18, 2.0**63, -(2.0**63), 1e19, 2e19, -1e19, 1e39, 1e-45, 1e-41,
    6e-8, 2.9e-8, 6.1e-5, 1e-300, 3.14159265358979, 1.00390625, 1.01171875,
    math.inf, -math.inf, math.nan,
]  # fmt: skip


def numbers(dtype):
    if dtype is DType.BOOL:
        return torch.tensor([False, True] * 20)
    if dtype.is_float:
        return torch.tensor(NUMBERS, dtype=torch.float64).to(TO_TORCH[dtype])
    return cases.tensor(cases.edges(dtype), dtype)


def one_by_one(values, dtype):
    """What eager converts single elements to: its vector code has other ideas of uint32."""
    return torch.stack([value.clone().to(dtype) for value in values])


@pytest.mark.parametrize("features", ["host", "baseline"])
@pytest.mark.parametrize("source", list(DType), ids=name_case)
def test_casts(source, features):
    values = numbers(source)
    if platform.machine() not in ("x86_64", "AMD64") and source.is_float:
        values = values[values.abs() < 100]
    targets = [dtype for dtype in DType if dtype is not source]
    builder = GraphBuilder()
    x = builder.input(source)
    graph = builder.finish([builder.cast(x, dtype) for dtype in targets])
    target = BASELINE if features == "baseline" else None
    for dtype, got in zip(targets, run(graph, values, target=target), strict=True):
        expected = one_by_one(values, TO_TORCH[dtype])
        assert cases.same(got, expected), (dtype, list(zip(values, got, expected, strict=True)))


@pytest.mark.parametrize("target", [None, BASELINE], ids=["host", "baseline"])
@pytest.mark.parametrize("dtype", [DType.F16, DType.BF16], ids=name_case)
class TestHalves:
    def test_every_half(self, dtype, target):
        builder = GraphBuilder()
        wide = builder.cast(builder.input(dtype), DType.F32)
        graph = builder.finish([wide, builder.cast(wide, dtype)])
        halves = torch.arange(65536, dtype=torch.int32).to(torch.uint16).view(TO_TORCH[dtype])
        wide, back = run(graph, halves, target=target)
        assert cases.same(wide, halves.float())
        assert cases.same(back, halves)

    def test_rounding(self, dtype, target):
        builder = GraphBuilder()
        graph = builder.finish([builder.cast(builder.input(DType.F32), dtype)])
        bits = torch.arange(-(2**31), 2**31, 65_521 // 3).to(torch.int32)
        values = bits.view(torch.float32)
        (got,) = run(graph, values, target=target)
        assert cases.same(got, values.to(TO_TORCH[dtype]))


@pytest.mark.parametrize(
    ("source", "target"),
    [(x, y) for x in DType for y in DType
     if x is not DType.BOOL and y is not DType.BOOL and x.bits == y.bits],
    ids=name_case,
)  # fmt: skip
def test_bitcasts(source, target):
    builder = GraphBuilder()
    graph = builder.finish([builder.bitcast(builder.input(source), target)])
    values = numbers(source)
    (got,) = run(graph, values)
    assert cases.same(got, values.view(TO_TORCH[target]))


@pytest.mark.parametrize("dtype", list(DType), ids=name_case)
def test_constants(dtype):
    values = [False, True] if dtype is DType.BOOL else numbers(dtype).tolist()
    for value in values:
        builder = GraphBuilder()
        builder.input(DType.F32)
        graph = builder.finish([builder.const(value, dtype)])
        (got,) = run(graph, torch.zeros(3))
        assert cases.same(got, torch.tensor([value] * 3, dtype=TO_TORCH[dtype]))


def test_a_helper_is_emitted_once():
    builder = GraphBuilder()
    x = builder.input(DType.F32)
    graph = builder.finish([builder.apply("tanh", builder.apply("tanh", x))])
    source = generate(graph)
    assert source.text.count("define internal <16 x float> @tanh_f32") == 1
    assert source.text.count("call <16 x float> @tanh_f32") == 2


FIXED = Target("znver4", "+avx2,+avx512f,+f16c,+fma", 64)


def generate(graph, strides=(Stride.UNIT,)):
    descs = [TensorDesc(graph.dtype(i), strides, 4) for i in (*graph.tensor_inputs, *graph.outputs)]
    split = len(graph.tensor_inputs)
    args = ArgSpec("cpu", len(strides), tuple(descs[:split]), tuple(descs[split:]))
    spec = kernel_spec(graph)
    return emit(spec, LlvmDialect(spec, args, Schedule(lanes=16, grain=4096), FIXED))


def example():
    """A bit of everything: a scalar, a helper, a row of several lines, a half."""
    builder = GraphBuilder("example")
    x, y = builder.input(DType.F32), builder.input(DType.F16)
    s = builder.cast(builder.scalar(DType.F64), DType.F32)
    product = builder.apply("mul", x, builder.cast(y, DType.F32))
    total = builder.apply("add", product, s)
    clamped = builder.apply("maximum", total, builder.const(0.0, DType.F32))
    rest = builder.apply("fmod", clamped, x)
    return builder.finish([rest, builder.apply("isfinite", total)])


def test_the_text_of_a_kernel(golden):
    golden(generate(example()).text)


def test_the_text_of_a_kernel_with_rows(golden):
    golden(generate(example(), (Stride.STRIDED, Stride.UNIT)).text)


def test_lines_name_the_values_they_compute():
    graph = example()
    source = generate(graph)
    text = source.text.splitlines()
    computed = [i for i in range(len(graph.values)) if graph.values[i].scalar or source.lines_of(i)]
    assert len(computed) == len(graph.values) - 1  # all but the constant
    for value in computed:
        runs = source.lines_of(value)
        lines = [line for first, last in runs for line in text[first - 1 : last]]
        assert f"n{value}" in lines[0]
        assert any(f"%n{value} =" in line for line in lines)
        stores = [line for line in text if "store" in line and f" %n{value}," in line]
        assert set(stores) <= set(lines)


def test_the_text_is_the_same_every_time():
    assert generate(example()) == generate(example())
