"""Why the operators left outside were left outside, as values."""

from __future__ import annotations

import torch

from fusekit.frontends.aten import RULES
from fusekit.frontends.calls import name_of, resolve
from fusekit.frontends.seeds import is_seed
from fusekit.ir import Graph, Node
from fusekit.runtime.program import Program
from fusekit.specs import Decline, Reason

__all__ = ["decline_of", "declines"]


_SEED = "one seed a call, by PyTorch's generator; kernels draw from it"


def declines(program: Program) -> tuple[Decline, ...]:
    """One for each operator that PyTorch runs between the kernels, in order."""
    return tuple(
        decline_of(program.graph, node) for node in program.graph.nodes if node.op == "call"
    )


def decline_of(graph: Graph, node: Node) -> Decline:
    """Why a call node is one."""
    if is_seed(node):
        return Decline(Reason.RANDOM, _SEED, node.origin, node.loc)
    func = resolve(str(node.attr("target")))
    values = [graph.values[i] for i in (*node.inputs, *node.outputs)]
    shapes = ", ".join(str(list(graph.values[i].shape or ())) for i in node.inputs)
    if torch.Tag.nondeterministic_seeded in func.tags:
        return Decline(Reason.RANDOM, f"on {shapes}" if shapes else "", node.origin, node.loc)
    if any(value.dtype is None for value in values):
        return Decline(Reason.UNSUPPORTED_DTYPE, "", node.origin, node.loc)
    detail = f"on {shapes}" if shapes else ""
    if name_of(func) in RULES or torch.Tag.pointwise in func.tags:
        detail = f"these arguments have no lowering, {detail}".rstrip(", ")
    return Decline(Reason.OPAQUE_OP, detail, node.origin, node.loc)
