"""The byte ledger: what each tensor costs in memory traffic, operator by operator and fused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from fusekit.ir import Graph, Node
from fusekit.runtime.program import Program
from fusekit.runtime.traffic import bytes_of, operators
from fusekit.viz.model.schema import Ledger, LedgerRow

__all__ = ["eager_launches", "ledger"]


def eager_launches(graph: Graph) -> int:
    """Operators that eager PyTorch would launch: all but views."""
    return len(operators(graph))


def ledger(program: Program, names: dict[int, str], values: Mapping[object, int]) -> Ledger:
    """Every tensor that eager PyTorch would move.

    Args:
        program: what runs.
        names: of the captured inputs.
        values: ("input", its place) or ("site", its number in the trace) -> the view's value.
    """
    traced = program.capture.graph
    eager = _eager_traffic(traced)
    fused = _fused_traffic(program)
    rows = []
    for value, nbytes in eager.items():
        node = traced.producers.get(value)
        if node is None:
            key: object = ("input", traced.inputs.index(value))
            name = names.get(value, f"%{value}")
        else:
            key = ("site", node.site)
            name = _label(node)
        spent = fused.pop(key, 0)
        found = traced.values[value]
        rows.append(
            LedgerRow(
                name=name,
                shape=list(found.shape or ()),
                dtype=found.dtype.value if found.dtype else "",
                eager=nbytes,
                fused=spent,
                removed=spent == 0,
                value=values.get(key),
            )
        )
    return Ledger(
        rows=rows,
        eager=sum(row["eager"] for row in rows),
        fused=sum(row["fused"] for row in rows) + sum(fused.values()),
        floor=_floor(traced),
    )


def _label(node: Node) -> str:
    parts = node.origin.split(".")
    return parts[1] if len(parts) > 1 else node.origin or node.op


def _eager_traffic(graph: Graph) -> dict[int, int]:
    """Value -> bytes written once by its operator and read once by every operator that uses it."""
    traffic: Counter[int] = Counter()
    for operator in operators(graph):
        for value in operator.reads:
            traffic[graph.viewed(value)] += bytes_of(graph.values[value])
        for value in operator.writes:
            traffic[value] += bytes_of(graph.values[value])
    order = [*graph.inputs, *(out for node in graph.nodes for out in node.outputs)]
    return {value: traffic[value] for value in order if traffic[value]}


def _fused_traffic(program: Program) -> Counter[object]:
    """Input or site of the trace -> bytes that kernels and calls move for it."""
    graph = program.graph
    traffic: Counter[object] = Counter()
    for call in program.kernels:
        for place, nbytes in call.traffic():
            traffic[_key(program, place.base)] += nbytes
    for node in graph.nodes:
        if node.op == "call":
            for value in (*node.inputs, *node.outputs):
                traffic[_key(program, value)] += bytes_of(graph.values[value])
    return traffic


def _key(program: Program, value: int) -> object:
    value = program.graph.viewed(value)
    node = program.graph.producers.get(value)
    if node is None:
        return ("input", program.graph.inputs.index(value))
    return ("site", node.site)


def _floor(graph: Graph) -> int:
    used = {graph.viewed(i) for node in graph.nodes for i in node.inputs}
    ends = [i for i in graph.tensor_inputs if i in used]
    ends += [graph.viewed(i) for i in dict.fromkeys(graph.outputs)]
    return sum(graph.values[i].nbytes for i in ends)
