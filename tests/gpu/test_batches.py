"""Batches on a GPU: many calls in one launch, with eager's results."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

import fusekit
from fusekit.runtime import gpu_batches, unaligned
from tests.gpu.harness import DEVICE, ENGINE, assert_equal, counted, filled
from tests.runtime.test_batched_launches import cloned, flat, update

pytestmark = pytest.mark.gpu

SHAPES = [(64, 32), (100,), (1,), (0, 3), (), (3, 5, 7), (200, 333), (64, 32)]


def state(shapes: Sequence[tuple[int, ...]], dtype: torch.dtype) -> list[list[torch.Tensor]]:
    made = [[filled(shape, dtype) for shape in shapes] for _ in range(3)]
    steps = [torch.tensor(3.0, device=DEVICE) for _ in shapes]
    return [*made, [filled(shape, dtype).square() for shape in shapes], steps]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_an_optimizer_step_takes_a_few_launches_and_copies_nothing(dtype) -> None:
    mine = state(SHAPES, dtype)
    eagers = cloned(mine)
    fused = fusekit.fuse(update, engine=ENGINE)
    rates = (1e-3, 0.9, 0.999)
    for _ in range(3):
        # the counters; those with many elements, with one, and the one that is its counter's shape
        with counted(launches=4):
            fused(*mine, *rates)
        update(*eagers, *rates)
    for ours, theirs in zip(flat(mine), flat(eagers), strict=True):
        close = {} if dtype == torch.float32 else {"rtol": 0.02, "atol": 2e-3}
        torch.testing.assert_close(ours, theirs, **close)
    plan = fused.entry((*mine, *rates), {}).plan
    assert plan is not None
    assert ".copy_(" not in plan.text


def double(xs, s):
    return [torch.where(x > 0, x * s, x + s) for x in xs]


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.bool, torch.bfloat16], ids=str)
@pytest.mark.parametrize("count", [2, 3, 64, 1000])
def test_any_number_of_any_size(count, dtype) -> None:
    sizes = [2, 1, 63, 64, 1000, 1024, 5000, 70_000, 0]
    xs = [filled((sizes[i % len(sizes)],), dtype) for i in range(count)]
    fused = fusekit.fuse(double, engine=ENGINE)
    with counted(launches=2):  # what has one element is another kernel
        found = fused(xs, 2)
    assert_equal(found, double(xs, 2))


def test_more_than_a_table_holds_are_several_launches_of_one_kernel(monkeypatch) -> None:
    monkeypatch.setattr(gpu_batches, "_MOST_BLOCKS", 64)
    xs = [filled((n,)) for n in range(5000, 9000, 100)]
    fused = fusekit.fuse(double, engine=ENGINE)
    assert_equal(fused(xs, 2), double(xs, 2))


LAYOUTS = {
    "rows": lambda n: filled((n, 2 * 37))[:, :37],
    "transposed": lambda n: filled((37, n)).t(),
    "every other": lambda n: filled((2 * n * 37,))[::2],
    "channels last": lambda n: filled((2, 5, n, 37)).to(memory_format=torch.channels_last),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout(layout) -> None:
    """Also broadcast operands, and transposed ones, which pass through shared memory."""

    def function(xs, ys, row):
        return [x * row + y for x, y in zip(xs, ys, strict=True)]

    xs = [LAYOUTS[layout](n) for n in (36, 900, 2000)]
    ys = [torch.randn_like(x, memory_format=torch.contiguous_format) for x in xs]
    row = filled((37,)) if xs[0].dim() > 1 else filled((1,))
    fused = fusekit.fuse(function, engine=ENGINE)
    assert_equal(fused(xs, ys, row), function(xs, ys, row))


def test_numbers_of_every_kind_reach_their_call() -> None:
    def function(x, y, f, g, i, j, b):
        return torch.where(x > f, x * i, x), torch.where(y > g, y * j, y), b

    args = (filled((50,)), filled((70,)), 0.1, -0.2, 3, -4, True)
    fused = fusekit.fuse(function, engine=ENGINE)
    with counted(launches=1):
        found = fused(*args)
    assert_equal(found[:2], function(*args)[:2])


def test_random_numbers_do_not_depend_on_batches() -> None:
    def one(x, y):
        return torch.rand_like(x) + x, torch.rand_like(y) + y

    x, y = torch.zeros(300_000, device=DEVICE), torch.zeros(200_000, device=DEVICE)
    made = []
    for each in (ENGINE, "reference"):
        torch.manual_seed(1)
        made.append(fusekit.fuse(one, engine=each)(x, y))
    assert_equal(*made)


def test_one_unaligned_tensor_costs_a_launch_for_each() -> None:
    def update(ps, gs):
        for p, g in zip(ps, gs, strict=True):
            p.mul_(0.5).add_(g)

    fused = fusekit.fuse(update, engine=ENGINE)
    memory = [filled((4001,)) for _ in range(6)]
    for starts in ((0, 0, 0), (0, 1, 0), (3, 2, 1), (0, 0, 0)):
        ps = [m[start : start + 4000] for m, start in zip(memory[:3], starts, strict=True)]
        gs = [m[start : start + 4000] for m, start in zip(memory[3:], starts, strict=True)]
        expected = [p * 0.5 + g for p, g in zip(ps, gs, strict=True)]
        fused(ps, gs)
        assert_equal(ps, expected)


def test_a_cuda_graph_of_a_batch() -> None:
    def update(ps, gs):
        for p, g in zip(ps, gs, strict=True):
            p.mul_(0.5).add_(g)

    fused = fusekit.fuse(update, engine=ENGINE)
    ps, gs = ([filled((n,)) for n in (17, 5000, 300_000)] for _ in range(2))
    fused(ps, gs)
    before = [p.clone() for p in ps]
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        fused(ps, gs)
    assert_equal(ps, before)
    graph.replay()
    assert_equal(ps, [p * 0.5 + g for p, g in zip(before, gs, strict=True)])


def test_a_refused_launch_after_a_store_ends_the_call(monkeypatch) -> None:
    def two_stores(p, q):
        p.add_(1)
        q.mul_(p.shape[0])

    p, q = filled((100,)), filled((7, 3)).t()
    fused = fusekit.fuse(two_stores, engine=ENGINE)
    expected = p + 1
    plan = fused.entry((p, q), {}).plan
    assert plan is not None
    assert ".copy_(" not in plan.text
    assert len(plan.kernels) == 2
    launches = [name for name in plan.run.__globals__ if name.startswith("k")]
    last = max(launches)
    monkeypatch.setitem(plan.run.__globals__, last, lambda *_: "refused")
    with pytest.raises(fusekit.FusekitError, match="after others had stored"):
        fused(p, q)
    assert_equal(p, expected)


def test_a_refused_launch_before_any_store_falls_back(monkeypatch) -> None:
    def update(ps):
        for p in ps:
            p.add_(1)

    fused = fusekit.fuse(update, engine=ENGINE)
    ps = [filled((n,)) for n in (17, 5000)]
    plan = fused.entry((ps,), {}).plan
    assert plan is not None
    (name,) = [name for name in plan.run.__globals__ if name.startswith("batch")]
    monkeypatch.setitem(plan.run.__globals__, name, lambda *_: "refused")
    expected = [p + 1 for p in ps]
    fused(ps)
    assert_equal(ps, expected)


def test_of_unaligned_calls_a_refused_one_ends_the_call(monkeypatch) -> None:
    def update(ps):
        for p in ps:
            p.add_(1)

    fused = fusekit.fuse(update, engine=ENGINE)
    fused([filled((n,)) for n in (400, 5000)])
    ps = [filled((n + 1,))[1:] for n in (400, 5000)]
    run = unaligned.Unaligned.__call__
    given = []

    def refuse_the_second(self, *arguments):
        given.append(arguments)
        return run(self, *arguments) if len(given) == 1 else "refused"

    monkeypatch.setattr(unaligned.Unaligned, "__call__", refuse_the_second)
    expected = ps[0] + 1
    with pytest.raises(fusekit.FusekitError, match="after 1 of 2 launches"):
        fused(ps)
    assert_equal(ps[0], expected)
