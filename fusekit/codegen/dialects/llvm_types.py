"""How LLVM spells our types and literals.

A value of the IR is a vector of `lanes` elements. Halves are held as the 16 bits they are stored
as: LLVM then selects and copies them like integers, and only the casts know that they are numbers.
"""

from __future__ import annotations

import math
import re

import numpy as np

from fusekit.ir import DType, Kind
from fusekit.ir.graph import Literal

__all__ = [
    "constant_of",
    "element",
    "integer",
    "is_signed",
    "literal",
    "memory",
    "number",
    "suffix",
    "vector",
]

_FLOATS = {DType.F32: "float", DType.F64: "double"}


def element(dtype: DType) -> str:
    """The type of one lane: bools are i1, halves i16."""
    if dtype is DType.BOOL:
        return "i1"
    return _FLOATS.get(dtype) or f"i{dtype.bits}"


def memory(dtype: DType) -> str:
    """The type of one element in memory: bools take a byte there."""
    return "i8" if dtype is DType.BOOL else element(dtype)


def vector(dtype: DType, lanes: int) -> str:
    """The type of a value."""
    return f"<{lanes} x {element(dtype)}>"


def integer(dtype: DType, lanes: int) -> str:
    """The vector of integers as wide as `dtype`."""
    return f"<{lanes} x i{dtype.bits}>"


def suffix(dtype: DType, lanes: int) -> str:
    """The suffix of an intrinsic's name for values of `dtype`: v16f32."""
    letter = "f" if dtype in _FLOATS else "i"
    return f"v{lanes}{letter}{1 if dtype is DType.BOOL else dtype.bits}"


def literal(value: Literal, dtype: DType) -> str:
    """A constant with `value` in every lane, as an operand: `splat (float 0.5)`."""
    return f"splat ({element(dtype)} {number(value, dtype)})"


def constant_of(operand: str) -> int | None:
    """The integer that an operand made by `literal` holds; None for any other operand."""
    match = re.fullmatch(r"splat \(i\d+ (-?\d+)\)", operand)
    return int(match[1]) if match else None


def number(value: Literal, dtype: DType) -> str:
    """A constant of one lane, as an operand without its type."""
    if dtype is DType.BOOL:
        return "true" if value else "false"
    if dtype.is_float:
        return _floating(float(value), dtype)
    return str(_signed(int(value), dtype.bits))


def _floating(value: float, dtype: DType) -> str:
    """A number rounded to `dtype`, in decimal; a half by its bits."""
    if dtype is DType.F16:
        with np.errstate(over="ignore"):
            return str(int(np.float16(value).view(np.int16)))
    if dtype is DType.BF16:
        return str(_signed(_bfloat16_bits(value), 16))
    if dtype is DType.F32:
        with np.errstate(over="ignore"):
            value = float(np.float32(value))
    if not math.isfinite(value):
        return {math.inf: "0x7FF0000000000000", -math.inf: "0xFFF0000000000000"}.get(
            value, "0x7FF8000000000000"
        )
    mantissa, mark, exponent = repr(value).partition("e")
    point = "" if "." in mantissa else ".0"
    return f"{mantissa}{point}{mark}{exponent}"


def _bfloat16_bits(value: float) -> int:
    with np.errstate(over="ignore"):
        bits = int(np.float32(value).view(np.uint32))
    if math.isnan(value):
        return 0x7FC0
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16


def _signed(value: int, bits: int) -> int:
    """`value` wrapped into the range that LLVM prints for an integer that wide."""
    half = 1 << (bits - 1)
    return (value + half) % (2 * half) - half


def is_signed(dtype: DType) -> bool:
    """True where comparisons and extensions look at the sign bit."""
    return dtype.kind is Kind.INT
