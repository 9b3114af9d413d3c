"""The C++ dialect: every op on every dtype, layouts, sizes, threads and traps."""

from __future__ import annotations

import functools
import itertools
import math
import re
import threading

import numpy as np
import pytest
import torch

from fusekit import routines
from fusekit.codegen import emit
from fusekit.codegen.dialects.cpp import CppDialect
from fusekit.codegen.dialects.reference import ReferenceDialect
from fusekit.compilers.host_cxx import HostCxx
from fusekit.frontends.dtypes import TO_TORCH
from fusekit.ir import OPS, DType, Graph, GraphBuilder, Rule
from tests.codegen import harness
from tests.codegen.graphs import eager_mixed, mixed

MISSING = HostCxx().unavailable()
compiles = pytest.mark.skipif(bool(MISSING), reason=str(MISSING))

POINTWISE = [op for op in OPS.values() if op.rule in (Rule.SAME, Rule.COMPARE, Rule.SELECT)]
COMPUTED = [dtype for dtype in DType if not dtype.is_storage_only]
DIVISIONS = ("floordiv", "truncdiv", "remainder", "fmod")
EXACT = frozenset({
    "abs", "add", "ceil", "copy", "copysign", "div", "eq", "floor", "fma", "fmod", "ge", "gt",
    "isfinite", "isinf", "isnan", "le", "lt", "maximum", "minimum", "mul", "ne", "neg", "rarely",
    "remainder", "round", "select", "signbit", "sqrt", "sub", "trunc",
})  # fmt: skip


@functools.cache
def cpp() -> harness.Engine:
    return harness.Engine(CppDialect, HostCxx())


def launch(graph, *values, **options):
    return harness.launch(graph, *values, engine=cpp(), **options)


def run(graph, *values, **options):
    return harness.run(graph, *values, engine=cpp(), **options)


def reference(graph: Graph, *values) -> list[torch.Tensor]:
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    scalars = [value for value in values if not isinstance(value, torch.Tensor)]
    dialect = ReferenceDialect(harness.kernel_spec(graph), tensors, scalars)
    emit(dialect.spec, dialect)
    return dialect.outputs


def every_op(dtype: DType) -> tuple[Graph, list[str]]:
    """A graph of all ops that `dtype` has, over (x, y, z, condition, divisor)."""
    builder = GraphBuilder()
    x, y, z = (builder.input(dtype) for _ in range(3))
    condition, divisor = builder.input(DType.BOOL), builder.input(dtype)
    names, outputs = [], []
    for op in POINTWISE:
        if not op.accepts(dtype) or op.name in routines.FUNCTIONS:  # test_routines has those
            continue
        operands = [x, divisor if op.name in DIVISIONS else y, z, x][: op.arity]
        if op.rule is Rule.SELECT:
            operands = [condition, x, y]
        names.append(op.name)
        outputs.append(builder.apply(op.name, *operands))
    return builder.finish(outputs), names


def corners(dtype: DType) -> list:
    """Values at the borders of the dtype and of the ops."""
    if dtype is DType.BOOL:
        return [False, True]
    if dtype.is_float:
        info = torch.finfo(TO_TORCH[dtype])
        some = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.7, 0.3, 1e-3, 88.0, 1e10, info.max, info.tiny]
        some += [info.smallest_normal / 8, math.inf, 8388609.0]
        return [*some, *(-v for v in some), math.nan]
    low, high = -(2 ** (dtype.bits - 1)), 2 ** (dtype.bits - 1) - 1
    if dtype.kind.value != "int":
        low, high = 0, 2**dtype.bits - 1
    near = [0, 1, 2, 3, 5, 7, 8, 31, 32, 63, 64, 100, -1, -2, -3, -7, -8]
    return [low, low + 1, high, high - 1, *(v for v in near if low <= v <= high)]


def tensor(values: list, dtype: DType) -> torch.Tensor:
    kind = {DType.BOOL: bool}.get(dtype, float if dtype.is_float else f"{dtype.kind.value}64")
    return torch.from_numpy(np.array(values, dtype=kind)).to(TO_TORCH[dtype])


def operands(dtype: DType) -> list[torch.Tensor]:
    pairs = list(itertools.product(corners(dtype), repeat=2))
    x, y = (tensor(list(column), dtype) for column in zip(*pairs, strict=True))
    z = tensor([first for first, _ in reversed(pairs)], dtype)
    condition = torch.arange(len(pairs)) % 3 == 0
    divisor = torch.where(y.to(torch.float64) == 0, 3, y.to(torch.int64)).to(y.dtype)
    return [x, y, z, condition, y if dtype.is_float else divisor]


