"""Special functions, functions of a number's bits, and those of integers.

Source of each meaning: the operator's documentation, and its kernel in aten/src/ATen/native/Math.h
or aten/src/ATen/native/cpu/{UnaryOps,BinaryOps}Kernel.cpp.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from fusekit.frontends.dtypes import compute_dtype
from fusekit.frontends.lowering import Lowering, Rule
from fusekit.ir import DType
from fusekit.vecmath.expression import Expr, copysign, where

__all__ = ["RULES"]

_UNARY = {
    "digamma": "digamma",
    "erfinv": "erfinv",
    "i0": "i0",
    "special_airy_ai": "airy_ai",
    "special_bessel_j0": "bessel_j0",
    "special_bessel_j1": "bessel_j1",
    "special_bessel_y0": "bessel_y0",
    "special_bessel_y1": "bessel_y1",
    "special_erfcx": "erfcx",
    "special_i0e": "i0e",
    "special_i1": "i1",
    "special_i1e": "i1e",
    "special_log_ndtr": "log_ndtr",
    "special_modified_bessel_i0": "i0",
    "special_modified_bessel_i1": "i1",
    "special_modified_bessel_k0": "k0",
    "special_modified_bessel_k1": "k1",
    "special_ndtri": "ndtri",
    "special_scaled_modified_bessel_k0": "k0e",
    "special_scaled_modified_bessel_k1": "k1e",
    "special_spherical_bessel_j0": "spherical_bessel_j0",
}

_BINARY = {"special_zeta": "zeta", "igamma": "igamma", "igammac": "igammac"}

_POLYNOMIALS = (
    *(f"{shifted}chebyshev_polynomial_{kind}" for shifted in ("", "shifted_") for kind in "tuvw"),
    "laguerre_polynomial_l",
    "legendre_polynomial_p",
)

_HERMITE = ("hermite_polynomial_h", "hermite_polynomial_he")

_HERMITE_DEGREES = {DType.F64: 512, DType.F32: 128}
"""From the next degree on, eager's Hermite polynomials are NaN."""


_LARGEST_FACTORIAL = 170
"""What float64 holds."""


def _unary(ir: str) -> Rule:
    return lambda op: op.tensor("x" if "x" in op.arguments else "self").apply(ir)


def _binary(ir: str) -> Rule:
    return lambda op: op.tensor("self").apply(ir, op.tensor("other"))


def _polynomial(ir: str) -> Rule:
    return lambda op: op.tensor("x").apply(ir, op.tensor("n"))


def _hermite(ir: str) -> Rule:
    def rule(op: Lowering) -> Expr:
        degree = op.tensor("n")
        last = _HERMITE_DEGREES[op.compute] + 1.0  # the degree is the whole part
        is_high = (degree >= last) & (degree < 2.0**63)  # beyond int64 it wraps to a negative one
        return where(is_high, op.const(math.nan), op.tensor("x").apply(ir, degree))

    return rule


def polygamma(op: Lowering) -> Expr | None:
    """Derivative number n of digamma: (-1)**(n+1) * n! * zeta(n + 1, x)."""
    order = op.number("n")
    if not 0 <= order <= _LARGEST_FACTORIAL:
        return None  # eager raises below
    x = op.tensor("self", DType.F64)
    if order < 2:
        return x.apply("trigamma" if order else "digamma")
    factor = float(math.factorial(order))
    return x.const(order + 1.0).apply("zeta", x) * (factor if order % 2 else -factor)


def mvlgamma(op: Lowering) -> Expr:
    """The multivariate log-gamma: p * (p-1) / 4 * log(pi) + sum(lgamma(x - j/2) for j < p)."""
    order = op.number("p")
    x, total = op.tensor("self"), op.const(0.0)
    for j in range(order):
        total = total + _rounded(op, _rounded(op, x - j / 2).apply("lgamma"))
    constant = float(order * (order - 1) / 4 * math.log(math.pi))
    return _rounded(op, total) + constant


def _rounded(op: Lowering, value: Expr) -> Expr:
    """As after an operator of eager's own."""
    return value.cast(op.result).cast(op.compute)


