"""IR functions compiled by the host's C++ compiler, beside float64 references from libm.

What makes a sweep over billions of inputs take minutes. It shares no code with the dialects that
fusekit emits, so it is also a second reading of the graphs.
"""

from __future__ import annotations

import ctypes
import dataclasses
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from fusekit.ir import DType, Graph, Node

_TYPES = {
    DType.BOOL: "bool",
    DType.U32: "uint32_t",
    DType.U64: "uint64_t",
    DType.I32: "int32_t",
    DType.I64: "int64_t",
    DType.F32: "float",
    DType.F64: "double",
}

_FORMS = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "and": "{0} & {1}",
    "or": "{0} | {1}",
    "xor": "{0} ^ {1}",
    "shl": "{0} << {1}",
    "shr": "{0} >> {1}",
    "eq": "{0} == {1}",
    "ne": "{0} != {1}",
    "lt": "{0} < {1}",
    "le": "{0} <= {1}",
    "gt": "{0} > {1}",
    "ge": "{0} >= {1}",
    "neg": "-{0}",
    "not": "!{0}",
    "isnan": "{0} != {0}",
    "select": "{0} ? {1} : {2}",
    "fma": "std::fma({0}, {1}, {2})",
    "abs": "std::fabs({0})",
    "copysign": "std::copysign({0}, {1})",
    "round": "std::rint({0})",
    "sqrt": "std::sqrt({0})",
}

_REFERENCES = {"sigmoid": "1 / (1 + std::exp(-x))"}

_SOURCE = """
#include <cmath>
#include <cstdint>
#include <cstring>
template <class To, class From> static inline To bits(From from) {{
    To to; std::memcpy(&to, &from, sizeof to); return to;
}}
static inline float function({parameters}) {{
{body}
}}
static inline double measure(float got, double want) {{
    float nearest = (float)want;
    if (std::isnan(got) && std::isnan(nearest)) return 0;
    if (got == nearest) {{
        if (std::signbit(got) != std::signbit(nearest)) return INFINITY;
        if (std::isinf(got) || got == want) return 0;
    }}
    double reach = 0x1p128, size = std::fabs(want);
    int exponent = std::ilogb(size < 0x1p-126 ? 0x1p-126 : size > 0x1p127 ? 0x1p127 : size);
    double as_double = std::isinf(got) ? std::copysign(reach, got) : got;
    double error = std::fabs(as_double - want) / std::ldexp(1.0, exponent - 23);
    return std::isnan(error) ? INFINITY : error;
}}
extern "C" void run(const float* xs, const float* ys, float* out, long n) {{
    for (long i = 0; i < n; ++i) {{ float x = xs[i]; float y = ys[i]; out[i] = function({call}); }}
}}
extern "C" void reference(const float* xs, const float* ys, double* out, long n) {{
    for (long i = 0; i < n; ++i) {{ double x = xs[i], y = ys[i]; (void)y; out[i] = {reference}; }}
}}
extern "C" double worst(const float* got, const double* want, long n, long* where) {{
    double most = 0;
    for (long i = 0; i < n; ++i) {{
        double error = measure(got[i], want[i]);
        if (error > most) {{ most = error; *where = i; }}
    }}
    return most;
}}
"""


@dataclasses.dataclass(frozen=True)
class Native:
    """One compiled function."""

    library: ctypes.CDLL

    def run(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        out = np.empty_like(x)
        self.library.run(_at(x), _at(y), _at(out), ctypes.c_long(len(x)))
        return out

    def reference(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        out = np.empty(len(x), np.float64)
        self.library.reference(_at(x), _at(y), _at(out), ctypes.c_long(len(x)))
        return out

    def worst(self, got: np.ndarray, want: np.ndarray) -> tuple[float, int]:
        """The largest error in ulp of the wanted result, and its index."""
        where = ctypes.c_long(0)
        most = self.library.worst(_at(got), _at(want), ctypes.c_long(len(got)), ctypes.byref(where))
        return most, where.value


def compile_function(graph: Graph) -> Native:
    """Build and load the graph "<op>_f32"; needs CXX or g++."""
    op = graph.name.removesuffix("_f32")
    call = ", ".join("xy"[: len(graph.inputs)])
    source = _SOURCE.format(
        parameters=", ".join(f"float v{i}" for i in graph.inputs),
        body="\n".join(f"    {_statement(node, graph)}" for node in graph.nodes)
        + f"\n    return v{graph.outputs[0]};",
        call=call,
        reference=_REFERENCES.get(op, f"std::{op}({call})"),
    )
    folder = Path(tempfile.mkdtemp(prefix="vecmath-"))
    (folder / "function.cpp").write_text(source)
    command = [os.environ.get("CXX", "g++"), "-std=c++17", "-O3", "-march=native"]
    command += ["-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC"]
    command += ["-mprefer-vector-width=512", "-o", "function.so", "function.cpp"]
    subprocess.run(command, cwd=folder, check=True)
    library = ctypes.CDLL(str(folder / "function.so"))
    library.worst.restype = ctypes.c_double
    return Native(library)


def _statement(node: Node, graph: Graph) -> str:
    dtype = graph.dtype(node.output)
    operands = [f"v{i}" for i in node.inputs]
    kind = _TYPES[dtype]
    if node.op == "const":
        text = _literal(node, dtype)
    elif node.op == "cast":
        text = f"({kind}){operands[0]}"
    elif node.op == "bitcast":
        text = f"bits<{kind}>({operands[0]})"
    else:
        text = _FORMS[node.op].format(*operands)
    return f"const {kind} v{node.output} = {text};"


def _literal(node: Node, dtype: DType) -> str:
    value = node.literal
    if not dtype.is_float:
        return f"({_TYPES[dtype]}){int(value)}ll"
    if value != value:  # a NaN
        return "NAN"
    return f"({_TYPES[dtype]}){float(value).hex()}".replace("inf", "INFINITY")


def _at(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
