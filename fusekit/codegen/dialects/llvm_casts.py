"""Conversions between element types, as C++ compiled for x86 converts them.

A conversion may take several hops, the ones that PyTorch's own takes: a half is a float first, a
double becomes a half by way of a float, a float a byte by way of an int. Each hop is a row (see
llvm_ops), with {t} the source's type and {r} the result's.

Out of range, LLVM's float to integer conversion is poison, while x86 gives the most negative
integer ("indefinite"), for NaN too. A select picks that for such lanes, and ignores the poison.
"""

from __future__ import annotations

from collections.abc import Mapping

from fusekit.ir import DType, Kind

__all__ = ["hop", "route", "widened"]

_INDEFINITE = """
    %.abs = call {t} @llvm.fabs.{m}({t} {x})
    %.fits = fcmp olt {t} %.abs, splat ({e} <limit>)
    %.whole = fptosi {t} {x} to {r}
    % = select {b} %.fits, {r} %.whole, {r} splat (<int> <min>)"""


def _to_signed(dtype: DType) -> str:
    limit = 2 ** (dtype.bits - 1)
    text = _INDEFINITE.replace("<limit>", f"{limit}.0").replace("<min>", str(-limit))
    return text.replace("<int>", f"i{dtype.bits}")


# From 2**63 on, compilers subtract it, convert, and put the top bit back.
_TO_U64 = """
    %.large = fcmp oge {t} {x}, splat ({e} 9223372036854775808.0)
    %.less = fsub {t} {x}, splat ({e} 9223372036854775808.0)
    %.part = select {b} %.large, {t} %.less, {t} {x}
    %.abs = call {t} @llvm.fabs.{m}({t} %.part)
    %.fits = fcmp olt {t} %.abs, splat ({e} 9223372036854775808.0)
    %.whole = fptosi {t} %.part to {r}
    %.bits = select {b} %.fits, {r} %.whole, {r} splat (i64 -9223372036854775808)
    %.topped = xor {r} %.bits, splat (i64 -9223372036854775808)
    % = select {b} %.large, {r} %.topped, {r} %.bits"""

_HALF_TO_FLOAT = """
    %.half = bitcast {t} {x} to <{L} x half>
    % = fpext <{L} x half> %.half to {r}"""

_FLOAT_TO_HALF = """
    %.half = fptrunc {t} {x} to <{L} x half>
    % = bitcast <{L} x half> %.half to {r}"""

# Where the machine has no instruction for it, LLVM would call a function that not every process
# holds. A half read as a float with the wrong bias is 2**112 too small, denormals included.
_HALF_TO_FLOAT_BY_HAND = """
    %.wide = zext {t} {x} to <{L} x i32>
    %.digits = and <{L} x i32> %.wide, splat (i32 32767)
    %.placed = shl <{L} x i32> %.digits, splat (i32 13)
    %.tiny = bitcast <{L} x i32> %.placed to {r}
    %.number = fmul {r} %.tiny, splat (float 5192296858534827628530496329220096.0)
    %.bits = bitcast {r} %.number to <{L} x i32>
    %.special = icmp uge <{L} x i32> %.digits, splat (i32 31744)
    %.infinite = or <{L} x i32> %.placed, splat (i32 2139095040)
    %.magnitude = select {b} %.special, <{L} x i32> %.infinite, <{L} x i32> %.bits
    %.masked = and <{L} x i32> %.wide, splat (i32 32768)
    %.sign = shl <{L} x i32> %.masked, splat (i32 16)
    %.signed = or <{L} x i32> %.magnitude, %.sign
    % = bitcast <{L} x i32> %.signed to {r}"""

# Adding a power of two 2**13 (or, for denormals, a fixed amount) above rounds to a half's digits,
# to even; the rest moves them into place.
_FLOAT_TO_HALF_BY_HAND = """
    %.bits = bitcast {t} {x} to <{L} x i32>
    %.sign = and <{L} x i32> %.bits, splat (i32 -2147483648)
    %.digits = xor <{L} x i32> %.bits, %.sign
    %.abs = bitcast <{L} x i32> %.digits to {t}
    %.sum = fadd {t} %.abs, splat (float 0.5)
    %.sum.bits = bitcast {t} %.sum to <{L} x i32>
    %.denormal = sub <{L} x i32> %.sum.bits, splat (i32 1056964608)
    %.last = lshr <{L} x i32> %.digits, splat (i32 13)
    %.odd = and <{L} x i32> %.last, splat (i32 1)
    %.rebias = add <{L} x i32> %.digits, splat (i32 -939520001)
    %.rounded = add <{L} x i32> %.rebias, %.odd
    %.normal = lshr <{L} x i32> %.rounded, splat (i32 13)
    %.is.denormal = icmp ult <{L} x i32> %.digits, splat (i32 947912704)
    %.finite = select {b} %.is.denormal, <{L} x i32> %.denormal, <{L} x i32> %.normal
    %.too.large = icmp uge <{L} x i32> %.digits, splat (i32 1199570944)
    %.bounded = select {b} %.too.large, <{L} x i32> splat (i32 31744), <{L} x i32> %.finite
    %.nan = icmp ugt <{L} x i32> %.digits, splat (i32 2139095040)
    %.magnitude = select {b} %.nan, <{L} x i32> splat (i32 32256), <{L} x i32> %.bounded
    %.sign.bit = lshr <{L} x i32> %.sign, splat (i32 16)
    %.signed = or <{L} x i32> %.magnitude, %.sign.bit
    % = trunc <{L} x i32> %.signed to {r}"""

