"""The loops of the LLVM dialect: every size, layout and number of threads gives the same values."""

from __future__ import annotations

import threading

import pytest
import torch

from fusekit.ir import DType, Graph, GraphBuilder
from tests.codegen.harness import launch, run

SIZES = [*range(71), 127, 128, 129, 1000, 4097]


def affine(dtype: DType = DType.F32) -> Graph:
    """x * y + s."""
    builder = GraphBuilder("affine")
    x, y = builder.input(dtype), builder.input(dtype)
    s = builder.scalar(DType.F64)
    product = builder.apply("mul", x, y)
    return builder.finish([builder.apply("add", product, builder.cast(s, dtype))])


def check(x, y, **options):
    (got,) = run(affine(), x, y, 0.5, **options)
    assert torch.equal(got, x * y + 0.5)


@pytest.mark.parametrize("dtype", [DType.F32, DType.U8, DType.F64])
def test_every_size(dtype):
    from fusekit.frontends.dtypes import TO_TORCH

    builder = GraphBuilder()
    x, y = builder.input(dtype), builder.input(dtype)
    graph = builder.finish([builder.apply("add", x, y), builder.apply("lt", x, y)])
    for size in SIZES:
        a, b = (torch.randint(0, 100, (size,)).to(TO_TORCH[dtype]) for _ in range(2))
        # the elements around the output must stay as they are
        around = torch.full((size + 2,), 77, dtype=a.dtype)
        total, less = run(graph, a, b, out=[around[1:-1], torch.empty(size, dtype=torch.bool)])
        assert torch.equal(total, a + b)
        assert torch.equal(less, a < b)
        assert around[0] == around[-1] == 77


def test_a_single_element():
    check(torch.tensor(3.0), torch.tensor(4.0))


@pytest.mark.parametrize("collapse", [True, False])
@pytest.mark.parametrize("grain", [1, 100, 10**9])
@pytest.mark.parametrize(
    "shape",
    [(1, 1), (5, 1), (1, 5), (7, 3), (33, 7), (5, 31), (5, 32), (5, 33), (3, 40), (3, 100),
     (300, 3), (2, 1000), (3, 4, 5), (2, 3, 70), (2, 2, 3, 5)],
)  # fmt: skip
class TestLayouts:
    def test_contiguous(self, shape, grain, collapse):
        check(torch.randn(shape), torch.randn(shape), grain=grain, collapse=collapse)

    def test_row_broadcast(self, shape, grain, collapse):
        check(torch.randn(shape), torch.randn(shape[-1:]), grain=grain, collapse=collapse)

    def test_column_broadcast(self, shape, grain, collapse):
        column = torch.randn(*shape[:-1], 1)
        check(torch.randn(shape), column, grain=grain, collapse=collapse)

    def test_scalar_tensor(self, shape, grain, collapse):
        check(torch.randn(shape), torch.randn(()), grain=grain, collapse=collapse)

    def test_sliced(self, shape, grain, collapse):
        x = torch.randn(*shape[:-1], shape[-1] + 3)[..., 2:-1]
        check(x, torch.randn(shape), grain=grain, collapse=collapse)

    def test_stride_along_the_rows(self, shape, grain, collapse):
        x = torch.randn(*shape[:-1], 2 * shape[-1])[..., ::2]
        check(x, torch.randn(shape), grain=grain, collapse=collapse)

    def test_transposed(self, shape, grain, collapse):
        x = torch.randn(shape[::-1]).permute(*reversed(range(len(shape))))
        check(x, torch.randn(shape), grain=grain, collapse=collapse)

    def test_output_with_strides(self, shape, grain, collapse):
        x, y = torch.randn(shape), torch.randn(shape)
        kept = torch.zeros(*shape[:-1], 2 * shape[-1])
        check(x, y, grain=grain, collapse=collapse, out=[kept[..., 1::2]])
        assert not kept[..., ::2].any()


@pytest.mark.parametrize("shape", [(100,), (33, 7), (3, 100)])
def test_in_place(shape):
    x, y = torch.randn(shape), torch.randn(shape)
    expected = x * y + 0.5
    (got,) = run(affine(), x, y, 0.5, out=[x], grain=50)
    assert got is x
    assert torch.equal(x, expected)


def test_in_place_through_strides():
    base = torch.randn(40, 20)
    x, y = base.t(), torch.randn(20, 40)
    expected = x * y + 0.5
    run(affine(), x, y, 0.5, out=[x])
    assert torch.equal(x, expected)


@pytest.mark.parametrize("lanes", [4, 8, 16, 32, 64, 128])
def test_lanes(lanes):
    for size in (1, 3, 4, 5, 130, 1000):
        check(torch.randn(size), torch.randn(size), lanes=lanes)


