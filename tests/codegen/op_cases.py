"""What each op gives, computed some other way: Python's integers, PyTorch eager, and mpmath."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable

import mpmath
import torch

from fusekit.frontends.dtypes import TO_TORCH
from fusekit.ir import OPS, DType, Kind, Rule

POINTWISE = [
    name for name, row in OPS.items() if row.rule in (Rule.SAME, Rule.COMPARE, Rule.SELECT)
]
CASES = [(name, dtype) for name in POINTWISE for dtype in DType if OPS[name].accepts(dtype)]
FLOATS = (DType.F32, DType.F64)
INTEGERS = tuple(dtype for dtype in DType if dtype.is_integral)

nan, inf = math.nan, math.inf


def _each(function: Callable[..., float], *columns: torch.Tensor) -> torch.Tensor:
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return torch.tensor([function(*row) for row in rows], dtype=columns[0].dtype)


def _fmod(x: float, y: float) -> float:
    return math.nan if y == 0 or math.isinf(x) else math.fmod(x, y)


EXACT: dict[str, Callable[..., torch.Tensor]] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "neg": torch.neg,
    "abs": torch.abs,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "copysign": torch.copysign,
    # eager's fmod divides by denormals wrongly, and its sqrt of float32 is not always the nearest
    "fmod": lambda x, y: _each(_fmod, x, y),
    "eq": torch.eq,
    "ne": torch.ne,
    "lt": torch.lt,
    "le": torch.le,
    "gt": torch.gt,
    "ge": torch.ge,
    "isnan": torch.isnan,
    "isinf": torch.isinf,
    "isfinite": torch.isfinite,
    "signbit": torch.signbit,
    "floor": torch.floor,
    "ceil": torch.ceil,
    "trunc": torch.trunc,
    "round": torch.round,
    "sqrt": lambda x: x.double().sqrt().to(x.dtype),
}
"""Ops on floating point numbers whose results are equal to eager's, bit for bit."""

EAGER: dict[str, Callable[..., torch.Tensor]] = {
    **{
        name: getattr(torch, name)
        for name in (
            "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin",
            "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "sigmoid", "erf",
            "erfc", "lgamma", "atan2", "hypot", "pow",
        )
    },
}  # fmt: skip
"""Ops whose results may differ from eager's in the last places."""

EXACTLY: dict[str, Callable[..., mpmath.mpf]] = {
    "exp": mpmath.exp,
    "exp2": lambda x: mpmath.mpf(2) ** x,
    "expm1": mpmath.expm1,
    "log": mpmath.log,
    "log2": lambda x: mpmath.log(x, 2),
    "log10": mpmath.log10,
    "log1p": mpmath.log1p,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "tan": mpmath.tan,
    "asin": mpmath.asin,
    "acos": mpmath.acos,
    "atan": mpmath.atan,
    "sinh": mpmath.sinh,
    "cosh": mpmath.cosh,
    "tanh": mpmath.tanh,
    "asinh": mpmath.asinh,
    "acosh": mpmath.acosh,
    "atanh": mpmath.atanh,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "erf": mpmath.erf,
    "erfc": mpmath.erfc,
    "lgamma": lambda x: mpmath.log(abs(mpmath.gamma(x))),
    "atan2": mpmath.atan2,
    "hypot": mpmath.hypot,
    "pow": mpmath.power,
}
"""The same ops, to as many digits as one likes."""

DOMAIN: dict[str, tuple[float, float]] = {
    "log": (1e-4, 50), "log2": (1e-4, 50), "log10": (1e-4, 50), "log1p": (-0.99, 20),
    "asin": (-1, 1), "acos": (-1, 1), "atanh": (-0.999, 0.999), "acosh": (1, 50),
    "lgamma": (0.1, 30), "pow": (0.01, 8),
}  # fmt: skip
"""Where random operands come from; (-8, 8) for the others."""


DEGREES = (-1.0, 0.0, 1.0, 2.5, 7.0, 30.0)
"""Of polynomials, whose recurrences take as many steps."""


def special_floats() -> list[float]:
    """Numbers where something can go wrong."""
    some = [0.0, 0.5, 1.0, 1.5, 2.5, 3.7, 1e-40, 1e-310, 1e10, 2.0**31, 2.0**63, 3e38, 1e300, inf]
    return [*some, *(-x for x in some), nan]


