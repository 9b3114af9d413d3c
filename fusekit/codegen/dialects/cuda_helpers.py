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

# A vector is held in words: in elements, the branch for the last vector would take it apart.
_VECTORS = {
    "pack": Helper(
        """\
template <int bytes> struct word { typedef uint32_t type; };
template <> struct word<2> { typedef uint16_t type; };
template <> struct word<1> { typedef uint8_t type; };

template <class T, int N> struct alignas(sizeof(T) * N) pack {
  typename word<sizeof(T) * N>::type words[(sizeof(T) * N + 3) / 4];
  __device__ T get(int i) const {
    T x;
    memcpy(&x, reinterpret_cast<const char*>(words) + i * sizeof(T), sizeof(T));
    return x;
  }
  __device__ void set(int i, T x) {
    memcpy(reinterpret_cast<char*>(words) + i * sizeof(T), &x, sizeof(T));
  }
}"""
    ),
    "load": Helper(
        "pack<T, N> load(const T* from, uint32_t left = N)",
        """
        pack<T, N> result;
        if (left >= N) {
          result = *reinterpret_cast<const pack<T, N>*>(from);
        } else {
          #pragma unroll
          for (int i = 0; i < N; ++i) result.set(i, i < left ? from[i] : T());
        }
        return result;
        """,
        "int N, class T",
        note="up to N elements at an aligned address",
    ),
    "store": Helper(
        "void store(T* to, const pack<T, N>& from, uint32_t left = N)",
        """
        if (left >= N) {
          *reinterpret_cast<pack<T, N>*>(to) = from;
        } else {
          #pragma unroll
          for (int i = 0; i < N; ++i) {
            if (i < left) to[i] = from.get(i);
          }
        }
        """,
        "class T, int N",
    ),
}

# Out of C++'s bounds (division by zero, of the least integer by -1) these give what the hardware
# gives, as the same expressions do in PyTorch's own kernels.
_INTEGER = {
    "truncdiv": Helper("T truncdiv(T x, T y)", "return x / y;", "class T"),
    "truncmod": Helper("T truncmod(T x, T y)", "return x % y;", "class T"),
    "floordiv": Helper(
        "T floordiv(T x, T y)",
        """
        if ((x < 0) == (y < 0)) return x / y;
        const T quotient = x / y;
        return x % y != 0 ? quotient - 1 : quotient;
        """,
        "class T",
    ),
    "floormod": Helper(
        "T floormod(T x, T y)",
        """
        const T rest = x % y;
        return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
        """,
        "class T",
    ),
    "ipow": Helper(
        "T ipow(T x, T y)",
        """
        if (y < 0) return x == 1 ? 1 : x == T(-1) ? ((y & 1) != 0 ? -1 : 1) : 0;
        uint64_t result = 1;
        for (uint64_t square = x; y != 0; y >>= 1, square *= square) {
          if ((y & 1) != 0) result *= square;
        }
        return T(result);
        """,
        "class T",
        note="unsigned, because signed products must not wrap",
    ),
    "negated": Helper(
        "int32_t negated(int32_t x)",
        """
        int32_t result;
        asm("neg.s32 %0, %1;" : "=r"(result) : "r"(x));
        return result;
        """,
        note="-x, but the compiler does not know: it takes abs to be positive",
    ),
    "negated_wide": Helper(
        "int64_t negated_wide(int64_t x)",
        """
        int64_t result;
        asm("neg.s64 %0, %1;" : "=l"(result) : "l"(x));
        return result;
        """,
    ),
}

_CONVERSIONS = {
    "to_int64": Helper(
        "int64_t to_int64(F x)",
        """
        const bool fits = x >= F(-9223372036854775808.0) && x < F(9223372036854775808.0);
        return fits ? int64_t(x) : int64_t(1ull << 63);
        """,
        "class F",
        note="as on x86; the hardware saturates",
    ),
    "small_to_float": Helper(
        "float small_to_float(uint32_t x)",
        "return __uint_as_float(0x4b000000u | x) - 8388608.0f;",
        note="of at most 23 bits; converting by hardware takes four times as long",
    ),
    "unknown": Helper(
        "T unknown(T x)",
        """
        int64_t y = x;
        asm volatile("" : "+l"(y));
        return T(y);
        """,
        "class T",
        note="x, but the compiler does not know: what dividing by zero gives it would make up",
    ),
}

