"""Fills the ladder of a model: from eager to the final plan, one decision at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fusekit.config import current
from fusekit.fusion.decisions import Decision, Decisions, decisions
from fusekit.fusion.rules import Rules
from fusekit.ir import Graph
from fusekit.runtime.counterfactual import argument_limit
from fusekit.runtime.program import Program
from fusekit.runtime.traffic import bytes_of
from fusekit.viz.collect.boxes import Box
from fusekit.viz.model.schema import Model, Rung
from fusekit.viz.words import plural

__all__ = ["fill_ladder", "joins_in_a_rung"]

_MOST_NODES = 4000
"""Larger graphs are not divided once more for their ladder."""

_MOST_RUNGS = 120
"""More joins than these share rungs, equally many each."""


def fill_ladder(
    model: Model, program: Program, maker: Mapping[int, Box], rules: Rules | None
) -> None:
    """Fill `ladder`; `totals` and `ledger` are filled already."""
    graph = program.graph
    if not program.kernels or len(graph.nodes) > _MOST_NODES:
        return
    found = decisions(graph, argument_limit(program, current().max_arguments), rules)
    totals, ledger = model["totals"], model["ledger"]
    rungs = [_rung("eager", "every operator for itself", totals["eager_launches"], ledger["eager"])]
    calls, left = _left_to_pytorch(graph)
    rungs += _begun(rungs[0], found.kernels + calls, found.nbytes + left)
    rungs += _joined(found, maker, calls, rungs[-1]["bytes"])
    if found.recomputed:
        names = ", ".join(dict.fromkeys(_label(maker, value) for value in found.recomputed))
        text = f"{names}: computed again where it is read, not stored"
        launches, nbytes = found.kernels_after + calls, rungs[-1]["bytes"] - found.saved_again
        rungs.append(_rung("recompute", text, launches, nbytes))
    rungs += _bound(rungs[-1], totals["launches"], ledger["fused"])
    model["ladder"] = rungs


def _rung(kind: str, text: str, launches: int, nbytes: int) -> Rung:
    return Rung(kind=kind, text=text, joins=[], launches=launches, bytes=nbytes)  # type: ignore[typeddict-item]


def _left_to_pytorch(graph: Graph) -> tuple[int, int]:
    """How many operators stay calls, and what they read and write."""
    calls = [node for node in graph.nodes if node.op == "call" and not node.is_allocation]
    moved = (bytes_of(graph.values[i]) for node in calls for i in (*node.inputs, *node.outputs))
    return len(calls), sum(moved)


def _begun(eager: Rung, launches: int, nbytes: int) -> list[Rung]:
    """What simplification did before the first decision, if it did anything."""
    if (launches, nbytes) == (eager["launches"], eager["bytes"]):
        return []
    text = "what repeats is computed once, views and casts are free"
    return [_rung("capture", text, launches, nbytes)]


def _joined(found: Decisions, maker: Mapping[int, Box], calls: int, nbytes: int) -> list[Rung]:
    each = joins_in_a_rung(found)
    rungs = []
    for start in range(0, len(found.joins), each):
        some = found.joins[start : start + each]
        nbytes -= sum(decision.saved for decision in some)
        rung = _rung("join", _said(some, maker), some[-1].kernels + calls, nbytes)
        ends = ((maker.get(x.one), maker.get(x.other)) for x in some)
        rung["joins"] = [[one.id, other.id] for one, other in ends if one and other]
        rungs.append(rung)
    return rungs


def joins_in_a_rung(found: Decisions) -> int:
    """How many decisions share a step of the ladder."""
    return -(-len(found.joins) // _MOST_RUNGS) or 1


def _said(some: Sequence[Decision], maker: Mapping[int, Box]) -> str:
    if len(some) == 1:
        return f"{_label(maker, some[0].one)} joins {_label(maker, some[0].other)}"
    last = f"the last of {_label(maker, some[-1].one)} and {_label(maker, some[-1].other)}"
    return f"{plural(len(some), 'join')}, {last}"


def _label(maker: Mapping[int, Box], value: int) -> str:
    return maker[value].label if value in maker else f"%{value}"


def _bound(last: Rung, launches: int, nbytes: int) -> list[Rung]:
    """What binding did after the last decision, if it did anything."""
    rungs = []
    if nbytes != last["bytes"]:
        text = "what lies at one place in memory is loaded once"
        rungs.append(_rung("bind", text, last["launches"], nbytes))
    if launches != last["launches"]:
        text = "kernels that do the same run in one launch; those without elements in none"
        rungs.append(_rung("batch", text, launches, nbytes))
    return rungs
