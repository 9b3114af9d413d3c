"""Activation functions, each by the formula of PyTorch's own CPU kernel.

Source: aten/src/ATen/native/cpu/Activation.cpp and, for the constants, the papers they come from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from fusekit.frontends.lowering import Lowering, Rule
from fusekit.vecmath.expression import Expr, where

__all__ = ["RULES"]


def relu(op: Lowering) -> Expr:
    x = op.tensor("self")
    return where(x < 0, op.const(0), x)


def threshold(op: Lowering) -> Expr:
    x = op.tensor("self")
    return where(x <= op.scalar("threshold"), op.scalar("value"), x)


def leaky_relu(op: Lowering) -> Expr:
    x = op.tensor("self")
    return where(x > 0.0, x, x * op.scalar("negative_slope"))


def rrelu(op: Lowering) -> Expr | None:
    """The slope is drawn for each element in training, and its mean elsewhere."""
    if op["training"]:
        return None
    x = op.tensor("self")
    slope = (op.number("lower") + op.number("upper")) / 2
    return where(x > 0.0, x, x * slope)


def hardtanh(op: Lowering) -> Expr | None:
    if not op.compute.is_float:
        return None
    x = op.tensor("self").apply("maximum", op.scalar("min_val"))
    return x.apply("minimum", op.scalar("max_val"))


def _relu6_of_plus_3(x: Expr) -> Expr:
    shifted = (x + 3.0).apply("maximum", 0.0)
    return shifted.apply("minimum", 6.0)


def hardsigmoid(op: Lowering) -> Expr:
    return _relu6_of_plus_3(op.tensor("self")) / 6.0


def hardswish(op: Lowering) -> Expr:
    x = op.tensor("self")
    return x * _relu6_of_plus_3(x) / 6.0


def elu(op: Lowering) -> Expr:
    """The product of scale and (x if x > 0 else alpha * expm1(x * input_scale))."""
    x, scale = op.tensor("self"), op.scalar("scale")
    negative = (x * op.scalar("input_scale")).apply("expm1") * (op.scalar("alpha") * scale)
    return where(x > 0.0, x * scale, negative)


def shrink_backward(op: Lowering) -> Expr:
    """The gradient passes where the shrunk number was not 0."""
    gradient, x, bound = op.tensor(_gradient(op)), op.tensor("self"), op.scalar("lambd")
    return where((x >= -bound) & (x <= bound), 0.0, gradient)


def _gradient(op: Lowering) -> str:
    return "grad_out" if "grad_out" in op.arguments else "grad_output"


def celu(op: Lowering) -> Expr:
    x, alpha = op.tensor("self"), op.scalar("alpha")
    return where(x > 0.0, x, (x / alpha).apply("expm1") * alpha)


def selu(op: Lowering) -> Expr:
    """The constants of Klambauer et al. 2017, as aten/src/ATen/native/Activation.cpp has them."""
    alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    x = op.tensor("self")
    return where(x > 0.0, x * scale, x.apply("expm1") * (alpha * scale))


def gelu(op: Lowering) -> Expr | None:
    x = op.tensor("self")
    if op["approximate"] == "tanh":
        # sqrt(2 / pi) and the cubic's weight: Hendrycks and Gimpel 2016
        inner = (x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)
        return x * 0.5 * (inner.apply("tanh") + 1.0)
    if op["approximate"] == "none":
        return x * 0.5 * ((x * math.sqrt(0.5)).apply("erf") + 1.0)
    return None


def silu(op: Lowering) -> Expr:
    x = op.tensor("self")
    return x / ((-x).apply("exp") + 1.0)


def mish(op: Lowering) -> Expr:
    x = op.tensor("self")
    return x * x.apply("exp").apply("log1p").apply("tanh")


def softplus(op: Lowering) -> Expr:
    x, beta = op.tensor("self"), op.scalar("beta")
    scaled = x * beta
    return where(scaled > op.scalar("threshold"), x, scaled.apply("exp").apply("log1p") / beta)


RULES: Mapping[str, Rule] = {
    "aten.relu": relu,
    "aten.threshold": threshold,
    "aten.leaky_relu": leaky_relu,
    "aten.rrelu": rrelu,
    "aten.rrelu_with_noise": rrelu,
    "aten.hardtanh": hardtanh,
    "aten.hardsigmoid": hardsigmoid,
    "aten.hardswish": hardswish,
    "aten.hardshrink_backward": shrink_backward,
    "aten.softshrink_backward": shrink_backward,
    "aten.elu": elu,
    "aten.celu": celu,
    "aten.selu": selu,
    "aten.gelu": gelu,
    "aten.silu": silu,
    "aten.mish": mish,
    "aten.softplus": softplus,
}
"""Operator -> formula."""