def same(got: torch.Tensor, want: torch.Tensor) -> torch.Tensor:
    """Equal, or both NaN; zeros of either sign are different."""
    if not want.is_floating_point():
        return got == want
    signs = torch.signbit(got) == torch.signbit(want)
    return (got == want) & signs | got.isnan() & want.isnan()


def show(name, wrong, inputs, got, want) -> str:
    at = int(wrong.nonzero()[0])
    return f"{name}{[t[at].item() for t in inputs]}: {got[at].item()}, not {want[at].item()}"


@compiles
@pytest.mark.parametrize("dtype", [d for d in COMPUTED if not d.is_float], ids=repr)
def test_every_op_on_integers_and_bools(dtype):
    graph, names = every_op(dtype)
    inputs = operands(dtype)
    results = zip(names, run(graph, *inputs), reference(graph, *inputs), strict=True)
    for name, got, want in results:
        wrong = ~(got == want)
        assert not wrong.any(), show(name, wrong, inputs, got, want)


@compiles
@pytest.mark.parametrize("dtype", [DType.F32, DType.F64], ids=repr)
def test_every_op_on_floats(dtype):
    graph, names = every_op(dtype)
    inputs = operands(dtype)
    everything = zip(names, run(graph, *inputs), reference(graph, *inputs), strict=True)
    for name, got, by_torch in everything:
        eager = EXACTLY[name](inputs[0], inputs[4]) if name in EXACTLY else by_torch
        if name in ("maximum", "minimum"):
            wrong = ~same(got + 0.0, eager + 0.0)  # the sign of zero is open there
        elif name in EXACT:
            wrong = ~same(got, eager)
        else:
            wrong = ~close(graph, names.index(name), inputs, got, eager)
        assert not wrong.any(), show(name, wrong, inputs, got, eager)


def exact_fmod(x, y) -> torch.Tensor:
    with np.errstate(invalid="ignore"):
        return torch.from_numpy(np.fmod(x.numpy(), y.numpy()))


EXACTLY = {
    "fmod": exact_fmod,  # eager's vector loop gives NaN where x / y is very large
    "sqrt": lambda x, _: x.double().sqrt().to(x.dtype),  # eager's float32 is not always the nearest
}


def close(graph, index, inputs, got, eager) -> torch.Tensor:
    """Within 2 ulp of float64's result or 1.5 times eager's error; float64 itself: 4 of eager's."""
    if got.dtype is torch.float64:
        exact, bound = eager, 4.0
    else:
        wide, names = every_op(DType.F64)
        assert names[index]
        exact = reference(wide, *(t.double() if t.is_floating_point() else t for t in inputs))[
            index
        ]
        bound = torch.clamp(1.5 * ulps(eager, exact), min=2.0)
    return same(got, exact.to(got.dtype)) | (ulps(got, exact) <= bound)


def ulps(value: torch.Tensor, exact: torch.Tensor) -> torch.Tensor:
    info = torch.finfo(value.dtype)
    rounded = exact.to(value.dtype)
    exponent = torch.frexp(rounded.double().abs().clamp(min=info.smallest_normal))[1] - 1
    unit = info.eps * torch.ldexp(torch.ones_like(exponent, dtype=torch.float64), exponent)
    return ((value.double() - exact) / unit).abs().nan_to_num(nan=math.inf)


@compiles
@pytest.mark.parametrize("source", list(DType), ids=repr)
def test_casts(source):
    """Every pair; outside an integer's range too, where eager's scalar loops are the measure."""
    targets = [target for target in DType if target is not source]
    builder = GraphBuilder()
    x = builder.input(source)
    graph = builder.finish([builder.cast(x, target) for target in targets])
    values = corners(source)
    if source.is_float:
        values += [65519.0, 65520.0, 2.0**31, 3e9, 1e10 + 77, 2.0**63, 1e19, -3e9, -1e19, 300.7]
        values += [5.9e-8, 2.9e-8, 1e-7, 6.09e-5, 2049.0, 1.00390625, 1.01171875, -1.5, -300.2]
    inputs = tensor(values, source)
    for target, got in zip(targets, run(graph, inputs), strict=True):
        # one element at a time: for uint32 eager's vector loop gives others out of range
        want = torch.cat([one.to(TO_TORCH[target]) for one in inputs.split(1)])
        wrong = ~same(got.double(), want.double()) if target is not DType.U64 else got != want
        assert not wrong.any(), show(f"{source} -> {target}", wrong, [inputs], got, want)


