"""The irregular lowerings: each follows the formula of PyTorch's own CPU kernel.

Source of each: aten/src/ATen/native/cpu/{Activation,BinaryOps,UnaryOps,Lerp,PointwiseOps}Kernel.cpp
and, for the constants, the operator's documentation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from fusekit.frontends.dtypes import FROM_TORCH, compute_dtype
from fusekit.frontends.lowering import Lowering, Rule, valid
from fusekit.frontends.strides import counted
from fusekit.ir import DType
from fusekit.vecmath.expression import Expr, fma, where

__all__ = ["RULES"]


def add(op: Lowering) -> Expr | None:
    return _scaled_sum(op, "self", "other", "add")


def sub(op: Lowering) -> Expr | None:
    return _scaled_sum(op, "self", "other", "sub")


def rsub(op: Lowering) -> Expr | None:
    """The difference other - alpha * self."""
    return _scaled_sum(op, "other", "self", "sub")


def _scaled_sum(op: Lowering, first: str, second: str, ir: str) -> Expr | None:
    """X +- alpha * y; PyTorch's vector code fuses the product into the sum."""
    x, y, alpha = op.term(first), op.term(second), op.get("alpha", 1)
    if op.result is DType.BOOL:
        if ir != "add":
            return None
        return x.apply("or", y) if op.number("alpha") else x.apply("copy")
    if isinstance(alpha, int | float) and alpha == 1:
        return x.apply(ir, y)
    factor = op.term("alpha")
    if not op.compute.is_float:
        return x.apply(ir, y * factor)
    return fma(y, factor if ir == "add" else -factor, x)


def div(op: Lowering) -> Expr | None:
    mode = op.get("rounding_mode")
    if mode == "floor":
        return floor_divide(op)
    quotient = op.tensor("self")
    if mode == "trunc":
        if not op.compute.is_float:
            return quotient.apply("truncdiv", op.tensor("other"))
        return _step(op, quotient / op.factor("other")).apply("trunc")
    return quotient / op.factor("other") if mode is None else None


def _step(op: Lowering, x: Expr) -> Expr:
    """Part of a quotient, which PyTorch computes in the result's dtype unless it is by a scalar."""
    return x if op.is_scaled("other") else x.cast(op.result).cast(op.compute)


def floor_divide(op: Lowering) -> Expr | None:
    """Python's `//`: c10/util/generic_math.h, div_floor_floating.

    On a GPU its `fmod` of two halves is a float32, and so is all that follows from it.
    """
    x, y = op.tensor("self"), op.factor("other")
    if op.result is DType.BOOL:
        return None
    if not op.compute.is_float:
        return x.apply("floordiv", y)
    step = (lambda x: x) if op.on_gpu else partial(_step, op)
    rest = x.apply("fmod", y)
    quotient = step(step(x - rest) / y)
    opposite = rest.differs(0.0) & ((y < 0.0) ^ (rest < 0.0))
    quotient = where(opposite, step(quotient - 1.0), quotient)
    floor = quotient.apply("floor")
    floor = where(step(quotient - floor) > 0.5, floor + 1.0, floor)
    result = where(quotient.equals(0.0), op.const(0.0).apply("copysign", x / y), floor)
    return where(y.equals(0.0), x / y, result)


def remainder(op: Lowering) -> Expr | None:
    """Python's `%`."""
    x, y = op.tensor("self"), op.tensor("other")
    if op.result is DType.BOOL:
        return None
    if not op.compute.is_float:
        return x.apply("remainder", y)
    rest = x.apply("fmod", y)
    return where(rest.differs(0.0) & ((y < 0.0) ^ (rest < 0.0)), rest + y, rest)


def pow_(op: Lowering) -> Expr | None:
    """The exponents that PyTorch replaces by products and roots are replaced here too."""
    exponent = op["exponent"]
    if op.result is DType.BOOL:
        return None
    x = op.tensor("self")
    if not isinstance(exponent, torch.Tensor):
        value = float(op.number("exponent"))
        short = _short_power(x, value, op)
        if short is not None:
            return short
        exponent = op.number("exponent")
        if not op.compute.is_float and exponent < 0:
            return None  # eager raises
    return x.apply("pow", op.promoted(exponent))


def _short_power(x: Expr, exponent: float, op: Lowering) -> Expr | None:
    if exponent == 2:
        return x * x
    if exponent == 3:
        return x * x * x
    if not op.compute.is_float:
        return None
    table: dict[float, Callable[[], Expr]] = {
        1.0: lambda: x.apply("copy"),
        0.5: x.sqrt,
        -0.5: lambda: 1.0 / x.sqrt(),
        -1.0: lambda: 1.0 / x,
        -2.0: lambda: 1.0 / (x * x),
    }
    if op.result is DType.F16 and exponent in (0.5, -0.5):  # pow(-0.0, 0.5) is 0.0
        return None
    return table[exponent]() if exponent in table else None