def nextafter(op: Lowering) -> Expr:
    """The neighbour of x on y's side: one more or less, read as an integer."""
    x, y = op.tensor("self", op.result), op.tensor("other", op.result)
    wide = compute_dtype(op.result)
    start, goal = x.cast(wide), y.cast(wide)
    bits = x.bits(DType[f"I{op.result.bits}"])
    outwards = ~((goal > start) ^ (start > 0.0))
    moved = where(outwards, bits + 1, bits - 1).bits(op.result)
    smallest = Expr(op.builder, op.builder.const(1, bits.dtype)).bits(op.result).cast(wide)
    first = copysign(smallest, goal).cast(op.result)
    result = where(start.equals(0.0), first, moved)
    result = where(start.equals(goal), y, result)
    return where(start.isnan() | goal.isnan(), op.const(math.nan, op.result), result)


@dataclasses.dataclass(frozen=True, slots=True)
class _Format:
    """How a float is laid out: its integer twin, fraction bits, bias of the exponent."""

    integer: DType
    fraction: int
    bias: int


_FORMATS = {DType.F32: _Format(DType.I32, 23, 127), DType.F64: _Format(DType.I64, 52, 1023)}


def frexp(op: Lowering) -> tuple[Expr, Expr]:
    """Mantissa and exponent: x = m * 2**e with |m| in [1/2, 1)."""
    x = op.tensor("self")
    form = _FORMATS[op.compute]
    lift = 2.0 ** (form.fraction + 2)
    is_denormal = abs(x) < 2.0 ** (1 - form.bias)
    bits = where(is_denormal, x * lift, x).bits(form.integer)
    exponent = ((bits >> form.fraction) & (2 * form.bias + 1)) - (form.bias - 1)
    exponent = where(is_denormal, exponent - (form.fraction + 2), exponent)
    kept = -(1 << (form.integer.bits - 1)) | ((1 << form.fraction) - 1)
    half = (form.bias - 1) << form.fraction
    mantissa = ((bits & kept) | half).bits(op.compute)
    plain = x.equals(0.0) | ~x.apply("isfinite")
    return where(plain, x, mantissa), where(plain, 0, exponent).cast(DType.I32)


def gcd(op: Lowering) -> Expr:
    wide = DType.I16 if op.result is DType.U8 else op.result
    return abs(op.tensor("self", wide)).apply("gcd", abs(op.tensor("other", wide)))


def lcm(op: Lowering) -> Expr:
    """|x / gcd(x, y) * y|, in int at least, as C computes; 0 if either is."""
    wide = op.result if op.result.bits >= 32 else DType.I32
    x, y = op.tensor("self", wide), op.tensor("other", wide)
    divisor = gcd(op).cast(wide)
    nothing = divisor.equals(0)
    return where(nothing, 0, abs(x.apply("truncdiv", where(nothing, 1, divisor)) * y))


def round_(op: Lowering) -> Expr | None:
    """The nearest number with so many decimals, halves to even."""
    x, decimals = op.tensor("self"), op.get("decimals") and op.number("decimals")
    if not op.compute.is_float:
        return x.apply("copy") if not decimals else None
    if not decimals:
        return x.round()
    power = op.const(float(f"1e{abs(decimals)}"))
    return (x * power).round() / power if decimals > 0 else (x / power).round() * power


def angle(op: Lowering) -> Expr:
    """Of a real number: 0, or pi if it is negative."""
    x = op.tensor("self")
    if not op.raw(op["self"]).dtype.is_float:
        return where(x < 0.0, op.const(math.pi), 0.0)
    return where(x.isnan(), x, where(x < 0.0, op.const(math.pi), 0.0))


RULES: Mapping[str, Rule] = {
    **{f"aten.{name}": _unary(ir) for name, ir in _UNARY.items()},
    **{f"aten.{name}": _binary(ir) for name, ir in _BINARY.items()},
    **{f"aten.special_{name}": _polynomial(name) for name in _POLYNOMIALS},
    **{f"aten.special_{name}": _hermite(name) for name in _HERMITE},
    "aten.polygamma": polygamma,
    "aten.mvlgamma": mvlgamma,
    "aten.nextafter": nextafter,
    "aten.frexp": frexp,
    "aten.gcd": gcd,
    "aten.lcm": lcm,
    "aten.round": round_,
    "aten.angle": angle,
}
"""Operator -> formula."""