@compiles
@pytest.mark.parametrize("dtype", [DType.F16, DType.BF16], ids=repr)
def test_every_half_converts_exactly_and_back(dtype):
    builder = GraphBuilder()
    x = builder.input(dtype)
    wide = builder.cast(x, DType.F32)
    back = builder.cast(wide, dtype)
    chosen = builder.apply("select", builder.apply("isnan", wide), builder.const(0.1, dtype), back)
    graph = builder.finish([wide, chosen, builder.apply("copy", x), builder.bitcast(x, DType.I16)])
    bits = torch.arange(65536, dtype=torch.int32).to(torch.int16)
    halves = bits.view(TO_TORCH[dtype])
    floats, kept, copied, same_bits = run(graph, halves)
    assert same(floats, halves.float()).all()
    tenth = torch.tensor(0.1, dtype=halves.dtype)
    assert same(kept, torch.where(halves.isnan(), tenth, halves)).all()
    assert torch.equal(copied.view(torch.int16), bits)
    assert torch.equal(same_bits, bits)


@compiles
def test_float_to_half_rounds_like_eager():
    builder = GraphBuilder()
    x = builder.input(DType.F32)
    graph = builder.finish([builder.cast(x, DType.F16), builder.cast(x, DType.BF16)])
    values = torch.arange(0, 2**32, 4093 * 8).to(torch.int32).view(torch.float32)
    half, bfloat = run(graph, values)
    assert same(half, values.half()).all()
    assert same(bfloat, values.bfloat16()).all()


@compiles
def test_literals_arrive_exactly():
    cases = [
        (value, dtype)
        for dtype in DType
        for value in [*corners(dtype), *([0.1, 1 / 3, 1e-45, 5e-324] if dtype.is_float else [300])]
    ]
    builder = GraphBuilder()
    builder.input(DType.F32)
    made = [builder.const(*case) for case in cases]
    graph = builder.finish([builder.apply("copy", value) for value in made])
    anything = torch.zeros(1)
    for case, got, want in zip(
        cases, run(graph, anything), reference(graph, anything), strict=True
    ):
        assert same(got, want).all(), (case, got, want)


@compiles
def test_operators_on_literals():
    """Negated negatives, shifts by literal counts, divisors that are literals."""
    builder = GraphBuilder()
    x, f = builder.input(DType.I32), builder.input(DType.F32)
    five, minus, none = (builder.const(v, DType.I32) for v in (5, -3, 0))
    outputs = [
        builder.apply("neg", minus),
        builder.apply("neg", builder.const(-0.0, DType.F32)),
        builder.apply("sub", x, minus),
        *(builder.apply(op, x, five) for op in ("shl", "shr", *DIVISIONS)),
        *(builder.apply(op, x, minus) for op in ("shl", "shr", *DIVISIONS)),
        *(builder.apply(op, x, builder.const(32, DType.I32)) for op in ("shl", "shr")),
        builder.apply("select", builder.const(True, DType.BOOL), f, builder.const(1, DType.F32)),
        builder.apply("pow", x, none),
    ]
    graph = builder.finish(outputs)
    inputs = torch.arange(-40, 40, dtype=torch.int32), torch.randn(80)
    result = launch(graph, *inputs)
    assert result.status == 0
    assert "trapped |=" not in result.source.text
    for node, got, want in zip(
        graph.nodes, result.outputs, reference(graph, *inputs), strict=False
    ):
        assert same(got, want).all(), node


LAYOUTS = {
    "contiguous": lambda s: (torch.randn(s), torch.randn(s), torch.rand(s) > 0.5),
    "rows": lambda s: (torch.randn(s), torch.randn(s[-1:]), torch.rand(s) > 0.5),
    "columns": lambda s: (torch.randn(s), torch.randn(*s[:-1], 1), torch.rand(*s[:-1], 1) > 0.5),
    "transposed": lambda s: (torch.randn(s[::-1]).T, torch.randn(s), torch.rand(s) > 0.5),
    "steps": lambda s: (
        torch.randn(*s[:-1], 2 * s[-1])[..., ::2],
        torch.randn(s),
        torch.rand(*s[:-1], s[-1] + 3)[..., 3:] > 0.5,
    ),
    "scalars": lambda s: (torch.randn(s), torch.randn(()), torch.tensor(True)),
}


