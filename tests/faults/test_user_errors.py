"""Errors of the user's function, and of operators between kernels: all is as eager leaves it."""

from __future__ import annotations

import pytest
import torch

import fusekit
from tests.faults.children import codes, fresh, right

X = torch.linspace(-3, 3, 16)


def outcome(function, *args):
    """What a call returns or raises, what it leaves of its arguments, and their versions."""
    given = [each.clone() if isinstance(each, torch.Tensor) else each for each in args]
    before = [each._version for each in given if isinstance(each, torch.Tensor)]
    try:
        made = function(*given)
    except Exception as error:  # noqa: BLE001  compared
        made = (type(error), str(error), error.__context__)
    changed = [
        each._version > version
        for each, version in zip(
            (each for each in given if isinstance(each, torch.Tensor)), before, strict=True
        )
    ]
    return made, given, changed


def alike(one, other) -> None:
    torch.testing.assert_close(one[1:], other[1:], rtol=0, atol=0)
    if isinstance(one[0], torch.Tensor):
        torch.testing.assert_close(one[0], other[0], rtol=0, atol=0)
    else:
        assert one[0] == other[0]


def raises_itself(x, y):
    x.add_(1)
    y.mul_(2)
    raise KeyError(str(x.shape))


def cholesky(x, y):
    x.add_(1)
    y.mul_(2)
    factor = torch.linalg.cholesky(torch.diag(y))
    x.mul_(3)
    return factor * 2 + x


def picks(x, y):
    x.mul_(y)
    picked = x.index_select(0, y.long())
    y.add_(1)
    return picked * 2


def asserts(x, y):
    x.sub_(y)
    torch._assert_async(y.sum() > 0)
    x.add_(2)
    return x * y


def divides(x, y):
    x.add_(1)
    return torch.floor_divide(x.long(), y.long()) + 1


def divides_and_adds_up(x, y):
    x.add_(1)
    return torch.floor_divide(x.long(), y.long()).cumsum(0)


BAD = -torch.ones(16)
GOOD = torch.ones(16)


@pytest.mark.parametrize(
    "function", [raises_itself, cholesky, picks, asserts, divides, divides_and_adds_up]
)
def test_a_function_that_writes_and_then_fails(function):
    """Fused first with arguments that are fine, then with others that are not, and again."""
    fused = fusekit.fuse(function)
    by_zero = function in (divides, divides_and_adds_up)
    failing = torch.zeros(16) if by_zero else BAD
    for y in (GOOD, failing, GOOD, failing):
        alike(outcome(fused, X, y), outcome(function, X, y))
    expected = {raises_itself: "FK0202"}.get(function, "FK0307" if by_zero else "FK0310")
    count = 4 if function is raises_itself else 2
    assert codes(fused) == {expected: count}


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.linalg.cholesky(torch.diag(x)) + 1,
        lambda x: torch.linalg.inv(torch.diag(x - x.min())) + 1,
        lambda x: (torch._assert_async(x.min() > -1), x * 2 + 1)[1],
    ],
)
def test_what_only_checks_is_not_left_out(function):
    """An operator without results is no dead code: it raises."""
    fused = fusekit.fuse(function)
    for x in (X.abs() + 1, X, X.abs() + 2):
        alike(outcome(fused, x), outcome(function, x))
    assert not codes(fused)


def test_what_only_checks_is_not_left_out_of_compiled_functions():
    compiled = torch.compile(lambda x: torch.linalg.inv(torch.diag(x)) + 1, backend="fusekit")
    for x in (X + 4, X - X, X + 5):
        alike(outcome(compiled, x), outcome(lambda x: torch.linalg.inv(torch.diag(x)) + 1, x))


class TroubleError(Exception):
    """The user's own."""


def test_an_exception_of_the_function_then_none():
    broken = [True]

    def function(x):
        if broken:
            raise TroubleError("not yet")
        return x * 2 + 1

    fused = fusekit.fuse(function)
    for _ in range(2):
        with pytest.raises(TroubleError, match="not yet"):
            fused(X)
    broken.clear()
    right(fused, X)


def test_an_exception_in_a_backward():
    """A hook raises between two fused backwards; the next backward is right."""
    outer, inner = fresh(), fresh()
    angry = [True]

    def hook(gradient):
        if angry:
            raise TroubleError("in a hook")
        return gradient

    def gradient(first, second):
        x = X.clone().requires_grad_()
        middle = first(x)
        middle.register_hook(hook)
        second(middle).sum().backward()
        return x.grad

    for _ in range(2):
        with pytest.raises(TroubleError):
            gradient(inner, outer)
    angry.clear()
    expected = gradient(inner.function, outer.function)
    assert torch.equal(gradient(inner, outer), expected)
    assert not codes(inner)
    assert not codes(outer)


def test_a_listener_that_raises_leaves_the_kernel():
    """What a listener raises reaches the caller; the next call is served."""

    def listener(event):
        if isinstance(event, fusekit.events.Compiled):
            raise TroubleError("in a listener")

    fused = fresh()
    fusekit.events.subscribe(listener)
    try:
        with pytest.raises(TroubleError):
            fused(X)
    finally:
        fusekit.events.unsubscribe(listener)
    right(fused, X)
    assert not codes(fused)
