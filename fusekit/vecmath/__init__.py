"""Float32 transcendental functions, and random bits, as IR graphs over basic arithmetic.

Every function uses only const, cast, bitcast, select, rarely, + - * / fma neg abs copysign round
sqrt, bit operations and comparisons, and lookup where the dialect is good at that. So each dialect
emits it as a helper function that its compiler vectorises. Multiplication and addition are
contracted nowhere but in `fma` nodes.

A function may end in `rarely`: what few operands need is then no part of a kernel's loop, where the
dialect knows how to leave it out. All others take the same time for all operands.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Mapping

from fusekit.ir import OPS, DType, Graph, GraphBuilder
from fusekit.vecmath import (
    error,
    exponential,
    hyperbolic,
    inverse_trigonometric,
    logarithm,
    philox,
    power,
    tabled,
    trigonometric,
)
from fusekit.vecmath.expression import Expr

__all__ = ["FUNCTIONS", "function", "functions"]

FUNCTIONS: Mapping[str, Callable[..., Expr]] = types.MappingProxyType(
    {
        "acos": inverse_trigonometric.acos,
        "acosh": hyperbolic.acosh,
        "asin": inverse_trigonometric.asin,
        "asinh": hyperbolic.asinh,
        "atan": inverse_trigonometric.atan,
        "atan2": inverse_trigonometric.atan2,
        "atanh": hyperbolic.atanh,
        "cos": trigonometric.cos,
        "cosh": hyperbolic.cosh,
        "erf": error.erf,
        "erfc": error.erfc,
        "exp": exponential.exp,
        "exp2": exponential.exp2,
        "expm1": exponential.expm1,
        "hypot": power.hypot,
        "log": logarithm.log,
        "log10": logarithm.log10,
        "log1p": logarithm.log1p,
        "log2": logarithm.log2,
        "pow": power.power,
        "sigmoid": exponential.sigmoid,
        "sin": trigonometric.sin,
        "sinh": hyperbolic.sinh,
        "tan": trigonometric.tan,
        "tanh": hyperbolic.tanh,
    }
)
"""Op name -> what builds its float32 version from as many float32 expressions as the op takes."""


INTEGER_FUNCTIONS: Mapping[str, Callable[..., Expr]] = types.MappingProxyType(
    {"philox": philox.philox}
)
"""The same for functions of int64."""


_WIDENED: Mapping[str, Callable[..., Expr]] = types.MappingProxyType({"lgamma": error.lgamma})
"""Float32 functions that are the library's of float64, rounded."""


def functions() -> tuple[str, ...]:
    """The ops that have a float32 version, sorted."""
    return tuple(sorted(FUNCTIONS))


_BY_DTYPE: Mapping[DType, Mapping[str, Callable[..., Expr]]] = {
    DType.F32: {**FUNCTIONS, **_WIDENED},
    DType.I64: INTEGER_FUNCTIONS,
}


@functools.cache
def function(op: str, dtype: DType, *, tables: bool = False) -> Graph | None:
    """The graph "<op>_<dtype>": tensor inputs of shape None, one output; None where there is none.

    None means the dialect's own spelling, or the library: float64 always, and float32 for ops
    absent from `FUNCTIONS`. With `tables`, a function may look numbers up.
    """
    made = _BY_DTYPE.get(dtype, {}).get(op)
    if tables and dtype is DType.F32:
        made = tabled.FUNCTIONS.get(op, made)
    if made is None:
        return None
    builder = GraphBuilder(f"{op}_{dtype.value}")
    operands = [Expr(builder, builder.input(dtype)) for _ in range(OPS[op].arity)]
    return builder.finish([made(*operands).id])
