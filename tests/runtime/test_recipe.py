"""A plan for a new size takes the text of an earlier one, and is what would be written for it."""

from __future__ import annotations

import ctypes
import gc
import os
import weakref
from typing import Any

import hypothesis
import pytest
import torch

import fusekit
from fusekit.errors import FusionDeclined
from fusekit.runtime import kernels
from fusekit.runtime.engines import ENGINES
from fusekit.runtime.plan import Plan, make_plan
from fusekit.runtime.program import Program, build
from fusekit.runtime.recipe import Recipe
from fusekit.runtime.resize import layouts_of, pattern_of, template_of
from fusekit.runtime.sizes import MisfitError
from tests.graph_programs import Program as Written
from tests.runtime.test_resize_random import arguments, sized, traced

EXAMPLES = int(os.environ.get("FUSEKIT_TEST_EXAMPLES", "200"))


def planned(program: Program, leaves: list[Any], known: list[Recipe] | None = None) -> Plan:
    return make_plan(program, ENGINES["llvm"], leaves, lambda *_: None, known)


def value_of(found: Any) -> Any:
    """What a global is, as far as two functions of one text may be compared."""
    if isinstance(found, ctypes.Array):
        return list(found)
    if isinstance(found, int | float | str | tuple | torch.dtype):
        return found
    return type(found)


@hypothesis.settings(
    max_examples=max(EXAMPLES // 2, 1),
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
@hypothesis.given(sized(times=4))
def test_a_plan_of_a_known_text_is_the_one_that_would_be_written(
    drawn: tuple[Written, list[Written]],
) -> None:
    written, others = drawn
    first = written.arguments(0)
    known: list[Recipe] = []
    try:
        program = build(traced(written, first), 64)
        template = template_of(program, first)
        planned(program, first, known)
    except FusionDeclined:
        return
    for other in others if template else ():
        given = arguments(other)
        layouts = None if given is None else layouts_of(given)
        if layouts is None or pattern_of(layouts) != pattern_of(template.layouts):
            continue
        try:
            resized = template.at(layouts)
        except MisfitError:
            continue
        ours, anew = planned(resized, given, known), planned(resized, given)
        assert ours.text == anew.text
        assert ours.kernels == anew.kernels
        assert (ours.counter.launches, ours.counter.opaque_calls) == (
            anew.counter.launches,
            anew.counter.opaque_calls,
        )
        names, expected = ours.run.__globals__, anew.run.__globals__
        assert {name: value_of(x) for name, x in names.items()} == {
            name: value_of(x) for name, x in expected.items()
        }


def test_a_thousand_sizes_are_captured_once_and_written_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = {"capture": 0, "write_guard": 0}

    def counting(module: str, name: str) -> None:
        original = getattr(__import__(module, fromlist=[name]), name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            counts[name] += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(f"{module}.{name}", counted)

    counting("fusekit.runtime.gradient", "capture")
    counting("fusekit.runtime.plan", "write_guard")
    fused = fusekit.fuse(lambda x, w: (x * w - 0.5).relu() + x)
    w = torch.randn(5)
    for n in (*range(6, 1007), 40_000, 17):
        x = torch.randn(n, 5)
        assert torch.equal(fused(x, w), fused.function(x, w))
    assert counts == {"capture": 1, "write_guard": 1}


def test_results_that_become_large_and_small_again() -> None:
    fused = fusekit.fuse(lambda x: x * 2 + 1)
    for n in (8, 1 << 21, 9, 3 << 20, 10, 1 << 22):
        x = torch.randn(n)
        assert torch.equal(fused(x), x * 2 + 1)
        plan = fused.entry((x,), {}).plan
        assert ("new_large" in plan.text) == (x.nbytes >= 4 << 20)
        if x.nbytes >= 4 << 20:
            assert x.nbytes in plan.run.__globals__.values()


def test_pieces_that_begin_elsewhere_at_each_size() -> None:
    fused = fusekit.fuse(lambda x: torch.cat([x.t() * 2, x.t() + 1]) + 0)
    for n in (4, 5, 64, 7, 100):
        x = torch.randn(n, 3)
        assert torch.equal(fused(x), fused.function(x))


def test_an_argument_that_is_what_the_function_closes_over() -> None:
    held = torch.randn(3)
    fused = fusekit.fuse(lambda x, y: x * held + y)
    for n, y in enumerate((torch.randn(3), held, torch.randn(3), held, held), start=4):
        for given in (y, held, torch.randn(3)):
            x = torch.randn(n, 3)
            assert torch.equal(fused(x, given), x * held + given)


def test_two_arguments_that_become_one() -> None:
    fused = fusekit.fuse(lambda x, y: x * 2 + y)
    for n in range(2, 8):
        x, y = torch.randn(n), torch.randn(n)
        for pair in ((x, y), (x, x), (y, y), (y, x)):
            assert torch.equal(fused(*pair), fused.function(*pair))


def test_a_write_in_place_at_each_size() -> None:
    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        x.add_(y).mul_(2)
        return x - y

    fused = fusekit.fuse(step)
    for n in range(2, 8):
        x, y = torch.randn(n, 3), torch.randn(3)
        mine, version = x.clone(), x._version
        assert torch.equal(fused(mine, y), step(x, y))
        assert torch.equal(mine, x)
        assert mine._version > version
        whole = torch.randn(2 * n, 3)
        other = whole.clone()
        step(whole[:n], whole[n:])
        fused(other[:n], other[n:])  # one storage: PyTorch runs it
        assert torch.equal(whole, other)


@pytest.mark.parametrize("engine", ["reference", "cpp"])
def test_other_engines_at_each_size(engine: str) -> None:
    if ENGINES[engine].unavailable():
        pytest.skip(f"no {engine} here")
    fused = fusekit.fuse(lambda x, y: (x + y) * 2, engine=engine)
    for n in (4, 5, 6):
        x, y = torch.randn(n, 3), torch.randn(3)
        assert torch.equal(fused(x, y), fused.function(x, y))


def test_a_forgotten_kernel_is_not_handed_on() -> None:
    fused = fusekit.fuse(lambda x: x * 2 - 0.125)
    first = fused.entry((torch.ones(5),), {}).plan.kernels[0]
    assert fused.entry((torch.ones(6),), {}).plan.kernels[0] is first
    kernels.forget(first)
    assert fused.entry((torch.ones(7),), {}).plan.kernels[0] is not first


def test_plans_hold_no_arguments() -> None:
    fused = fusekit.fuse(lambda x, y: x // y + 1)  # whose kernel may trap: its plan can give up
    x, y = torch.arange(5), torch.arange(1, 6)
    fused(x, y)
    held = weakref.ref(x), weakref.ref(y)
    del x, y
    gc.collect()  # of the trace
    assert [each() for each in held] == [None, None]


def test_programs_whose_sizes_are_in_the_text_keep_no_recipe() -> None:
    fused = fusekit.fuse(lambda x: x * 3, engine="reference")
    known: list[Recipe] = []
    leaves = [torch.ones(4)]
    program = fused.entry((leaves[0],), {}).program
    make_plan(program, ENGINES["reference"], leaves, lambda *_: None, known)
    assert not known
