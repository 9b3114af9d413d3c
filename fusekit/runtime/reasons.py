"""Why the operators left outside were left outside, as values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fusekit.frontends.seeds import is_seed
from fusekit.ir import Node
from fusekit.runtime.program import Program
from fusekit.specs import Decline, Reason

__all__ = ["decline_of", "declines", "exhausted", "failure_of", "text_of"]


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
    return obstacles.get(node.site) or Decline(Reason.OPAQUE_OP, "", node.origin, node.loc)


def exhausted(error: BaseException) -> Decline:
    """What it means that preparing kernels ended in this error, which is none of the function's."""
    return Decline(Reason.EXHAUSTED, text_of(error))


def text_of(error: BaseException) -> str:
    """An error in a line, for a decline's detail."""
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def failure_of(reason: Reason, nodes: Iterable[Node], detail: str) -> Decline:
    """What it means that the kernel of these nodes reported a fault."""
    if reason is not Reason.TRAP:
        return Decline(reason, detail)
    node = next((node for node in nodes if node.row.traps), None)
    if node is None:
        return Decline(reason, detail)
    advice = "keep the divisor from being 0: torch.where(b == 0, 1, b)"
    if "bernoulli" in node.origin or "dropout" in node.origin:
        advice = "keep the probability within 0 and 1: p.clamp(0, 1)"
    return Decline(reason, detail, node.origin, node.loc, advice)