def test_unaligned_addresses():
    for offset in range(1, 5):
        check(torch.randn(200)[offset:], torch.randn(204)[4 + offset :], grain=64)


def test_many_sizes_with_threads():
    before = torch.get_num_threads()
    try:
        for count in (1, 2, 3, 7):
            torch.set_num_threads(count)
            for size in (1, 63, 64, 65, 1000, 4097, 100_003):
                check(torch.randn(size), torch.randn(size), grain=64)
    finally:
        torch.set_num_threads(before)


def test_calls_from_several_threads():
    graph, failures = affine(), []

    def work(seed):
        generator = torch.Generator().manual_seed(seed)
        for _ in range(20):
            x, y = torch.randn(2, 5000, generator=generator)
            (got,) = run(graph, x, y, 0.5, grain=500)
            if not torch.equal(got, x * y + 0.5):
                failures.append(seed)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures


def test_scalars():
    builder = GraphBuilder()
    x = builder.input(DType.I64)
    i, b, f = builder.scalar(DType.I64), builder.scalar(DType.BOOL), builder.scalar(DType.F64)
    total = builder.apply("add", x, i)
    whole = builder.apply("add", total, builder.cast(f, DType.I64))
    graph = builder.finish([builder.apply("select", b, whole, x)])
    x, large = torch.arange(500), -(2**63) + 1
    for grain in (10, 1000):  # through the frame that threads share, and directly
        assert torch.equal(run(graph, x, -3, True, 7.9, grain=grain)[0], x + 4)
        assert torch.equal(run(graph, x, -3, False, 7.9, grain=grain)[0], x)
        assert torch.equal(run(graph, x, large, True, 0.0, grain=grain)[0], x + large)


def test_constants_alone():
    builder = GraphBuilder()
    builder.input(DType.F32)
    graph = builder.finish([builder.const(2.5, DType.F32), builder.const(True, DType.BOOL)])
    number, flag = run(graph, torch.zeros(70))
    assert torch.equal(number, torch.full((70,), 2.5))
    assert flag.all()


def test_an_input_as_output():
    builder = GraphBuilder()
    x = builder.input(DType.BF16)
    graph = builder.finish([builder.apply("copy", x), x])
    x = torch.randn(50).bfloat16()
    assert all(torch.equal(got, x) for got in run(graph, x))


@pytest.mark.parametrize("position", [0, 5, 99, 4097])
@pytest.mark.parametrize("op", ["floordiv", "truncdiv", "remainder", "fmod"])
@pytest.mark.parametrize("dtype", [DType.I32, DType.I64, DType.U8])
def test_division_by_zero_is_reported(op, dtype, position):
    from fusekit.frontends.dtypes import TO_TORCH
    from tests.codegen.harness import single

    x = torch.arange(1, 4099).to(TO_TORCH[dtype])
    y = torch.full_like(x, 3)
    graph = single(op, dtype)
    assert launch(graph, x, y, grain=1000).status == 0
    y[position] = 0
    assert launch(graph, x, y, grain=1000).status == 1
    assert launch(graph, x, y).status == 1


def test_idle_lanes_do_not_trap():
    # the divisor is 0 wherever x is -1, as it is in lanes that hold no element
    builder = GraphBuilder()
    x = builder.input(DType.I32)
    divisor = builder.apply("add", x, builder.const(0, DType.I32))
    graph = builder.finish([builder.apply("truncdiv", x, divisor)])
    for size in range(1, 40):
        assert launch(graph, torch.ones(size, dtype=torch.int32)).status == 0


def test_division_by_a_scalar_that_is_zero():
    builder = GraphBuilder()
    x, s = builder.input(DType.I64), builder.scalar(DType.I64)
    t = builder.scalar(DType.I64)
    shared = builder.apply("truncdiv", s, t)
    graph = builder.finish([builder.apply("add", x, shared)])
    assert launch(graph, torch.arange(10), 7, 0).status == 1
    assert torch.equal(run(graph, torch.arange(10), 7, 2)[0], torch.arange(10) + 3)


@pytest.mark.parametrize("pieces", [3, 5])
def test_many_rows_with_gaps_are_asked_for_ahead(pieces):
    builder = GraphBuilder()
    inputs = [builder.input(DType.F32) for _ in range(pieces)]
    total = inputs[0]
    for value in inputs[1:]:
        total = builder.apply("add", total, value)
    whole = torch.randn(37, 100 * pieces)
    result = launch(builder.finish([total]), *whole.chunk(pieces, dim=1))
    want = whole[:, :100].clone()
    for piece in whole.chunk(pieces, dim=1)[1:]:
        want += piece
    assert torch.equal(result.outputs[0], want)
    assert ("@llvm.prefetch" in result.source.text) == (pieces == 5)
