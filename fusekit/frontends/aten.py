"""The table: aten operators -> IR. Regular operators are one row each.

The others are functions in formulas.py, activations.py and special.py.

Rows are keyed by operator and overload packet ("aten.add", any overload) without the suffix of
in-place and out variants, which functionalisation removes before a trace gets here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch

from fusekit.frontends import activations, formulas, special
from fusekit.frontends.calls import name_of
from fusekit.frontends.dtypes import compute_dtype
from fusekit.frontends.expansions import expansion
from fusekit.frontends.foreach import each
from fusekit.frontends.lowering import Lowering, Rule
from fusekit.ir import DType, Kind
from fusekit.vecmath.expression import Expr, where

__all__ = ["RULES", "UNWRITTEN_POINTWISE", "expansion_of"]

_UNARY_FLOAT = (
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt"),
    *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh"),
    *("asinh", "acosh", "atanh", "sigmoid", "erf", "erfc", "lgamma"),
)
"""Integers are promoted to floating point; the IR op has the same name."""

_UNARY_SAME = {"abs": "abs", "neg": "neg", "bitwise_not": "not"}

_ROUNDING = {"floor": "floor", "ceil": "ceil", "trunc": "trunc", "fix": "trunc"}
"""Identity on integers."""

_BINARY = {
    "mul": "mul",
    "maximum": "maximum",
    "minimum": "minimum",
    "fmod": "fmod",
    "atan2": "atan2",
    "hypot": "hypot",
    "copysign": "copysign",
    "bitwise_and": "and",
    "bitwise_or": "or",
    "bitwise_xor": "xor",
    "__and__": "and",
    "__or__": "or",
    "__xor__": "xor",
    "bitwise_left_shift": "shl",
    "bitwise_right_shift": "shr",
    "__lshift__": "shl",
    "__rshift__": "shr",
}
"""Both operands in the compute dtype of the result."""

_ON_BOOL = {"mul": "and", "maximum": "or", "minimum": "and", "add": "or"}
"""Arithmetic that bool tensors have, as logic."""

_COMPARISON = ("eq", "ne", "lt", "le", "gt", "ge")

_LOGICAL = {"logical_and": "and", "logical_or": "or", "logical_xor": "xor"}


def _unary_float(ir: str) -> Rule:
    return lambda op: op.tensor("self").apply(ir)


def _unary_same(ir: str) -> Rule:
    def rule(op: Lowering) -> Expr | None:
        if ir == "abs" and op.result.kind in (Kind.UINT, Kind.BOOL):  # bool: on a GPU only
            return op.tensor("self").apply("copy")
        if op.result is DType.BOOL and ir != "not":
            return None
        return op.tensor("self").apply(ir)

    return rule


def _rounding(ir: str) -> Rule:
    return lambda op: op.tensor("self").apply(ir if op.compute.is_float else "copy")


def _binary(ir: str) -> Rule:
    def rule(op: Lowering) -> Expr | None:
        spelling = _ON_BOOL.get(ir, ir) if op.result is DType.BOOL else ir
        if ir == "mul":  # of which a GPU takes either side as a scalar
            return op.term("self").apply(spelling, op.factor("other"))
        return op.tensor("self").apply(spelling, op.tensor("other"))

    return rule


def _comparison(ir: str) -> Rule:
    def rule(op: Lowering) -> Expr | None:
        common = op.common("self", "other")
        if common is None:
            return None
        # a scalar is rounded to the promoted dtype before halves are widened for the comparison
        left, right = (op.tensor(name, common) for name in ("self", "other"))
        return left.cast(compute_dtype(common)).apply(ir, right.cast(compute_dtype(common)))

    return rule


def _over_numbers(ir: str) -> Rule:
    """The larger or smaller, a NaN only if both are."""

    def rule(op: Lowering) -> Expr | None:
        x, y = op.tensor("self"), op.tensor("other")
        if not op.compute.is_float:
            return x.apply(_ON_BOOL[ir] if op.result is DType.BOOL else ir, y)
        return where(y.differs(y), x, where(x.differs(x), y, x.apply(ir, y)))

    return rule


def _xlogy(op: Lowering) -> Expr:
    """The product x * log(y), but 0 where x is, unless y is a NaN."""
    x, y = op.tensor("self"), op.tensor("other")
    product = where(x.equals(0.0), op.const(0.0), x * y.apply("log"))
    return where(y.differs(y), y, product)


def _logical(ir: str) -> Rule:
    def rule(op: Lowering) -> Expr | None:
        common = op.common("self", "other")
        if common is None:
            return None
        # in the promoted dtype a 0-dim operand may be zero, or wrap around to it
        left, right = (op.tensor(name, common).cast(DType.BOOL) for name in ("self", "other"))
        return left.apply(ir, right)

    return rule


RULES: Mapping[str, Rule] = {
    **{f"aten.{name}": _unary_float(name) for name in _UNARY_FLOAT},
    "aten.special_expm1": _unary_float("expm1"),
    "aten.special_erf": _unary_float("erf"),
    "aten.special_erfc": _unary_float("erfc"),
    **{f"aten.{name}": _unary_same(ir) for name, ir in _UNARY_SAME.items()},
    **{f"aten.{name}": _rounding(ir) for name, ir in _ROUNDING.items()},
    **{f"aten.{name}": _binary(ir) for name, ir in _BINARY.items()},
    **{f"aten.{name}": _comparison(name) for name in _COMPARISON},
    **{f"aten.{name}": _logical(ir) for name, ir in _LOGICAL.items()},
    "aten.fmax": _over_numbers("maximum"),
    "aten.fmin": _over_numbers("minimum"),
    "aten.xlogy": _xlogy,
    **formulas.RULES,
    **activations.RULES,
    **special.RULES,
}
"""Operator -> how it becomes IR."""

UNWRITTEN_POINTWISE = frozenset(
    f"aten.{name}"
    for name in (
        *("log_sigmoid_forward", "log_sigmoid_backward", "gelu_backward", "silu_backward"),
        *("mish_backward", "sigmoid_backward", "tanh_backward", "threshold_backward"),
        *("elu_backward", "softplus_backward", "hardtanh_backward", "hardswish_backward"),
        *("hardsigmoid_backward", "leaky_relu_backward", "logit_backward"),
        *("_prelu_kernel", "_prelu_kernel_backward"),
        *("mse_loss_backward", "smooth_l1_loss_backward", "huber_loss_backward"),
        *("binary_cross_entropy_backward", "soft_margin_loss_backward"),
        *("nan_to_num", "lerp", "addcmul", "addcdiv"),
        "native_dropout_backward",
        *("mse_loss", "smooth_l1_loss", "huber_loss"),  # without their reduction
    )
)
"""Elementwise operators that torch's `pointwise` tag misses: their decompositions are traced."""


def expansion_of(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Callable[[], Any] | None:
    """What does the same by other operators, if fusion gains by it; None otherwise."""
    if _is_composite(func):
        return functools.partial(func.decompose, *args, **kwargs)
    return each(func, args, kwargs) or expansion(func, args, kwargs)


@functools.cache
def _is_composite(func: Any) -> bool:
    """True for what torch itself runs as other operators (seen here in inference mode only).

    The derivatives of silu and mish could be, but have kernels, which keep float32 throughout.
    """
    has = torch._C._dispatch_has_kernel_for_dispatch_key  # noqa: SLF001  no public spelling
    if func.namespace != "aten" or name_of(func) in RULES:
        return False
    return has(func.name(), "CompositeImplicitAutograd") and not has(func.name(), "CPU")
