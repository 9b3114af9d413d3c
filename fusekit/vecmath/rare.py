"""Functions that end in `rarely`, taken apart into what is computed always and what seldom is."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from fusekit.ir import Graph

__all__ = ["Parts", "parts"]


@dataclasses.dataclass(frozen=True, slots=True)
class Parts:
    """Two graphs of the function's own inputs.

    Attributes:
        usual: its outputs are the condition, and the result where that does not hold.
        rare: its output is the result where it does.
    """

    usual: Graph
    rare: Graph


def parts(function: Graph) -> Parts | None:
    """The parts of a function; None for one that does not end in `rarely`."""
    last = function.nodes[-1]
    if last.op != "rarely":
        return None
    condition, then, otherwise = last.inputs
    return Parts(
        usual=_up_to(function, (condition, otherwise)),
        rare=dataclasses.replace(_up_to(function, (then,)), name=f"{function.name}.rare"),
    )


def _up_to(function: Graph, outputs: Sequence[int]) -> Graph:
    """The nodes that some values of a function depend on, and those values as its outputs."""
    needed = set(outputs)
    kept = []
    for node in reversed(function.nodes):
        if not needed.isdisjoint(node.outputs):
            kept.append(node)
            needed.update(node.inputs)
    return dataclasses.replace(function, nodes=tuple(reversed(kept)), outputs=tuple(outputs))
