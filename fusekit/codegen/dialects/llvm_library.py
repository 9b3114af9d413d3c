"""Functions that are not written in vecmath: calls of the vector library inside libtorch, or libm.

libtorch carries Sleef and shows its symbols: `Sleef_expd8_u10` takes eight doubles in one register
and errs by at most 1.0 ulp. Where the machine has no register of a width that Sleef was built for,
and where Sleef is wrong, libm is called for one element at a time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from fusekit.codegen.dialects import llvm_types as types
from fusekit.codegen.dialects.llvm_code import NAMES
from fusekit.codegen.schedule import Target
from fusekit.ir import OPS, DType

__all__ = ["calls", "power", "sigmoid"]

_ACCURACY: Mapping[str, str] = {"erfc": "u15", "hypot": "u05"}
"""Sleef's error bound where it is not 1.0 ulp: 1.5 and 0.5."""

_LIBM_ONLY = frozenset({("fmod", DType.F32), ("fmod", DType.F64),
                        ("asinh", DType.F64), ("acosh", DType.F64)})  # fmt: skip
"""Sleef's fmod is not exact, and its asinh and acosh of 1e300 are infinite."""

_FORGETS_NAN = ("atan2",)
"""Sleef's atan2f(inf, NaN) is a number."""

_SLEEF_WIDTHS: Mapping[str, int] = {"+avx512f": 64, "+avx2": 32}
"""Register widths in bytes that Sleef is built for, and the CPU feature each needs."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Callee:
    """A library function: its name, and how many elements it takes at a time (1: scalars)."""

    name: str
    width: int


def calls(name: str, op: str, dtype: DType, lanes: int, target: Target) -> list[str]:
    """A function that calls the library for as many elements at a time as that takes."""
    callee = _callee(op, dtype, lanes, target)
    lines = list(_by_parts(name, callee, OPS[op].arity, dtype, lanes))
    whole = types.vector(dtype, lanes)
    if op not in _FORGETS_NAN:
        return [*lines, f"  ret {whole} %r", "}"]
    return [
        *lines,
        f"  %nan = fcmp uno {whole} %x, %y",
        f"  %sum = fadd {whole} %x, %y",
        f"  %fixed = select {types.vector(DType.BOOL, lanes)} %nan, {whole} %sum, {whole} %r",
        f"  ret {whole} %fixed",
        "}",
    ]


def _callee(op: str, dtype: DType, lanes: int, target: Target) -> _Callee:
    features = target.features.split(",")
    if (op, dtype) not in _LIBM_ONLY:
        for feature, size in _SLEEF_WIDTHS.items():
            width = size // dtype.itemsize
            if feature in features and size <= target.vector_bytes and lanes % width == 0:
                letter = "f" if dtype is DType.F32 else "d"
                accuracy = _ACCURACY.get(op, "u10")
                return _Callee(f"Sleef_{op}{letter}{width}_{accuracy}", width)
    return _Callee(op + ("f" if dtype is DType.F32 else ""), 1)


def _by_parts(name: str, callee: _Callee, arity: int, dtype: DType, lanes: int) -> Iterator[str]:
    """A loop over the parts of a value that the library takes, up to the result %r."""
    whole = types.vector(dtype, lanes)
    part = types.element(dtype) if callee.width == 1 else types.vector(dtype, callee.width)
    operands = NAMES[:arity]
    parameters = ", ".join(f"{whole} %{x}" for x in operands)
    arguments = ", ".join(f"{part} %{x}.part" for x in operands)
    yield f"declare {part} @{callee.name}({', '.join([part] * arity)})"
    yield ""
    yield f"define internal {whole} @{name}({parameters}) {{"
    yield "entry:"
    yield f"  %r.parts = alloca {whole}"
    for x in operands:
        yield f"  %{x}.parts = alloca {whole}"
        yield f"  store {whole} %{x}, ptr %{x}.parts"
    yield "  br label %part"
    yield "part:"
    yield "  %i = phi i64 [ 0, %entry ], [ %i.next, %part ]"
    for x in operands:
        yield f"  %{x}.at = getelementptr {part}, ptr %{x}.parts, i64 %i"
        yield f"  %{x}.part = load {part}, ptr %{x}.at"
    yield f"  %r.part = call {part} @{callee.name}({arguments})"
    yield f"  %r.at = getelementptr {part}, ptr %r.parts, i64 %i"
    yield f"  store {part} %r.part, ptr %r.at"
    yield "  %i.next = add i64 %i, 1"
    yield f"  %more = icmp ult i64 %i.next, {lanes // callee.width}"
    yield "  br i1 %more, label %part, label %done"
    yield "done:"
    yield f"  %r = load {whole}, ptr %r.parts"


_POWER = """\
define internal {t} @{name}({t} %x, {t} %y) {{
entry:
  %negative = icmp {less} {t} %y, zeroinitializer
  %count = select {b} %negative, {t} zeroinitializer, {t} %y
  br label %square
square:  ; x ** y by squaring, in all lanes until the last bit of any exponent
  %left = phi {t} [ %count, %entry ], [ %left.next, %square ]
  %base = phi {t} [ %x, %entry ], [ %base.next, %square ]
  %power = phi {t} [ splat ({e} 1), %entry ], [ %power.next, %square ]
  %odd = trunc {t} %left to {b}
  %product = mul {t} %power, %base
  %power.next = select {b} %odd, {t} %product, {t} %power
  %base.next = mul {t} %base, %base
  %left.next = lshr {t} %left, splat ({e} 1)
  %bits = call {e} @llvm.vector.reduce.or.{m}({t} %left.next)
  %more = icmp ne {e} %bits, 0
  br i1 %more, label %square, label %done
done:  ; a negative exponent leaves 1 of 1, 1 or -1 of -1, and 0 of all else
  %plain = icmp eq {t} %x, splat ({e} 1)
  %minus = icmp eq {t} %x, splat ({e} -1)
  %y.odd = trunc {t} %y to {b}
  %sign = select {b} %y.odd, {t} splat ({e} -1), {t} splat ({e} 1)
  %inverse.minus = select {b} %minus, {t} %sign, {t} zeroinitializer
  %inverse = select {b} %plain, {t} splat ({e} 1), {t} %inverse.minus
  %r = select {b} %negative, {t} %inverse, {t} %power.next
  ret {t} %r
}}"""


def power(name: str, dtype: DType, lanes: int) -> list[str]:
    """A function that raises integers to integers."""
    return _POWER.format(
        name=name,
        t=types.vector(dtype, lanes),
        b=types.vector(DType.BOOL, lanes),
        e=types.element(dtype),
        m=types.suffix(dtype, lanes),
        less="slt" if types.is_signed(dtype) else "ult",
    ).splitlines()


_SIGMOID = """\
define internal {t} @{name}({t} %x) {{
  %minus = fneg {t} %x
  %power = call {t} @exp_{dtype}({t} %minus)
  %sum = fadd {t} %power, {one}
  %r = fdiv {t} {one}, %sum
  ret {t} %r
}}"""


def sigmoid(name: str, dtype: DType, lanes: int) -> list[str]:
    """A function that computes 1 / (1 + e**-x), PyTorch's formula; it calls @exp_<dtype>."""
    one = types.literal(1.0, dtype)
    whole = types.vector(dtype, lanes)
    return _SIGMOID.format(name=name, t=whole, dtype=dtype.value, one=one).splitlines()
