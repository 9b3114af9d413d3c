"""Batches on the CPU: eager's results, however the calls in them differ."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import hypothesis
import pytest
import torch
from hypothesis import strategies as st

import fusekit
from fusekit.errors import CompileError
from fusekit.runtime import cpu_batches

ENGINES = ["llvm", "cpp"]


@contextlib.contextmanager
def threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def adamw(p, g, m, v, step, rate, beta, gamma):  # the arguments of each tensor
    step += 1
    m.lerp_(g, 1 - beta)
    v.mul_(gamma).addcmul_(g, g, value=1 - gamma)
    unbiased = (v.sqrt() / (1 - gamma**step).sqrt()).add_(1e-8)
    p.sub_(m * (rate / (1 - beta**step)) / unbiased)


def update(params, grads, means, squares, steps, rate, beta, gamma):
    for each in zip(params, grads, means, squares, steps, strict=True):
        adamw(*each, rate, beta, gamma)


def state(shapes: Sequence[tuple[int, ...]], dtype: torch.dtype) -> list[list[torch.Tensor]]:
    made = [[torch.randn(s).to(dtype) for s in shapes] for _ in range(3)]
    squares = [torch.rand(shape).to(dtype) for shape in shapes]
    return [*made, squares, [torch.tensor(3.0) for _ in shapes]]


def cloned(tree: Sequence[Sequence[torch.Tensor]]) -> list[list[torch.Tensor]]:
    return [[tensor.clone() for tensor in tensors] for tensors in tree]


def flat(tree: Sequence[Sequence[torch.Tensor]]) -> list[torch.Tensor]:
    return [tensor for tensors in tree for tensor in tensors]


def launches(function: fusekit.FusedFunction, *args: Any) -> int:
    before = fusekit.stats()
    function(*args)
    after = fusekit.stats()
    assert after.fallbacks == before.fallbacks
    return after.launches - before.launches


SHAPES = [(64, 32), (100,), (1,), (0, 3), (), (3, 5, 7), (200, 333), (64, 32)]


@pytest.mark.parametrize("engine", [*ENGINES, "reference"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_an_optimizer_step_takes_a_few_launches(engine, dtype) -> None:
    mine = state(SHAPES, dtype)
    eagers = cloned(mine)
    fused = fusekit.fuse(update, engine=engine)
    for _ in range(2):
        # the counters; those with many elements, with one, and the one that is its counter's shape
        assert launches(fused, *mine, 1e-3, 0.9, 0.999) == 4
        update(*eagers, 1e-3, 0.9, 0.999)
    for ours, theirs in zip(flat(mine), flat(eagers), strict=True):
        exact = {"rtol": 0, "atol": 0} if engine == "reference" else {}
        torch.testing.assert_close(ours, theirs, **exact)


def double(xs, s):
    return [torch.where(x > 0, x * s, x + s) for x in xs]


lengths = st.lists(st.sampled_from([0, 1, 2, 63, 64, 1000, 1024, 5000, 70_000]), max_size=8)


@pytest.mark.parametrize("number", [1, 2, 5])
@pytest.mark.parametrize("engine", ENGINES)
@hypothesis.settings(max_examples=15)
@hypothesis.given(lengths, st.sampled_from([torch.float32, torch.int64, torch.bool]))
def test_sizes_do_not_matter(engine, number, lengths, dtype) -> None:
    xs = [torch.randint(-5, 5, (n,)).to(dtype) for n in [3, *lengths]]
    with threads(number):
        found = fusekit.fuse(double, engine=engine)(xs, 2)
    for one, other in zip(found, double(xs, 2), strict=True):
        assert torch.equal(one, other)
        assert one.dtype == other.dtype


LAYOUTS = {
    "rows": lambda n: torch.randn(n, 2 * 37)[:, :37],
    "transposed and not": lambda n: torch.randn(37, n).t(),
    "every other": lambda n: torch.randn(2 * n * 37)[::2],
    "channels last": lambda n: torch.randn(2, 5, n, 37).to(memory_format=torch.channels_last),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("engine", ENGINES)
def test_any_layout_may_be_cut_into_pieces(engine, layout, monkeypatch) -> None:
    """Also broadcast operands, and what counts elements."""
    monkeypatch.setattr(cpu_batches, "_MOST_PIECES", 10**9)

    def function(xs, row):
        return [x * row + (x.t() if x.dim() == 2 and x.shape[0] == 37 else 1) for x in xs]

    xs = [LAYOUTS[layout](n) for n in (37, 900, 2000)]
    row = torch.randn(37) if xs[0].dim() > 1 else torch.randn(1)
    fused = fusekit.fuse(function, engine=engine)
    assert launches(fused, xs, row) < 3
    for one, other in zip(fused(xs, row), function(xs, row), strict=True):
        assert torch.equal(one, other)
        assert one.stride() == other.stride()


@pytest.mark.parametrize("engine", ENGINES)
def test_random_numbers_do_not_depend_on_batches(engine) -> None:
    def one(x, y):
        return torch.rand_like(x) + x, torch.rand_like(y) + y

    x, y = torch.zeros(300_000), torch.zeros(200_000)
    made = []
    for each in (engine, "reference"):
        torch.manual_seed(1)
        made.append(fusekit.fuse(one, engine=each)(x, y))
    assert all(torch.equal(a, b) for a, b in zip(*made, strict=True))


@pytest.mark.parametrize("engine", [*ENGINES, "reference"])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_trap_in_a_batch_is_eager_s_error(engine, which) -> None:
    def divided(xs, ys):
        return [x // y for x, y in zip(xs, ys, strict=True)]

    xs = [torch.arange(n) for n in (10, 60_000, 70_000)]
    ys = [torch.ones_like(x) for x in xs]
    fused = fusekit.fuse(divided, engine=engine)
    assert launches(fused, xs, ys) == 1
    ys[which][-1] = 0
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        fused(xs, ys)


def test_numbers_of_every_kind_reach_their_call() -> None:
    def function(x, y, f, g, i, j, b):
        return torch.where(x > f, x * i, x), torch.where(y > g, y * j, y), b

    args = (torch.randn(50), torch.randn(70), 0.1, -0.2, 3, -4, True)
    fused = fusekit.fuse(function)
    assert launches(fused, *args) == 1
    for one, other in zip(fused(*args), function(*args), strict=True):
        assert one is other or torch.equal(one, other)


def test_constants_and_numbers_are_told_apart() -> None:
    def function(flag, scale, mode, x, y):
        factor = scale + 1 if flag else scale
        return (x * factor, y * factor) if mode == "both" else x * factor

    fused = fusekit.fuse(function)
    x, y = torch.randn(50), torch.randn(70)
    for flag in (True, False):
        for scale in (0.5, 3.0):
            assert launches(fused, flag, scale, "both", x, y) == 1
            found = fused(flag, scale, "both", x, y)
            for one, other in zip(found, function(flag, scale, "both", x, y), strict=True):
                assert torch.equal(one, other)


def test_addresses_may_change_from_call_to_call() -> None:
    fused = fusekit.fuse(double)
    for _ in range(20):
        xs = [torch.randn(n) for n in (17, 100_000, 33)]
        for one, other in zip(fused(xs, 0.5), double(xs, 0.5), strict=True):
            assert torch.equal(one, other)


def test_lists_of_tensors_are_told_apart_by_their_lengths_and_types() -> None:
    fused = fusekit.fuse(lambda xs, ys: [x * 2 for x in xs] + [y + 1 for y in ys])
    a, b, c = torch.randn(3), torch.randn(4), torch.randn(5)
    for xs, ys in (([a], [b, c]), ([a, b], [c]), ((a, b), [c]), ([a], [b, c]), ([[a], b], [c])):
        for _ in range(3):
            if isinstance(xs[0], list):
                with pytest.raises(TypeError):
                    fused(xs, ys)[0] + 1
                continue
            for one, other in zip(fused(xs, ys), fused.function(xs, ys), strict=True):
                assert torch.equal(one, other)


def test_without_the_loop_each_is_launched_alone(monkeypatch) -> None:
    def refuse(*_):
        raise CompileError("no LLVM here")

    monkeypatch.setattr(cpu_batches, "_loop", refuse)
    fused = fusekit.fuse(double)
    xs = [torch.randn(n) for n in (5, 7, 3000)]
    for one, other in zip(fused(xs, 2), double(xs, 2), strict=True):
        assert torch.equal(one, other)
    plan = fused.entry((xs, 2), {}).plan
    assert plan is not None
    assert "batch" not in plan.text


def test_views_and_explanations_show_every_group() -> None:
    xs = [torch.randn(n) for n in (5, 7, 3000)]
    fused = fusekit.fuse(double)
    view = fused.explore(xs, 2)
    assert (view.model["totals"]["groups"], view.model["totals"]["launches"]) == (3, 1)
    assert len(fused.explain(xs, 2).groups) == 3
    assert view._repr_mimebundle_()