def clamp(op: Lowering) -> Expr | None:
    """The maximum with `min`, then the minimum with `max`; NaN stays."""
    x = op.tensor("self")
    if op.result is DType.BOOL:
        return None
    for name, ir in (("min", "maximum"), ("max", "minimum")):
        if op.get(name) is not None:
            bound = _bound(op, name)
            if bound is None:
                return None
            x = x.apply(ir, bound)
    return x


def _bound(op: Lowering, name: str) -> Expr | None:
    """A bound of clamp; None if it does not fit the dtype, where eager raises."""
    value = op[name]
    if isinstance(value, torch.Tensor):
        return op.operand(value, op.compute)
    number = op.number(name) if not op.compute.is_float else value
    if isinstance(number, int | float) and math.isfinite(number):
        target = next(t for t, ours in FROM_TORCH.items() if ours is op.result)
        info: Any = torch.finfo(target) if op.result.is_float else torch.iinfo(target)
        if not info.min <= number <= info.max:
            return None
    return op.operand(number, op.compute)


def where_(op: Lowering) -> Expr | None:
    condition = op.raw(op["condition"])
    if condition.dtype is not DType.BOOL:
        return None
    return where(condition, _stored(op, "self"), _stored(op, "other"))


def masked_fill(op: Lowering) -> Expr | None:
    mask = op.raw(op["mask"])
    if mask.dtype is not DType.BOOL:
        return None
    return where(mask, _stored(op, "value"), op.tensor("self", op.result))


def _stored(op: Lowering, name: str) -> Expr:
    """The argument in the result's dtype; eager raises where a number does not fit that."""
    if op.result.bits < 32 and op.result not in (DType.BOOL, DType.BF16):
        op.number(name)  # so that another number is looked at again
    return op.tensor(name, op.result)


def reciprocal(op: Lowering) -> Expr:
    return 1.0 / op.tensor("self")


def rsqrt(op: Lowering) -> Expr:
    return 1.0 / op.tensor("self").sqrt()


def square(op: Lowering) -> Expr | None:
    x = op.tensor("self")
    return None if op.result is DType.BOOL else x * x


def sign(op: Lowering) -> Expr:
    """(0 < x) - (x < 0): NaN gives 0."""
    x = op.tensor("self")
    if op.result is DType.BOOL:
        return x.apply("copy")
    positive = (x > 0).cast(op.compute)
    return positive if op.compute.kind.value == "uint" else positive - (x < 0).cast(op.compute)


def frac(op: Lowering) -> Expr:
    x = op.tensor("self")
    return x - x.apply("trunc")


def lerp(op: Lowering) -> Expr:
    """From the nearer end, so that weight 1 gives `end` exactly."""
    start, end = op.tensor("self"), op.tensor("end")
    weight = (op.tensor if isinstance(op["weight"], torch.Tensor) else op.scalar)("weight")
    near = abs(weight) < 0.5
    return fma(where(near, weight, weight - 1.0), end - start, where(near, start, end))


def addcmul(op: Lowering) -> Expr | None:
    if op.result is DType.BOOL:
        return None
    left, right = op.scalar("value") * op.tensor("tensor1"), op.tensor("tensor2")
    if not op.compute.is_float:
        return op.tensor("self") + left * right
    return fma(left, right, op.tensor("self"))


def addcdiv(op: Lowering) -> Expr | None:
    if not op.compute.is_float:
        return None
    return op.tensor("self") + op.scalar("value") * op.tensor("tensor1") / op.tensor("tensor2")


def fma_(op: Lowering) -> Expr:
    """What torch.compile makes of `addcmul_` with a tensor as its value; eager rounds twice."""
    return op.tensor("a") * op.tensor("b") + op.tensor("c")


def logaddexp(op: Lowering) -> Expr:
    return _log_sum(op, "exp", 1.0)


def logaddexp2(op: Lowering) -> Expr:
    return _log_sum(op, "exp2", 1 / math.log(2))


def _log_sum(op: Lowering, exp: str, unit: float) -> Expr:
    """As max + log(1 + exp(-|x - y|)); two equal infinities are their own result."""
    x, y = op.tensor("self"), op.tensor("other")
    same_infinity = x.apply("isinf") & x.equals(y)
    tail = (-abs(x - y)).apply(exp).apply("log1p")
    return where(same_infinity, x, x.apply("maximum", y) + (tail if unit == 1 else tail * unit))


def binary_cross_entropy(op: Lowering) -> Expr | None:
    """Of probabilities: (y-1) * max(log(1-x), -100) - y * max(log(x), -100)."""
    if op["reduction"]:
        return None
    x, y = op.tensor("self"), op.tensor("target")
    log_not = (-x).apply("log1p").apply("maximum", -100.0)
    loss = (y - 1.0) * log_not - y * x.apply("log").apply("maximum", -100.0)
    if op["weight"] is not None:
        loss = loss.cast(op.result).cast(op.compute) * op.tensor("weight")
    if op["self"].device.type != "cpu":
        return loss  # eager stops the device there
    return valid((x >= 0.0) & (x <= 1.0), loss)


