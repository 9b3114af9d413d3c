"""The levels of x86-64, as its ABI defines them (x86-64 psABI, "Micro-Architecture Levels")."""

from __future__ import annotations

from fusekit.codegen import Target

__all__ = ["X86_INSTRUCTIONS", "X86_LEVELS"]

_V2 = "+cx16,+popcnt,+sahf,+sse3,+sse4.1,+sse4.2,+ssse3"
_V3 = f"{_V2},+avx,+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe"
_V4 = f"{_V3},+avx512bw,+avx512cd,+avx512dq,+avx512f,+avx512vl"

X86_LEVELS = (
    Target("x86-64-v2", _V2, vector_bytes=16),
    Target("x86-64-v3", _V3, vector_bytes=32),
    Target("x86-64-v4", _V4, vector_bytes=64),
)
"""Under the names that LLVM and g++ know them by."""

X86_INSTRUCTIONS = {"x86-64-v2": "SSE4", "x86-64-v3": "AVX2", "x86-64-v4": "AVX-512"}
"""What people call them."""