def edges(dtype: DType) -> list[int]:
    """Integers where something can go wrong."""
    lowest, highest = bounds(dtype)
    some = [0, 1, 2, 3, 5, 7, 8, 31, 63, 100, highest, highest - 1, highest // 2, highest // 3]
    signed = [-1, -2, -3, -7, -100, lowest, lowest + 1, lowest // 2] if lowest else []
    return [*some, *signed]


def bounds(dtype: DType) -> tuple[int, int]:
    """The least and the greatest integer of a dtype."""
    if dtype.kind is Kind.UINT:
        return 0, 2**dtype.bits - 1
    return -(2 ** (dtype.bits - 1)), 2 ** (dtype.bits - 1) - 1


def wrap(value: int, dtype: DType) -> int:
    """What is left of an integer in a dtype."""
    lowest, _ = bounds(dtype)
    return (value - lowest) % 2**dtype.bits + lowest


def tensor(values: list, dtype: DType) -> torch.Tensor:
    """A tensor of numbers that `dtype` holds."""
    return torch.tensor(values, dtype=TO_TORCH[dtype])


def operands(op: str, dtype: DType) -> list[torch.Tensor]:
    """Operands of the op: every combination of special values."""
    if op in ("select", "rarely"):
        numbers = [0, 1, 2, 3, 1] * 20
        return [torch.arange(100) % 3 == 0, tensor(numbers, dtype), tensor(numbers[::-1], dtype)]
    if dtype is DType.BOOL:
        numbers: list = [False, True] * 20
    else:
        numbers = special_floats() if dtype.is_float else edges(dtype)
    arity = OPS[op].arity
    if "polynomial" in op:
        rows = itertools.product(numbers, DEGREES)
        return [tensor(list(column), dtype) for column in zip(*rows, strict=True)]
    if arity == 1:
        return [tensor(numbers * 3, dtype)]
    if arity == 3:
        numbers = numbers[::3]
    combined = list(itertools.product(numbers, repeat=arity))
    if OPS[op].traps and not dtype.is_float:
        combined = [pair for pair in combined if pair[1]]
    if op == "gcd":  # of absolute values, but for the most negative integer
        combined = [pair for pair in combined if min(pair) >= 0 or min(pair) == bounds(dtype)[0]]
        combined = [pair for pair in combined if max(pair) >= 0 or pair[0] == pair[1]]
    return [tensor(list(column), dtype) for column in zip(*combined, strict=True)]


def integer(op: str, dtype: DType, x: int, y: int) -> int | bool:
    """What an op on integers gives, by Python's."""
    return wrap(_INTEGER[op](x, y, dtype), dtype) if op in _INTEGER else _ORDER[op](x, y)


def _truncdiv(x: int, y: int, _: DType) -> int:
    quotient = abs(x) // abs(y)
    return quotient if (x < 0) == (y < 0) else -quotient


def _gcd(x: int, y: int) -> int:
    """By the remainders of C, which have the sign of what is divided."""
    while x:
        x, y = y - x * _truncdiv(y, x, DType.I64), x
    return y


def _pow(x: int, y: int, dtype: DType) -> int:
    if y >= 0:
        return pow(x, y, 2**dtype.bits)
    return {1: 1, -1: -1 if y % 2 else 1}.get(x, 0)


_INTEGER: dict[str, Callable[[int, int, DType], int]] = {
    "copy": lambda x, _, __: x,
    "add": lambda x, y, _: x + y,
    "sub": lambda x, y, _: x - y,
    "mul": lambda x, y, _: x * y,
    "neg": lambda x, _, __: -x,
    "abs": lambda x, _, __: abs(x),
    "maximum": lambda x, y, _: max(x, y),
    "minimum": lambda x, y, _: min(x, y),
    "floordiv": lambda x, y, _: x // y,
    "truncdiv": _truncdiv,
    "remainder": lambda x, y, _: x % y,
    "fmod": lambda x, y, _: x - y * _truncdiv(x, y, _),
    "and": lambda x, y, _: x & y,
    "or": lambda x, y, _: x | y,
    "xor": lambda x, y, _: x ^ y,
    "not": lambda x, _, __: ~x,
    "shl": lambda x, y, dtype: x << y if 0 <= y < dtype.bits else 0,
    "shr": lambda x, y, dtype: x >> (y if 0 <= y < dtype.bits else dtype.bits),
    "pow": _pow,
    "gcd": lambda x, y, _: _gcd(x, y),
}
_ORDER: dict[str, Callable[[int, int], bool]] = {
    "eq": lambda x, y: x == y,
    "ne": lambda x, y: x != y,
    "lt": lambda x, y: x < y,
    "le": lambda x, y: x <= y,
    "gt": lambda x, y: x > y,
    "ge": lambda x, y: x >= y,
}


def same(got: torch.Tensor, expected: torch.Tensor, *, signed_zeros: bool = True) -> bool:
    """Equal values, NaN where NaN, and zeros of equal sign."""
    if not got.is_floating_point():
        return torch.equal(got, expected)
    equal = (got == expected) | (got.isnan() & expected.isnan())
    zeros = (got.signbit() == expected.signbit()) | (got != 0) | got.isnan()
    return bool(equal.all() and (zeros.all() or not signed_zeros))


@functools.cache
def exact_values(op: str, columns: tuple[tuple[float, ...], ...]) -> list[mpmath.mpf]:
    """Results of an op on rows of operands, to 60 digits."""
    with mpmath.workdps(60):
        return [EXACTLY[op](*map(mpmath.mpf, row)) for row in zip(*columns, strict=True)]


def ulps(got: torch.Tensor, exact: list[mpmath.mpf]) -> float:
    """The largest error, in units of the last place of the exact result's dtype."""
    digits = {torch.float32: 24, torch.float64: 53}[got.dtype]
    smallest = {torch.float32: -149, torch.float64: -1074}[got.dtype]
    worst = 0.0
    for value, true in zip(got.tolist(), exact, strict=True):
        exponent = int(mpmath.floor(mpmath.log(abs(true), 2))) + 1 if true else smallest
        unit = mpmath.ldexp(1, max(exponent - digits, smallest))
        worst = max(worst, float(abs(mpmath.mpf(value) - true) / unit))
    return worst
