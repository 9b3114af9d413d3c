"""Calls that were seen before are served by a plan at once, however many others there were."""

from __future__ import annotations

import pytest
import torch
from torch.overrides import TorchFunctionMode

import fusekit
from fusekit.runtime.dispatch import Dispatcher


def twice(x, y):
    return torch.relu(x * 2 + y)


@pytest.fixture
def prepared(monkeypatch):
    """Forbids the slow way of dispatch from when it is called."""

    def forbid():
        def slow(*_):
            raise AssertionError("a call was looked up by its whole signature")

        monkeypatch.setattr(Dispatcher, "_slow", slow)

    return forbid


def check(fused, *args, **kwargs):
    found, expected = fused(*args, **kwargs), fused.function(*args, **kwargs)
    assert torch.equal(found, expected)
    assert found.requires_grad == expected.requires_grad


def test_many_sizes_in_turn(prepared):
    fused = fusekit.fuse(twice)
    pairs = [(torch.randn(n, 3), torch.randn(3)) for n in range(40)]
    for pair in pairs:
        check(fused, *pair)
    prepared()
    for pair in (*pairs, *pairs):
        check(fused, *pair)


def test_dtypes_of_one_shape_in_turn(prepared):
    fused = fusekit.fuse(twice)
    dtypes = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32)
    pairs = [(torch.ones(5).to(dtype), torch.ones(5).to(dtype)) for dtype in dtypes]
    for pair in pairs:
        check(fused, *pair)
    prepared()
    for pair in (*pairs, *pairs):
        check(fused, *pair)


def test_forms_of_a_call_in_turn(prepared):
    fused = fusekit.fuse(twice)
    listed = fusekit.fuse(lambda pair: twice(*pair))
    pairs = [(torch.randn(n), torch.randn(n)) for n in range(9)]

    def calls():
        for x, y in pairs:
            check(fused, x, y)
            check(fused, x, y=y)
            check(fused, y=y, x=x)
            check(listed, [x, y])
            check(listed, (x, y))

    calls()
    prepared()
    calls()


def test_a_plan_that_serves_twice_in_a_row_is_tried_first():
    fused = fusekit.fuse(twice)
    pairs = [(torch.randn(n), torch.randn(n)) for n in range(2, 12)]
    for pair in pairs:
        fused(*pair)
    first = fused.entry(pairs[0], {}).run
    assert first not in fused._recent.hot.latest[2]
    for _ in range(2):
        check(fused, *pairs[0])
    assert fused._recent.hot.latest[2][0] is first


def test_recorded_gradients(prepared):
    fused = fusekit.fuse(twice)
    x, y = torch.randn(6, requires_grad=True), torch.randn(6)

    def calls():
        check(fused, x, y)
        (gradient,) = torch.autograd.grad(fused(x, y).sum(), x)
        (expected,) = torch.autograd.grad(twice(x, y).sum(), x)
        assert torch.equal(gradient, expected)
        with torch.no_grad():
            check(fused, x, y)
        check(fused, x.detach(), y)

    calls()
    prepared()
    calls()


def test_recorded_gradients_of_a_function_that_draws(prepared):
    fused = fusekit.fuse(lambda x: torch.nn.functional.dropout(x * 2, 0.5))
    x = torch.ones(1000, requires_grad=True)
    fused(x).sum().backward()
    prepared()
    torch.manual_seed(3)
    made = fused(x)
    (gradient,) = torch.autograd.grad(made.sum(), x)
    assert torch.equal(gradient * x, made)
    assert 0.4 < (made == 0).float().mean() < 0.6


def test_recorded_gradients_of_several_results(prepared):
    fused = fusekit.fuse(lambda x: {"double": x * 2, "pair": (x * x, 7)})
    x = torch.randn(4, requires_grad=True)
    fused(x)["pair"][0].sum().backward()
    x.grad = None
    prepared()
    made = fused(x)
    assert list(made) == ["double", "pair"]
    assert made["pair"][1] == 7
    made["pair"][0].sum().backward()
    assert torch.equal(x.grad, x.detach() * 2)


def made_here(x):
    return x * 2, torch.ones(4) + 1


def test_a_default_device_counts_where_it_is_set_alone():
    fused = fusekit.fuse(made_here)
    x = torch.randn(4)
    for _ in range(2):
        with torch.device("meta"):
            assert fused(x)[1].device.type == "meta"
        assert fused(x)[1].device.type == "cpu"


def test_calls_under_a_default_device(prepared):
    fused = fusekit.fuse(twice)
    x, y = torch.randn(4), torch.randn(4)
    with torch.device("cpu"):
        check(fused, x, y)
        prepared()
        check(fused, x, y)
    with torch.device("cpu"):
        check(fused, x, y)


def test_what_was_prepared_under_a_mode_is_not_taken_for_granted():
    class Threes(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            made = func(*args, **(kwargs or {}))
            return made * 3 if func is torch.relu else made

    fused = fusekit.fuse(lambda x: torch.relu(x) + 1)
    x = torch.ones(4)
    with Threes():
        fused(x)
    assert torch.equal(fused(x), torch.full((4,), 2.0))
