"""Division of integers: LLVM leaves x / 0 and MIN / -1 undefined, x86 raises a signal on both.

PyTorch raises an error on a divisor of 0; here such lanes divide by 1, and the kernel says at its
end that it met one. MIN / -1 wraps.

x86 divides no vectors of integers, so what is narrower than 64 bits goes through floating point:
the quotient of n-bit integers, if it is not whole, is further than 2**-n (relatively) from a whole
number, so a float with more than n bits of precision never rounds it to one, and truncation gives
the exact quotient.
"""

from __future__ import annotations

from collections.abc import Mapping

from fusekit.ir import DType, Kind

__all__ = ["row"]

_GUARD = """
    %.zero = icmp eq {t} {y}, zeroinitializer
    %.divisor = select {b} %.zero, {t} splat ({e} 1), {t} {y}
    %.trap = and {b} %.zero, {active}
    %.met = call i1 @llvm.vector.reduce.or.v{L}i1({b} %.trap)
    %.before = load i1, ptr %trapped
    %.after = or i1 %.before, %.met
    store i1 %.after, ptr %trapped"""

_BY_CONSTANT: Mapping[Kind, str] = {
    Kind.INT: "%.quotient = sdiv {t} {x}, {y}",
    Kind.UINT: "%.quotient = udiv {t} {x}, {y}",
}
"""Multiplications, once LLVM has seen the constant."""


def _narrow(convert: str) -> str:
    """A quotient of 8 or 16 bits; i32 holds every result, so MIN / -1 wraps as it is cut off."""
    return f"""
    %.dividend = {convert} {{t}} {{x}} to <{{L}} x float>
    %.by = {convert} {{t}} {{y}} to <{{L}} x float>
    %.ratio = fdiv <{{L}} x float> %.dividend, %.by
    %.whole = fptosi <{{L}} x float> %.ratio to <{{L}} x i32>
    %.quotient = trunc <{{L}} x i32> %.whole to {{t}}"""


_QUOTIENT: Mapping[DType, str] = {
    **dict.fromkeys((DType.I8, DType.I16), _narrow("sitofp")),
    **dict.fromkeys((DType.U8, DType.U16), _narrow("uitofp")),
    DType.I32: """
    %.dividend = sitofp {t} {x} to <{L} x double>
    %.by = sitofp {t} {y} to <{L} x double>
    %.ratio = fdiv <{L} x double> %.dividend, %.by
    %.whole = fptosi <{L} x double> %.ratio to {t}
    %.fits = fcmp olt <{L} x double> %.ratio, splat (double 2147483648.0)
    %.quotient = select {b} %.fits, {t} %.whole, {t} splat (i32 -2147483648)""",
    DType.U32: """
    %.dividend = uitofp {t} {x} to <{L} x double>
    %.by = uitofp {t} {y} to <{L} x double>
    %.ratio = fdiv <{L} x double> %.dividend, %.by
    %.quotient = fptoui <{L} x double> %.ratio to {t}""",
    DType.I64: """
    %.minus = icmp eq {t} {y}, splat ({e} -1)
    %.by = select {b} %.minus, {t} splat ({e} 1), {t} {y}
    %.whole = sdiv {t} {x}, %.by
    %.negated = sub {t} zeroinitializer, {x}
    %.quotient = select {b} %.minus, {t} %.negated, {t} %.whole""",
    DType.U64: "%.quotient = udiv {t} {x}, {y}",
}

_REST = """
    %.product = mul {t} %.quotient, {y}
    %.rest = sub {t} {x}, %.product"""

_DIFFER = """
    ; the rest has the sign of x: is that another than the sign of y?
    %.inexact = icmp ne {t} %.rest, zeroinitializer
    %.signs = xor {t} %.rest, {y}
    %.opposite = icmp slt {t} %.signs, zeroinitializer
    %.differ = and {b} %.inexact, %.opposite"""

_TRUNCATED = _REST.replace("%.rest =", "% =")
_ENDING: Mapping[tuple[str, Kind], str] = {
    ("truncdiv", Kind.INT): "",
    ("truncdiv", Kind.UINT): "",
    ("floordiv", Kind.UINT): "",
    ("floordiv", Kind.INT): _REST + _DIFFER + """
    %.less = sext {b} %.differ to {t}
    % = add {t} %.quotient, %.less""",
    ("fmod", Kind.INT): _TRUNCATED,
    ("fmod", Kind.UINT): _TRUNCATED,
    ("remainder", Kind.UINT): _TRUNCATED,
    ("remainder", Kind.INT): _REST + _DIFFER + """
    %.more = select {b} %.differ, {t} {y}, {t} zeroinitializer
    % = add {t} %.rest, %.more""",
}  # fmt: skip


def row(op: str, dtype: DType, divisor: int | None) -> str | None:
    """The row of a division of integers, or None if `op` is none.

    `divisor` is the second operand if it is a constant. The row has one more hole, {active}: the
    lanes whose elements exist.
    """
    ending = _ENDING.get((op, dtype.kind))
    if ending is None:
        return None
    if divisor in (None, 0):
        text = _GUARD + _QUOTIENT[dtype].replace("{y}", "%.divisor")
        ending = ending.replace("{y}", "%.divisor")
    elif divisor == -1 and dtype.kind is Kind.INT:  # an unsigned constant of ones reads so too
        text = "%.quotient = sub {t} zeroinitializer, {x}"
    else:
        text = _BY_CONSTANT[dtype.kind]
    text += ending
    return text if ending else text.replace("%.quotient", "%")
