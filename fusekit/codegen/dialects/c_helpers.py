"""Small functions that generated C++ and CUDA C++ lean on, where an operator does not do.

Text names what it calls, so what a kernel needs is found by reading it: `required` returns the
helpers that some text calls, each after those that it calls itself.
"""

from __future__ import annotations

import dataclasses
import re
import textwrap
from collections.abc import Iterator, Mapping

__all__ = ["HELPERS", "Helper", "called", "required"]


@dataclasses.dataclass(frozen=True, slots=True)
class Helper:
    """One function or type.

    Attributes:
        head: its signature, or all of it for a type.
        body: its statements, one a line; none for a type.
        template: the template's parameters, or "" for an ordinary function.
        note: what it does, if its name does not say it.
    """

    head: str
    body: str = ""
    template: str = ""
    note: str = ""

    def lines(self, inline: str) -> Iterator[str]:
        """Its text, with the target's word for a function that is to be inlined."""
        if self.note:
            yield f"// {self.note}"
        if not self.body:
            yield from f"{self.head};".splitlines()
            return
        if self.template:
            yield f"template <{self.template}>"
        yield f"{inline} {self.head} {{"
        yield from (f"  {line}" for line in textwrap.dedent(self.body).strip().splitlines())
        yield "}"

    def needs(self) -> set[str]:
        """The names in it that may be another one's: not those of parameters and variables."""
        parameters = _PARAMETER.findall(self.head) if self.body else ()
        return called(self.head + self.body) - {*parameters, *_VARIABLE.findall(self.body)}


_NAME = re.compile(r"\b[a-z]\w*\b")
_PARAMETER = re.compile(r"[\s*&](\w+)(?: = \w+)?(?=[,)])")
_VARIABLE = re.compile(r"\b\w+ (\w+) = ")


def called(text: str) -> set[str]:
    """The names in `text` that may be a function's or a type's."""
    return set(_NAME.findall(text))


def required(text: str, helpers: Mapping[str, Helper]) -> list[str]:
    """The helpers that `text` needs, directly or not, in an order that defines before use."""
    found: dict[str, None] = {}

    def visit(name: str) -> None:
        for other in sorted(helpers[name].needs() & helpers.keys() - {name}):
            visit(other)
        found.setdefault(name)

    for name in sorted(called(text) & helpers.keys()):
        visit(name)
    return list(found)


_BITS = {
    "bits_as": Helper(
        "To bits_as(From x)",
        """
        To result;
        __builtin_memcpy(&result, &x, sizeof(result));
        return result;
        """,
        "class To, class From",
    ),
    "shl": Helper(
        "T shl(T x, T y)",
        """
        const T width = 8 * sizeof(T);
        return y >= 0 && y < width ? T(x << (y & (width - 1))) : T(0);
        """,
        "class T",
    ),
    "shr": Helper(
        "T shr(T x, T y)",
        """
        const T width = 8 * sizeof(T);
        return y >= 0 && y < width ? T(x >> (y & (width - 1))) : T(x < 0 ? -1 : 0);
        """,
        "class T",
    ),
}

# Integer division has two traps in hardware: by zero, which the kernel reports in its result, and
# of the lowest integer by -1, which wraps.
_INTEGER = {
    "truncdiv": Helper(
        "T truncdiv(T x, T y)",
        """
        if (y == 0) return 0;
        if (T(-1) < T(0) && y == T(-1)) return T(0) - x;
        return x / y;
        """,
        "class T",
    ),
    "truncmod": Helper("T truncmod(T x, T y)", "return x - truncdiv<T>(x, y) * y;", "class T"),
    "floordiv": Helper(
        "T floordiv(T x, T y)",
        """
        const T quotient = truncdiv<T>(x, y);
        const T rest = x - quotient * y;
        return rest != 0 && (rest < 0) != (y < 0) ? quotient - 1 : quotient;
        """,
        "class T",
    ),
    "floormod": Helper(
        "T floormod(T x, T y)",
        """
        const T rest = truncmod<T>(x, y);
        return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
        """,
        "class T",
    ),
    "ipow": Helper(
        "T ipow(T x, T y)",
        """
        if (y < 0) return x == 1 ? 1 : x == T(-1) ? ((y & 1) != 0 ? -1 : 1) : 0;
        T result = 1;
        for (; y != 0; y >>= 1, x *= x) {
          if ((y & 1) != 0) result *= x;
        }
        return result;
        """,
        "class T",
    ),
}

