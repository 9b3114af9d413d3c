"""Small functions that generated CUDA C++ leans on; what NVRTC has no header for is PTX."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from fusekit.codegen.dialects.c_helpers import HELPERS, Helper

__all__ = ["CUDA_HELPERS", "typedefs"]

_TYPES: Mapping[str, str] = {
    "int8_t": "signed char",
    "uint8_t": "unsigned char",
    "int16_t": "short",
    "uint16_t": "unsigned short",
    "int32_t": "int",
    "uint32_t": "unsigned int",
    "int64_t": "long long",
    "uint64_t": "unsigned long long",
}


def typedefs(text: str) -> Iterator[str]:
    """Declarations of the integer types that `text` names."""
    for name, meaning in _TYPES.items():
        if re.search(rf"\b{name}\b", text):
            yield f"typedef {meaning} {name};"


_BITS = {
    "bits_as": Helper(
        "To bits_as(From x)",
        """
        To result;
        memcpy(&result, &x, sizeof(result));
        return result;
        """,
        "class To, class From",
    ),
    "divide": Helper(
        "uint32_t divide(uint32_t x, uint32_t factor, uint32_t shift)",
        "return uint32_t(uint64_t(x) * factor >> shift);",
        note="x / d for x below 2^31, with factor = ceil(2^shift / d)",
    ),
}

_VECTORS = {
    "pack": Helper("template <class T, int N> struct alignas(sizeof(T) * N) pack { T at[N]; }"),
    "load": Helper(
        "pack<T, N> load(const T* from, uint32_t left = N)",
        """
        if (left >= N) return *reinterpret_cast<const pack<T, N>*>(from);
        pack<T, N> result;
        #pragma unroll
        for (int i = 0; i < N; ++i) result.at[i] = i < left ? from[i] : T();
        return result;
        """,
        "int N, class T",
    ),
    "store": Helper(
        "void store(T* to, const pack<T, N>& from, uint32_t left = N)",
        """
        if (left >= N) {
          *reinterpret_cast<pack<T, N>*>(to) = from;
          return;
        }
        #pragma unroll
        for (int i = 0; i < N; ++i) {
          if (i < left) to[i] = from.at[i];
        }
        """,
        "class T, int N",
    ),
}

# float to half and back are single instructions; NaN comes out as some NaN.
_HALVES = {
    "half_to_float": Helper(
        "float half_to_float(half_t x)",
        """
        float result;
        asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(uint16_t(x)));
        return result;
        """,
    ),
    "float_to_half": Helper(
        "half_t float_to_half(float x)",
        """
        uint16_t result;
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result) : "f"(x));
        return half_t(result);
        """,
    ),
    "bfloat_to_float": Helper(
        "float bfloat_to_float(bfloat_t x)", "return __int_as_float(int32_t(uint16_t(x)) << 16);"
    ),
    "float_to_bfloat": Helper(
        "bfloat_t float_to_bfloat(float x)",
        """
        uint16_t result;
        asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result) : "f"(x));
        return bfloat_t(result);
        """,
    ),
}

# As vecmath's, but with words of 32 bits. NVVM makes a product of 64 bits of theirs unless told.
_RANDOM = {
    "product": Helper(
        "uint64_t product(uint32_t x, uint32_t y)",
        """
        uint64_t result;
        asm("mul.wide.u32 %0, %1, %2;" : "=l"(result) : "r"(x), "r"(y));
        return result;
        """,
    ),
    "philox_i64": Helper(
        "int64_t philox_i64(int64_t seed, int64_t index, int64_t draw)",
        """
        uint32_t a = uint32_t(index), b = uint32_t(index >> 32);
        uint32_t c = uint32_t(draw), d = uint32_t(draw >> 32);
        uint32_t key0 = uint32_t(seed), key1 = uint32_t(seed >> 32);
        #pragma unroll
        for (int round = 0; round < 10; ++round) {
          const uint64_t x = product(a, 0xD2511F53u), y = product(c, 0xCD9E8D57u);
          a = uint32_t(y >> 32) ^ b ^ key0;
          b = uint32_t(y);
          c = uint32_t(x >> 32) ^ d ^ key1;
          d = uint32_t(x);
          key0 += 0x9E3779B9u;
          key1 += 0xBB67AE85u;
        }
        return int64_t(uint64_t(b) << 32 | a);
        """,
        note="Philox4x32-10: words 0 and 1 of the counter (index, draw) under the key seed",
    ),
}

CUDA_HELPERS: Mapping[str, Helper] = {**HELPERS, **_BITS, **_VECTORS, **_HALVES, **_RANDOM}
"""Every helper, by name."""
