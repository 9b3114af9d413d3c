"""Whether a program records gradients, and whether the fused backward serves them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from fusekit.errors import FusionDeclined
from fusekit.frontends.free import Free
from fusekit.frontends.seeds import is_seed
from fusekit.runtime.program import Program
from fusekit.specs import Decline, Reason

__all__ = ["check_differentiable", "frees", "requires_grad"]


def frees(program: Program) -> tuple[Free, ...]:
    """What the function reads from outside: tensors, then all else."""
    found = program.capture
    return (*(s.free for s in found.sources if s.free is not None), *found.guards)


def requires_grad(program: Program, leaves: Sequence[Any]) -> bool:
    """True if an argument, or a tensor that the function closes over, requires a gradient."""
    tensors = [
        x
        for x in (*leaves, *(free.value for free in frees(program)))
        if isinstance(x, torch.Tensor)
    ]
    return any(tensor.requires_grad for tensor in tensors)


def check_differentiable(program: Program) -> None:
    """FusionDeclined where eager autograd serves better, or is the only way."""
    nodes = (node for node in program.graph.nodes if node.op == "call")
    calls = [node for node in nodes if not (is_seed(node) or node.is_sum)]
    if calls:
        node = calls[0]
        raise FusionDeclined(Decline(Reason.GRADIENT, f"{node.origin}", node.origin, node.loc))
    if program.writes:
        raise FusionDeclined(Decline(Reason.GRADIENT, "an argument is written in place"))
    if any(s.free is not None and s.free.value.requires_grad for s in program.capture.sources):
        raise FusionDeclined(Decline(Reason.GRADIENT, "a tensor that the function closes over"))
    if any(r.leaf is not None for r in program.capture.results):
        raise FusionDeclined(Decline(Reason.GRADIENT, "an argument is returned as it is"))
