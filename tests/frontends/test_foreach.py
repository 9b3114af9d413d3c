"""Operators over lists of tensors are their single operators."""

from __future__ import annotations

import pytest
import torch

import fusekit
from fusekit.frontends.foreach import foreach_expansion

UNARY = (
    *("abs", "acos", "asin", "atan", "ceil", "cos", "cosh", "erf", "erfc", "exp", "expm1"),
    *("floor", "frac", "lgamma", "log", "log10", "log1p", "log2", "neg", "reciprocal", "round"),
    *("rsqrt", "sigmoid", "sign", "sin", "sinh", "sqrt", "tan", "tanh", "trunc"),
)
BOUNDS = ("maximum", "minimum", "clamp_max", "clamp_min")
CASES = {
    **{f"{op}, a number": (op, lambda x, y: (x, 1.5)) for op in ("add", "sub", "mul", "div")},
    **{f"{op}, a list": (op, lambda x, y: (x, y)) for op in ("add", "sub", "mul", "div", "pow")},
    **{f"{op}, numbers": (op, lambda x, y: (x, [2.0, 3.0, 4.0])) for op in ("add", "mul", "pow")},
    **{f"{op}, a number": (op, lambda x, y: (x, 0.25)) for op in BOUNDS},
    **{f"{op}, a list": (op, lambda x, y: (x, y)) for op in BOUNDS},
    "mul, a tensor": ("mul", lambda x, y: (x, torch.tensor(3.0))),
    "pow, a number of lists": ("pow", lambda x, y: (2.0, x)),
    "lerp, a number": ("lerp", lambda x, y: (x, y, 0.25)),
    "lerp, lists": ("lerp", lambda x, y: (x, y, x)),
    "addcmul, a number": ("addcmul", lambda x, y: (x, y, y, 0.5)),
    "addcmul, default": ("addcmul", lambda x, y: (x, y, x)),
    "addcdiv, numbers": ("addcdiv", lambda x, y: (x, y, y, [0.5, 1.0, 2.0])),
}


def lists() -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    torch.manual_seed(0)
    shapes = ((3, 4), (7,), ())
    return [torch.rand(s) + 0.1 for s in shapes], [torch.rand(s) + 0.5 for s in shapes]


def check(function, x, y, left=()):
    fused = fusekit.fuse(function)
    for found, expected in zip(fused(x, y), function(x, y), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
        assert found.stride() == expected.stride()
    assert tuple(x.op for x in fused.explain(x, y).declined if x.op) == left


@pytest.mark.parametrize("op", UNARY)
def test_unary(op):
    x, y = lists()
    check(lambda x, y: getattr(torch, f"_foreach_{op}")(x), [each * 0.9 for each in x], y)


@pytest.mark.parametrize("case", CASES)
def test_of_several_lists(case):
    op, arguments = CASES[case]
    check(lambda x, y: getattr(torch, f"_foreach_{op}")(*arguments(x, y)), *lists())


def test_alpha_and_integers():
    x, y = lists()
    check(lambda x, y: torch._foreach_add(x, y, alpha=2), x, y)
    check(lambda x, y: torch._foreach_add(x, 1.5), [each.int() for each in x], y)


def test_norms_stay_pytorchs():
    check(lambda x, y: torch._foreach_norm(x), *lists(), ("aten._foreach_norm.Scalar",))


def test_factors_in_a_tensor_stay_pytorchs():
    x, y = lists()
    factors = torch.tensor([0.5, 1.0, 2.0])
    fused = fusekit.fuse(lambda x, y: torch._foreach_addcmul(x, y, y, factors))
    for found, expected in zip(fused(x, y), fused.function(x, y), strict=True):
        assert torch.equal(found, expected)
    assert not fused.explain(x, y).fused


def test_what_eager_refuses_is_refused():
    x, y = lists()
    with pytest.raises(RuntimeError):
        torch._foreach_add(x, y[:2])
    with pytest.raises(RuntimeError):
        fusekit.fuse(lambda x, y: torch._foreach_add(x, y[:2]))(x, y)


def test_in_place():
    x, y = lists()
    expected = [each.clone() for each in x]
    torch._foreach_addcmul_(expected, y, y, value=0.5)
    fusekit.fuse(lambda x, y: torch._foreach_addcmul_(x, y, y, value=0.5))(x, y)
    torch.testing.assert_close(x, expected)


def test_other_operators_have_no_expansion():
    assert foreach_expansion(torch.ops.aten.add.Tensor, (torch.ones(2), 1), {}) is None
