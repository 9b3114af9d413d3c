"""Arguments that kernels write where they are: eager's values, identities, versions, errors."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import hypothesis
import pytest
import torch
from hypothesis import strategies as st

import fusekit

N = 12  # more elements than any vector holds
VIEWS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "whole": lambda x: x,
    "transposed": lambda x: x.t(),
    "other rows": lambda x: x.unflatten(0, (2, N // 2)).transpose(0, 1).flatten(0, 1),
    "upper": lambda x: x[:2],
    "lower": lambda x: x[1:3],
    "even columns": lambda x: x[:, ::2],
    "first column": lambda x: x[:, :1],
}
"""What a statement may look at; the first three have the shape of the whole."""

LAYOUTS: dict[str, Callable[[torch.dtype], torch.Tensor]] = {
    "dense": lambda dtype: fresh(dtype, N * N).view(N, N),
    "transposed": lambda dtype: fresh(dtype, N * N).view(N, N).t(),
    "with gaps": lambda dtype: fresh(dtype, 4 * N * N).view(2 * N, 2 * N)[1::2, 1::2],
    "with an offset": lambda dtype: fresh(dtype, N * N + 1)[1:].view(N, N),
    "overlapping": lambda dtype: fresh(dtype, 3 * N).as_strided((N, N), (2, 1)),
}


def fresh(dtype: torch.dtype, numel: int) -> torch.Tensor:
    return (torch.arange(numel) * 7 % 11 % 5).to(dtype)


@dataclasses.dataclass(frozen=True)
class Statement:
    """`target.op_(source)`, or a new value if there is no target."""

    target: tuple[int, str] | None
    op: str
    source: tuple[int, str]
    number: int


@dataclasses.dataclass(frozen=True)
class Program:
    """A function of two tensors: statements, then what it returns, by number and view."""

    statements: tuple[Statement, ...]
    returned: tuple[tuple[int, str], ...]

    def __call__(self, x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
        known = [x, y]
        for each in self.statements:
            source = VIEWS[each.source[1]](known[each.source[0] % len(known)])
            if each.target is None:
                known.append(compute(each.op, source, each.number))
                continue
            target = VIEWS[each.target[1]](known[each.target[0] % len(known)])
            if source.shape != target.shape:
                source = source.sum()
            if each.op == "copy":
                # eager rejects a copy between overlapping views
                target.copy_(source if each.source[0] % len(known) > 1 else source + 0)
            elif each.op == "divide":
                target.copy_(torch.div(target, source, rounding_mode="floor"))
            else:
                target.add_(source * each.number)
        return [VIEWS[view](known[number % len(known)]) for number, view in self.returned]


def compute(op: str, source: torch.Tensor, number: int) -> torch.Tensor:
    if op == "copy":
        return source.clone()
    return source.sum() + source if op == "divide" else source * number


numbers = st.integers(0, 4)
every = st.tuples(numbers, st.sampled_from(list(VIEWS)))
squares = st.tuples(numbers, st.sampled_from(list(VIEWS)[:3]))
arguments = st.tuples(st.integers(0, 1), st.sampled_from(["whole", *VIEWS]))
ops = st.sampled_from(["add", "add", "copy", "divide"])
writes = st.builds(Statement, arguments, ops, every, numbers)
reads = st.builds(Statement, st.none(), ops, squares, numbers)
programs = st.builds(
    Program,
    st.lists(writes | writes | reads, min_size=1, max_size=5).map(tuple),
    st.lists(every, max_size=3).map(tuple),
)
dtypes = st.sampled_from([torch.float32, torch.int32, torch.float64])


def made(layouts: Sequence[str], dtype: torch.dtype, *, shared: bool) -> list[torch.Tensor]:
    x, y = (LAYOUTS[layout](dtype) for layout in layouts)
    return [x, x[:]] if shared else [x, y]


def cloned(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The same tensors in other memory, with what lies between and around their elements."""
    memory = {t.untyped_storage().data_ptr(): t.untyped_storage().clone() for t in tensors}
    return [
        torch.empty(0, dtype=t.dtype).set_(
            memory[t.untyped_storage().data_ptr()], t.storage_offset(), t.shape, t.stride()
        )
        for t in tensors
    ]


def outcome(function: Callable[..., Any], tensors: Sequence[torch.Tensor]) -> tuple[Any, ...]:
    """All that a caller can see of a call."""
    versions = [tensor._version for tensor in tensors]
    try:
        results, error = function(*tensors), None
    except RuntimeError as raised:
        results, error = [], str(raised)
    storages = [tensor.untyped_storage().data_ptr() for tensor in tensors]
    memory = [torch.empty(0, dtype=t.dtype).set_(t.untyped_storage()) for t in tensors]
    return (
        error,
        [(repr(r.tolist()), r.dtype, r.stride(), r.storage_offset()) for r in results],
        [[r is tensor for tensor in tensors] for r in results],
        [[r.untyped_storage().data_ptr() == s for s in storages] for r in results],
        [repr(each.tolist()) for each in memory],  # NaN is NaN
        [t._version > version for t, version in zip(tensors, versions, strict=True)],
    )


def check(program: Program, tensors: Sequence[torch.Tensor], engine: str) -> None:
    fused = fusekit.fuse(program, engine=engine, name="program")
    mine, eagers = cloned(tensors), cloned(tensors)
    for _ in range(2):
        assert outcome(fused, mine) == outcome(program, eagers)


layouts = st.tuples(*[st.sampled_from(["dense", "dense", "dense", *LAYOUTS])] * 2)


