"""Why the operators left outside were left outside, as values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from fusekit.frontends.seeds import is_seed
from fusekit.ir import Node
from fusekit.runtime.program import Program
from fusekit.specs import Decline, Reason

__all__ = ["decline_of", "declines"]


_SEED = "one seed a call, by PyTorch's generator; kernels draw from it"


def declines(program: Program) -> tuple[Decline, ...]:
    """One for each operator that PyTorch runs between the kernels, in order."""
    obstacles = program.capture.obstacles
    return tuple(decline_of(obstacles, node) for node in program.graph.nodes if node.op == "call")


def decline_of(obstacles: Mapping[int, Decline], node: Node) -> Decline:
    """Why a call node is one, by what its capture noted."""
    if is_seed(node):
        advice = "nothing to do: torch.manual_seed decides it"
        return Decline(Reason.RANDOM, _SEED, node.origin, node.loc, advice)
    noted = obstacles.get(node.site) or Decline(Reason.OPAQUE_OP)
    return dataclasses.replace(noted, op=node.origin, loc=node.loc)