@compiles
@pytest.mark.filterwarnings("ignore:The use of `x.T` on tensors of dimension")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("collapse", [True, False])
def test_layouts_sizes_and_threads(layout, collapse):
    shapes = [(1, 1), (5, 1), (1, 7), (3, 100), (65, 3), (2, 3, 5), (2, 1, 70), (2, 3, 4, 5)]
    shapes += [(n,) for n in (1, 2, 15, 16, 17, 33, 1000)]
    for shape, grain in itertools.product(shapes, [1, 10**9]):
        if layout == "transposed" and len(shape) == 4:
            continue
        inputs = LAYOUTS[layout](shape)
        got, less = run(mixed(), *inputs, 0.25, grain=grain, collapse=collapse)
        want, less_want = eager_mixed(*inputs, 0.25)
        assert got.shape == want.shape
        torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-6)
        assert torch.equal(less, less_want)


@compiles
def test_a_single_element():
    got, less = run(mixed(), torch.tensor(2.0), torch.tensor(0.5), torch.tensor(True), -0.75)
    assert (got.item(), less.item()) == (pytest.approx(math.tanh(0.25)), 0)


@compiles
@pytest.mark.parametrize("shape", [(1000,), (37, 40)])
def test_in_place(shape):
    x, y, c = LAYOUTS["steps"](shape)
    want, less = eager_mixed(x, y, c, 0.5)
    got = run(mixed(), x, y, c, 0.5, out=[y, torch.empty(shape, dtype=torch.int64)], grain=1)
    assert got[0] is y
    torch.testing.assert_close(y, want, rtol=1e-6, atol=1e-6)
    assert torch.equal(got[1], less)


@compiles
def test_any_byte_but_zero_is_true():
    bytes_ = torch.tensor([0, 1, 2, 128, 255], dtype=torch.uint8)
    builder = GraphBuilder()
    x = builder.input(DType.BOOL)
    graph = builder.finish([builder.cast(x, DType.I32), builder.apply("copy", x)])
    numbers, stored = run(graph, bytes_.view(torch.bool))
    assert numbers.tolist() == [0, 1, 1, 1, 1]
    assert stored.view(torch.uint8).tolist() == [0, 1, 1, 1, 1]


def quotient() -> Graph:
    return harness.single("floordiv", DType.I32)


@compiles
@pytest.mark.parametrize("shape", [(), (3000,), (60, 50)])
def test_division_by_zero_is_reported(shape):
    x = torch.arange(math.prod(shape), dtype=torch.int32).reshape(shape) + 7
    y = torch.full(shape, 2, dtype=torch.int32)
    options = {"grain": 1, "collapse": False}
    fine = launch(quotient(), x, y, **options)
    assert fine.status == 0
    assert torch.equal(fine.outputs[0], x // 2)
    y.view(-1)[-1:] = 0
    assert launch(quotient(), x, y, **options).status == 1


@compiles
@pytest.mark.parametrize("op", DIVISIONS)
@pytest.mark.parametrize("dtype", [DType.I32, DType.I64], ids=repr)
def test_the_lowest_integer_by_minus_one_wraps(op, dtype):
    low = -(2 ** (dtype.bits - 1))
    x = torch.full((9,), low, dtype=TO_TORCH[dtype])
    (got,) = run(harness.single(op, dtype), x, torch.full_like(x, -1))
    assert got.unique().tolist() == [low if op.endswith("div") else 0]


@compiles
def test_many_threads_call_one_kernel():
    x, y, c = LAYOUTS["contiguous"]((300, 100))
    want, _ = eager_mixed(x, y, c, 0.5)
    wrong = []

    def work() -> None:
        for _ in range(20):
            got, _ = run(mixed(), x, y, c, 0.5, grain=100)
            if not torch.allclose(got, want, rtol=1e-6, atol=1e-6):
                wrong.append(got)

    run(mixed(), x, y, c, 0.5, grain=100)
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@compiles
def test_the_inner_loop_is_vectorised():
    """The text leaves vectors to the compiler: look that it does its part."""
    source = launch(mixed(), *LAYOUTS["contiguous"]((8,)), 0.5).source
    assembly = cpp().compiler.assembly(source)
    packed = re.findall(r"\b(v?mulps|v?fmadd\d+ps|fmul\s+v|fmla\s+v)", assembly)
    assert packed or not re.search(r"x86_64|aarch64", cpp().compiler.target().name)