# Out of range, C++ leaves the result open; these give what x86 gives, which is what eager PyTorch
# shows there. NaN fails every comparison, so it is out of range too.
_CONVERSIONS = {
    "to_int32": Helper(
        "int32_t to_int32(F x)",
        """
        const bool fits = x > F(-2147483649.0) && x < F(2147483648.0);
        const int32_t whole = int32_t(fits ? x : F(0));
        return fits ? whole : INT32_MIN;
        """,
        "class F",
    ),
    "to_int64": Helper(
        "int64_t to_int64(F x)",
        """
        const bool fits = x >= F(-9223372036854775808.0) && x < F(9223372036854775808.0);
        const int64_t whole = int64_t(fits ? x : F(0));
        return fits ? whole : INT64_MIN;
        """,
        "class F",
    ),
    "to_uint64": Helper(
        "uint64_t to_uint64(F x)",
        """
        const F half = F(9223372036854775808.0);
        return x < half || x != x ? to_int64<F>(x) : to_int64<F>(x - half) ^ INT64_MIN;
        """,
        "class F",
    ),
}

# Enumerations, because the compilers vectorise them like integers, which they do not do to structs.
_HALVES = {
    "half_t": Helper("enum class half_t : uint16_t {}"),
    "bfloat_t": Helper("enum class bfloat_t : uint16_t {}"),
    "half_to_float": Helper(
        "float half_to_float(half_t x)",
        """
        const uint32_t bits = uint16_t(x);
        const uint32_t magnitude = bits & 0x7fffu;
        const uint32_t rebias = magnitude >= 0x7c00u ? 224u << 23 : 112u << 23;
        const uint32_t normal = (magnitude << 13) + rebias;
        const float small = bits_as<float>(magnitude | 0x3f000000u) - 0.5f;
        const uint32_t result = magnitude < 0x400u ? bits_as<uint32_t>(small) : normal;
        return bits_as<float>(result | (bits & 0x8000u) << 16);
        """,
    ),
    "float_to_half": Helper(
        "half_t float_to_half(float x)",
        """
        const uint32_t bits = bits_as<uint32_t>(x);
        const uint32_t magnitude = bits & 0x7fffffffu;
        const uint32_t large = magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u;
        const uint32_t normal = (magnitude - (112u << 23) + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
        const uint32_t small = bits_as<uint32_t>(bits_as<float>(magnitude) + 0.5f) - 0x3f000000u;
        const uint32_t finite = magnitude < 0x38800000u ? small : normal;
        const uint32_t result = magnitude >= 0x47800000u ? large : finite;
        return half_t{uint16_t(result | bits >> 16 & 0x8000u)};
        """,
        note="to the nearest, halves to even",
    ),
    "bfloat_to_float": Helper(
        "float bfloat_to_float(bfloat_t x)", "return bits_as<float>(uint32_t(x) << 16);"
    ),
    "float_to_bfloat": Helper(
        "bfloat_t float_to_bfloat(float x)",
        """
        const uint32_t bits = bits_as<uint32_t>(x);
        const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
        return bfloat_t{uint16_t(x != x ? 0x7fc0u : rounded)};
        """,
        note="to the nearest, halves to even",
    ),
}

HELPERS: Mapping[str, Helper] = {**_BITS, **_INTEGER, **_CONVERSIONS, **_HALVES}
"""Every helper, by name."""