@pytest.mark.parametrize("engine", ["llvm", "reference"])
@hypothesis.given(programs, layouts, dtypes, st.integers(0, 9))
def test_random_programs_do_what_eager_does(engine, program, layouts, dtype, chance) -> None:
    check(program, made(layouts, dtype, shared=not chance), engine)


@pytest.mark.parametrize("engine", ["cpp"])
@hypothesis.settings(max_examples=8)
@hypothesis.given(programs, layouts, dtypes)
def test_random_programs_do_so_in_cpp(engine, program, layouts, dtype) -> None:
    check(program, made(layouts, dtype, shared=False), engine)


def is_copied(function: Callable[..., Any], *args: Any) -> bool:
    """True if the plan of a call copies into its arguments at the end."""
    plan = fusekit.fuse(function).entry(args, {}).plan
    assert plan is not None
    return ".copy_(" in plan.text


def step(p, g, m, rate):
    m.mul_(0.9).add_(g, alpha=0.1)
    p.sub_(m * rate)
    return p, m.abs()


def through_a_view(x):
    x.t().mul_(2)
    return x.t()


def with_gaps(x):
    x[::2, 1::2].copy_(x[::2, 1::2] * 2)


def after_a_call(x):
    x.mul_(x.sum())


def from_elsewhere(x, y):
    x.copy_(y * 2)


def read_later(x):
    old = x.t() + 1
    x.add_(1)
    return old


def read_by_pytorch_later(x):
    x.add_(1)
    return x.sum()


def traps(x, y):
    x.floor_divide_(y)


def before_a_trap(x, y):
    x.add_(1)
    return (y[0] // y[1]).cumsum(0)


def swapped(x, y):
    old = x.clone()
    x.copy_(y)
    y.copy_(old)


def kept(x):
    made = x * 2
    x.copy_(made)
    return made


FLOATS = torch.randn(6, 6), torch.randn(6, 6), torch.randn(6, 6)
INTEGERS = torch.arange(36).view(6, 6), torch.ones(6, 6, dtype=torch.int64)


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (step, (*FLOATS, 0.5)),
        (through_a_view, FLOATS[:1]),
        (after_a_call, FLOATS[:1]),
        (from_elsewhere, FLOATS[:2]),
        (from_elsewhere, (FLOATS[0][::2, 1:], FLOATS[1].t()[:3, :5])),
        (kept, FLOATS[:1]),
    ],
)
def test_nothing_is_copied_where_the_kernel_may_store(function, args) -> None:
    assert not is_copied(function, *args)


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (with_gaps, FLOATS[:1]),
        (read_later, FLOATS[:1]),
        (read_by_pytorch_later, FLOATS[:1]),
        (traps, INTEGERS),
        (before_a_trap, INTEGERS),
        (swapped, FLOATS[:2]),
    ],
)
def test_what_is_not_safe_is_copied(function, args) -> None:
    assert is_copied(function, *args)


@pytest.mark.parametrize("function", [traps, before_a_trap])
@pytest.mark.parametrize("engine", ["llvm", "cpp", "reference"])
def test_a_trap_leaves_to_pytorch_what_it_found(function, engine) -> None:
    x, y = torch.arange(8), torch.arange(8).view(2, 4)
    given = (x, y.clone()) if function is before_a_trap else (y, torch.zeros_like(y))
    mine, eagers = [t.clone() for t in given], [t.clone() for t in given]
    before = fusekit.stats().fallbacks.get("FK0307", 0)
    mine[1][-1] = eagers[1][-1] = 0
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        fusekit.fuse(function, engine=engine)(*mine)
    assert fusekit.stats().fallbacks["FK0307"] == before + 1
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        function(*eagers)
    assert all(torch.equal(one, other) for one, other in zip(mine, eagers, strict=True))


def test_autograd_notices_what_was_written() -> None:
    x, scale = torch.randn(5, requires_grad=True), torch.randn(5)
    made = x * scale
    fusekit.fuse(lambda s: s.add_(1))(scale)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        made.sum().backward()


def test_parameters_are_updated_where_they_are() -> None:
    p = torch.nn.Parameter(torch.randn(40))
    expected, place = p.detach() - 2, p.data_ptr()
    with torch.no_grad():
        assert fusekit.fuse(lambda p: p.sub_(2))(p) is p
    assert torch.equal(p, expected)
    assert p.data_ptr() == place
    assert p.requires_grad


def test_in_inference_mode() -> None:
    with torch.inference_mode():
        x = torch.ones(3)
        fusekit.fuse(lambda x: x.add_(1))(x)
    assert torch.equal(x, torch.full((3,), 2.0))


def test_other_sizes_are_written_in_place_too() -> None:
    fused = fusekit.fuse(lambda p, g: p.add_(g, alpha=-2))
    for shape in ((5, 7), (9, 3), (0, 3), (1, 1), (64, 1000), (300, 1000)):
        p, g = torch.randn(shape), torch.randn(shape)
        expected = p.add(g, alpha=-2)
        assert fused(p, g) is p
        assert torch.equal(p, expected)
        assert not is_copied(fused.function, p, g)


def test_arguments_of_one_memory_are_left_to_pytorch() -> None:
    fused = fusekit.fuse(lambda p, g: p.add_(g.t()))
    memory, before = torch.randn(8, 8), fusekit.stats().fallbacks.get("FK0306", 0)
    fused(memory[:4, :4], memory[4:, 4:])
    assert fusekit.stats().fallbacks["FK0306"] == before + 1


def test_empty_tensors_share_no_memory() -> None:
    fused = fusekit.fuse(lambda x, y, z: (x.add_(1), y.add_(1), z * 2)[2])
    before = fusekit.stats().fallbacks
    fused(torch.empty(0), torch.empty(0, 3), torch.empty(0))
    assert fusekit.stats().fallbacks == before