# In registers a half is 16 bits, and a bfloat is the float that has the same value: rounding to it
# is one instruction, and back none. The scalar conversions would be four times slower than those of
# pairs, of which one half is not used here.
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
        uint32_t pair;
        asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(0.0f), "f"(x));
        return half_t(uint16_t(pair));
        """,
    ),
    "bfloat": Helper(
        "float bfloat(float x)",
        """
        uint32_t pair;
        asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(x), "f"(0.0f));
        return __uint_as_float(pair);
        """,
        note="rounded to the nearest bfloat16, halves to even",
    ),
    "unpacked": Helper(
        "float unpacked(bfloat_t x)", "return __uint_as_float(uint32_t(uint16_t(x)) << 16);"
    ),
    "lane_of": Helper(
        "float lane_of(const pack<bfloat_t, N>& from, int i)",
        """
        const uint32_t word = from.words[i / 2];
        return __uint_as_float(i % 2 != 0 ? word & 0xffff0000u : word << 16);
        """,
        "int N",
    ),
    "packed": Helper(
        "bfloat_t packed(float x)", "return bfloat_t(uint16_t(__float_as_uint(x) >> 16));"
    ),
}

# IEEE division takes a special unit twice and a branch. Where the reciprocal of the divisor can be
# had once for many elements, in two parts, a multiplication and an addition give the right quotient
# (Brisebarre, Muller, Raina, "Accelerating correctly rounded floating-point division when the
# divisor is known in advance", 2004; of 2^23 significands at most one was off, by an ulp, for each
# of 25 divisors tried). The parts have one sign, and the smaller is not 0, for the sake of -0 and
# infinities. `quick` is for quotients that are rounded to a half anyway.
_DIVISION = {
    "ratio": Helper("struct ratio { float high, low, scale; }"),
    "reciprocal": Helper(
        "ratio reciprocal(float y)",
        """
        const float size = fabsf(y);
        const float scale = size < 0x1p-64f ? 0x1p64f : size > 0x1p64f ? 0x1p-64f : 1.0f;
        y *= scale;
        float high = 1.0f / y;
        if (fmaf(-high, y, 1.0f) < 0.0f) high = __int_as_float(__float_as_int(high) - 1);
        const float low = fmaxf(fmaf(-high, y, 1.0f) * fabsf(high), 0x1p-126f);
        return {high, high == 0.0f ? 0.0f : copysignf(low, high), scale};
        """,
        note="1 / (y * scale) in two parts",
    ),
    "divided": Helper(
        "float divided(float x, ratio y)",
        "return fmaf(x, y.high, x * y.low) * y.scale;",
        note="x / y",
    ),
    "quick": Helper(
        "float quick(float x, float y)",
        """
        float result;
        asm("div.full.f32 %0, %1, %2;" : "=f"(result) : "f"(x), "f"(y));
        return result;
        """,
        note="x / y within 2 ulp",
    ),
}

# The exponent is a polynomial in |x|, fitted to log2(erfc(|x|)) on [0, 3.95] by Lawson iteration
# (largest relative error of the result 6e-6); where float32's erf is -1, so is this one.
_GELU = {
    "one_plus_erf": Helper(
        "float one_plus_erf(float x)",
        """
        const float t = fabsf(x);
        float p = -1.9840132e-05f;
        p = fmaf(p, t, 0.0004804035f);
        p = fmaf(p, t, -0.005197614f);
        p = fmaf(p, t, 0.033852991f);
        p = fmaf(p, t, -0.15236761f);
        p = fmaf(p, t, -0.9171116f);
        p = fmaf(p, t, -1.6280586f) * t;
        float tail;
        asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(tail) : "f"(p));
        tail = t > 3.919f ? 0.0f : tail;
        return x < 0.0f ? tail : 2.0f - tail;
        """,
        note="1 + erf(x), for what is rounded to a half anyway",
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
        "int64_t philox_i64(int64_t seed, int64_t block, int64_t draw, int64_t half)",
        """
        uint32_t a = uint32_t(block), b = uint32_t(block >> 32);
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
        return half == 0 ? int64_t(uint64_t(b) << 32 | a) : int64_t(uint64_t(d) << 32 | c);
        """,
        note="Philox4x32-10: two words of the counter (block, draw) under the key seed",
    ),
}

CUDA_HELPERS: Mapping[str, Helper] = {
    **HELPERS,
    **_BITS,
    **_VECTORS,
    **_INTEGER,
    **_CONVERSIONS,
    **_HALVES,
    **_DIVISION,
    **_GELU,
    **_RANDOM,
}
"""Every helper, by name."""
