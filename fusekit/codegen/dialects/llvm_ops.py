"""How LLVM spells the exact ops: rows of LLVM text.

A row is LLVM assembly with holes. `% =` is the result and `%.name` a temporary; they become `%n7`
and `%n7.name`. The holes: {x} {y} {z} are operands, {t} is their type, {b} the vector of i1,
{i} the vector of integers as wide as {t}, {m} the suffix of an intrinsic's name for {t}, {e} the
type of one lane, {top} its width in bits less one, {L} the number of lanes.

Intrinsics need no declaration.
"""

from __future__ import annotations

from collections.abc import Mapping

from fusekit.ir import DType, Kind

__all__ = ["IDENTITY", "row"]

IDENTITY = "identity"
"""The row of an op that gives its operand back."""

_INF = "splat ({e} 0x7FF0000000000000)"

_FLOAT: Mapping[str, str] = {
    "copy": IDENTITY,
    "add": "% = fadd {t} {x}, {y}",
    "sub": "% = fsub {t} {x}, {y}",
    "mul": "% = fmul {t} {x}, {y}",
    "div": "% = fdiv {t} {x}, {y}",
    "fma": "% = call {t} @llvm.fma.{m}({t} {x}, {t} {y}, {t} {z})",
    "neg": "% = fneg {t} {x}",
    "abs": "% = call {t} @llvm.fabs.{m}({t} {x})",
    # The first select is one instruction on x86: it lets a NaN in y through and takes y if both
    # are zeros, as PyTorch's vector code does.
    "maximum": """
        %.above = fcmp ogt {t} {x}, {y}
        %.larger = select {b} %.above, {t} {x}, {t} {y}
        %.nan = fcmp uno {t} {x}, {x}
        % = select {b} %.nan, {t} {x}, {t} %.larger""",
    "minimum": """
        %.below = fcmp olt {t} {x}, {y}
        %.smaller = select {b} %.below, {t} {x}, {t} {y}
        %.nan = fcmp uno {t} {x}, {x}
        % = select {b} %.nan, {t} {x}, {t} %.smaller""",
    "copysign": "% = call {t} @llvm.copysign.{m}({t} {x}, {t} {y})",
    "eq": "% = fcmp oeq {t} {x}, {y}",
    "ne": "% = fcmp une {t} {x}, {y}",
    "lt": "% = fcmp olt {t} {x}, {y}",
    "le": "% = fcmp ole {t} {x}, {y}",
    "gt": "% = fcmp ogt {t} {x}, {y}",
    "ge": "% = fcmp oge {t} {x}, {y}",
    "isnan": "% = fcmp uno {t} {x}, {x}",
    "isinf": f"""
        %.abs = call {{t}} @llvm.fabs.{{m}}({{t}} {{x}})
        % = fcmp oeq {{t}} %.abs, {_INF}""",
    "isfinite": f"""
        %.abs = call {{t}} @llvm.fabs.{{m}}({{t}} {{x}})
        % = fcmp olt {{t}} %.abs, {_INF}""",
    "signbit": """
        %.bits = bitcast {t} {x} to {i}
        % = icmp slt {i} %.bits, zeroinitializer""",
    "floor": "% = call {t} @llvm.floor.{m}({t} {x})",
    "ceil": "% = call {t} @llvm.ceil.{m}({t} {x})",
    "trunc": "% = call {t} @llvm.trunc.{m}({t} {x})",
    "round": "% = call {t} @llvm.roundeven.{m}({t} {x})",
    "sqrt": "% = call {t} @llvm.sqrt.{m}({t} {x})",
}

_BITS: Mapping[str, str] = {
    "copy": IDENTITY,
    "and": "% = and {t} {x}, {y}",
    "or": "% = or {t} {x}, {y}",
    "xor": "% = xor {t} {x}, {y}",
    "not": "% = xor {t} {x}, splat ({e} -1)",
    "eq": "% = icmp eq {t} {x}, {y}",
    "ne": "% = icmp ne {t} {x}, {y}",
}

_INTEGER: Mapping[str, str] = {
    **_BITS,
    "add": "% = add {t} {x}, {y}",
    "sub": "% = sub {t} {x}, {y}",
    "mul": "% = mul {t} {x}, {y}",
    "neg": "% = sub {t} zeroinitializer, {x}",
    # LLVM leaves a shift by too much undefined: such a lane is never selected.
    "shl": """
        %.fits = icmp ule {t} {y}, splat ({e} {top})
        %.shifted = shl {t} {x}, {y}
        % = select {b} %.fits, {t} %.shifted, {t} zeroinitializer""",
}

_SIGNED: Mapping[str, str] = {
    **_INTEGER,
    "abs": "% = call {t} @llvm.abs.{m}({t} {x}, i1 false)",
    "maximum": "% = call {t} @llvm.smax.{m}({t} {x}, {t} {y})",
    "minimum": "% = call {t} @llvm.smin.{m}({t} {x}, {t} {y})",
    "lt": "% = icmp slt {t} {x}, {y}",
    "le": "% = icmp sle {t} {x}, {y}",
    "gt": "% = icmp sgt {t} {x}, {y}",
    "ge": "% = icmp sge {t} {x}, {y}",
    "shr": """
        %.count = call {t} @llvm.umin.{m}({t} {y}, {t} splat ({e} {top}))
        % = ashr {t} {x}, %.count""",
}

_ORDER: Mapping[str, str] = {
    "lt": "% = icmp ult {t} {x}, {y}",
    "le": "% = icmp ule {t} {x}, {y}",
    "gt": "% = icmp ugt {t} {x}, {y}",
    "ge": "% = icmp uge {t} {x}, {y}",
}

_UNSIGNED: Mapping[str, str] = {
    **_INTEGER,
    **_ORDER,
    "abs": IDENTITY,
    "maximum": "% = call {t} @llvm.umax.{m}({t} {x}, {t} {y})",
    "minimum": "% = call {t} @llvm.umin.{m}({t} {x}, {t} {y})",
    "shr": """
        %.fits = icmp ule {t} {y}, splat ({e} {top})
        %.shifted = lshr {t} {x}, {y}
        % = select {b} %.fits, {t} %.shifted, {t} zeroinitializer""",
}

_ROWS: Mapping[Kind, Mapping[str, str]] = {
    Kind.BOOL: {**_BITS, **_ORDER},
    Kind.UINT: _UNSIGNED,
    Kind.INT: _SIGNED,
    Kind.FLOAT: _FLOAT,
}

_SELECT = "% = select {b} {x}, {t} {y}, {t} {z}"


def row(op: str, dtype: DType) -> str | None:
    """The row of `op` for operands of `dtype`; None where a row cannot spell it."""
    if op in ("select", "rarely"):
        return _SELECT
    return _ROWS[dtype.kind].get(op)
