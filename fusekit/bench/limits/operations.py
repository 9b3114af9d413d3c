"""How much arithmetic a graph is: operations for one element, counted as additions."""

from __future__ import annotations

import functools

from fusekit import vecmath
from fusekit.ir import OPS, DType, Graph
from fusekit.vecmath import rare

__all__ = ["cost_of", "operations_of"]

_FMA = 2
"""A multiplication and an addition: what peak figures count, too."""


@functools.cache
def cost_of(op: str, dtype: DType) -> int:
    """Operations of one op on one element of `dtype`.

    Functions that are computed by an expression of ours cost what its ops cost, without those for
    rare operands; all others, the row's `flops` of the op table.
    """
    if op == "fma":
        return _FMA
    made = vecmath.function(op, dtype)
    if made is None:
        return OPS[op].flops
    apart = rare.parts(made)
    return operations_of(apart.usual if apart else made)


def operations_of(graph: Graph) -> int:
    """Operations for one element of what a graph computes."""
    return sum(cost_of(node.op, graph.dtype(node.inputs[0])) for node in graph.nodes if node.inputs)