_BFLOAT_TO_FLOAT = """
    %.wide = zext {t} {x} to <{L} x i32>
    %.bits = shl <{L} x i32> %.wide, splat (i32 16)
    % = bitcast <{L} x i32> %.bits to {r}"""

# To nearest even, by integers: the instruction for it flushes denormals. Where the result is made a
# float again, %.float is that already, and the last two rows come to nothing.
_FLOAT_TO_BFLOAT = """
    %.bits = bitcast {t} {x} to <{L} x i32>
    %.upper = lshr <{L} x i32> %.bits, splat (i32 16)
    %.odd = and <{L} x i32> %.upper, splat (i32 1)
    %.half.way = add <{L} x i32> %.bits, splat (i32 32767)
    %.sum = add <{L} x i32> %.half.way, %.odd
    %.cut = and <{L} x i32> %.sum, splat (i32 -65536)
    %.ordered = fcmp ord {t} {x}, {x}
    %.kept = select {b} %.ordered, <{L} x i32> %.cut, <{L} x i32> splat (i32 2143289344)
    %.float = bitcast <{L} x i32> %.kept to {t}
    %.half = lshr <{L} x i32> %.kept, splat (i32 16)
    % = trunc <{L} x i32> %.half to {r}"""

_FLOATS: Mapping[tuple[DType, DType], str] = {
    (DType.F32, DType.F64): "% = fpext {t} {x} to {r}",
    (DType.F64, DType.F32): "% = fptrunc {t} {x} to {r}",
    (DType.F16, DType.F32): _HALF_TO_FLOAT,
    (DType.F32, DType.F16): _FLOAT_TO_HALF,
    (DType.BF16, DType.F32): _BFLOAT_TO_FLOAT,
    (DType.F32, DType.BF16): _FLOAT_TO_BFLOAT,
}

_BY_HAND: Mapping[tuple[DType, DType], str] = {
    (DType.F16, DType.F32): _HALF_TO_FLOAT_BY_HAND,
    (DType.F32, DType.F16): _FLOAT_TO_HALF_BY_HAND,
}

_VIA: Mapping[DType, DType] = {
    DType.I8: DType.I32,
    DType.I16: DType.I32,
    DType.U8: DType.I64,
    DType.U16: DType.I32,
    DType.U32: DType.I64,
}
"""From a float to a narrow integer: the integer that x86 converts to, whose low bits remain."""


def widened(source: DType) -> str:
    """What a row that rounded a float to `source` calls the float it rounded to; "" if nothing."""
    return "float" if source is DType.BF16 else ""


def route(source: DType, target: DType) -> tuple[DType, ...]:
    """The dtypes that a conversion goes through, from the first hop's result to `target`."""
    if source.is_storage_only:
        return (DType.F32,) if target is DType.F32 else (DType.F32, *route(DType.F32, target))
    if target.is_storage_only:
        return (target,) if source is DType.F32 else (DType.F32, target)
    if source.is_float and target in _VIA:
        # what a float32 has beyond 2**31 are multiples of 256: as a byte 0, by way of i32 as well
        short = source is DType.F32 and target is DType.U8
        return (DType.I32 if short else _VIA[target], target)
    return (target,)


def hop(source: DType, target: DType, *, half_instructions: bool) -> str:
    """The row that converts `source` to `target`, which must be neighbours on a route."""
    if source.is_float and target.is_float:
        by_hand = None if half_instructions else _BY_HAND.get((source, target))
        return by_hand or _FLOATS[source, target]
    if target is DType.BOOL:
        compare = "fcmp une" if source.is_float else "icmp ne"
        return f"% = {compare} {{t}} {{x}}, zeroinitializer"
    if source.is_float:
        return _TO_U64 if target is DType.U64 else _to_signed(target)
    signed = source.kind is Kind.INT
    if target.is_float:
        return f"% = {'sitofp' if signed else 'uitofp'} {{t}} {{x}} to {{r}}"
    if source is not DType.BOOL and source.bits >= target.bits:
        return f"% = {'trunc' if source.bits > target.bits else 'bitcast'} {{t}} {{x}} to {{r}}"
    return f"% = {'sext' if signed else 'zext'} {{t}} {{x}} to {{r}}"
