"""Float32 transcendental functions as IR graphs over basic arithmetic.

Every function is branch-free and uses only const, cast, bitcast, select, + - * / fma neg abs
copysign round sqrt, bit operations and comparisons, so each dialect emits it as a helper function
that its compiler vectorises. Multiplication and addition are contracted nowhere but in `fma` nodes.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Mapping

from fusekit.ir import OPS, DType, Graph, GraphBuilder
from fusekit.vecmath import error, exponential, hyperbolic, logarithm
from fusekit.vecmath.expression import Expr

__all__ = ["FUNCTIONS", "function", "functions"]

FUNCTIONS: Mapping[str, Callable[..., Expr]] = types.MappingProxyType(
    {
        "erf": error.erf,
        "exp": exponential.exp,
        "exp2": exponential.exp2,
        "expm1": exponential.expm1,
        "log": logarithm.log,
        "sigmoid": exponential.sigmoid,
        "tanh": hyperbolic.tanh,
    }
)
"""Op name -> what builds its float32 version from as many float32 expressions as the op takes."""


def functions() -> tuple[str, ...]:
    """The ops that have a float32 version, sorted."""
    return tuple(sorted(FUNCTIONS))


@functools.cache
def function(op: str, dtype: DType) -> Graph | None:
    """The graph "<op>_f32": tensor inputs of shape None, one output; None where there is none.

    None means the library: float64 always, and float32 for ops absent from `FUNCTIONS`.
    """
    if op not in FUNCTIONS or dtype is not DType.F32:
        return None
    builder = GraphBuilder(f"{op}_{dtype.value}")
    operands = [Expr(builder, builder.input(dtype)) for _ in range(OPS[op].arity)]
    return builder.finish([FUNCTIONS[op](*operands).id])