def _classify(ir: str, *, integral: bool) -> Rule:
    """The isnan family: asked of the argument's dtype, constant on integers."""

    def rule(op: Lowering) -> Expr:
        x = op.raw(op["self"])
        if x.dtype.is_float:
            return x.cast(compute_dtype(x.dtype)).apply(ir)
        return x.equals(x) if integral else x.differs(x)

    return rule


def _signed_infinity(value: float) -> Rule:
    def rule(op: Lowering) -> Expr:
        x = op.raw(op["self"])
        return x.cast(compute_dtype(x.dtype)).equals(value) if x.dtype.is_float else x.differs(x)

    return rule


def signbit(op: Lowering) -> Expr:
    x = op.raw(op["self"])
    if x.dtype.is_float:
        return x.cast(compute_dtype(x.dtype)).apply("signbit")
    return x.differs(x) if x.dtype is DType.BOOL else x < 0


def logical_not(op: Lowering) -> Expr:
    return ~op.tensor("self", DType.BOOL)


def to_copy(op: Lowering) -> Expr:
    """A conversion of dtype; device and layout are checked before the rule is asked."""
    x = op.raw(op["self"] if "self" in op.arguments else op["a"])
    return x.cast(op.result)


def copy(op: Lowering) -> Expr:
    return op.tensor("self", op.result).apply("copy")


def copy_from(op: Lowering) -> Expr:
    return op.tensor("src", op.result).apply("copy")


def arange(op: Lowering) -> Expr | None:
    """Of integers: start + step * index, which is exact; eager's own roundings are of floats."""
    numbers = counted({name: op.number(name) for name in _COUNTED if name in op.arguments})
    is_exact = op.result.is_integral or op.result in (DType.F32, DType.F64)
    if numbers is None or not is_exact or op.get("pin_memory"):
        return None
    if op.result.is_float and max(abs(numbers.start), abs(numbers.stop)) > _EXACT:
        return None
    index = Expr(op.builder, op.builder.index((len(numbers),)))
    start, step = (op.operand(op.get(*pair), DType.I64) for pair in (("start", 0), ("step", 1)))
    return (index * step + start).cast(op.result)


_COUNTED = ("start", "end", "step")

_EXACT = 1 << 24
"""float32 holds all integers up to that."""


def _filled(name: str, value: float | None = None) -> Rule:
    def rule(op: Lowering) -> Expr:
        made = _stored(op, name) if value is None else op.const(value, op.result)
        return made.apply("copy")

    return rule


RULES: Mapping[str, Rule] = {
    "aten.add": add,
    "aten.sub": sub,
    "aten.subtract": sub,
    "aten.rsub": rsub,
    "aten.div": div,
    "aten.true_divide": div,
    "aten.floor_divide": floor_divide,
    "aten.remainder": remainder,
    "aten.pow": pow_,
    "aten.clamp": clamp,
    "aten.clamp_min": clamp,
    "aten.clamp_max": clamp,
    "aten.where": where_,
    "aten.masked_fill": masked_fill,
    "aten.reciprocal": reciprocal,
    "aten.rsqrt": rsqrt,
    "aten.square": square,
    "aten.sign": sign,
    "aten.sgn": sign,
    "aten.frac": frac,
    "aten.lerp": lerp,
    "aten.addcmul": addcmul,
    "aten.addcdiv": addcdiv,
    "prims.fma": fma_,
    "aten.binary_cross_entropy": binary_cross_entropy,
    "aten.logaddexp": logaddexp,
    "aten.logaddexp2": logaddexp2,
    "aten.isnan": _classify("isnan", integral=False),
    "aten.isinf": _classify("isinf", integral=False),
    "aten.isfinite": _classify("isfinite", integral=True),
    "aten.isposinf": _signed_infinity(math.inf),
    "aten.isneginf": _signed_infinity(-math.inf),
    "aten.signbit": signbit,
    "aten.logical_not": logical_not,
    "aten._to_copy": to_copy,
    "prims.convert_element_type": to_copy,
    "aten.clone": copy,
    "aten.alias_copy": copy,
    "aten.zero": _filled("", 0),
    "aten.copy": copy_from,
    "aten.arange": arange,
    "aten.fill": _filled("value"),
    "aten.full": _filled("fill_value"),
    "aten.full_like": _filled("fill_value"),
    "aten.new_full": _filled("fill_value"),
    "aten.zeros": _filled("", 0),
    "aten.zeros_like": _filled("", 0),
    "aten.new_zeros": _filled("", 0),
    "aten.ones": _filled("", 1),
    "aten.ones_like": _filled("", 1),
    "aten.new_ones": _filled("", 1),
    "aten.scalar_tensor": _filled("s"),
}
"""Operator -> formula."""
