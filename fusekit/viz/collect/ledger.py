"""The byte ledger: what each tensor costs in memory traffic, operator by operator and fused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping

from fusekit.ir import Graph, Node
from fusekit.runtime.program import Program
from fusekit.runtime.traffic import bytes_of, operators
from fusekit.viz.model.schema import Ledger, LedgerRow

__all__ = ["add_row", "eager_launches", "ledger"]


def eager_launches(graph: Graph) -> int:
    """Operators that eager PyTorch would launch: all but views."""
    return len(operators(graph))


def ledger(
    program: Program,
    names: dict[int, str],
    values: Mapping[object, int],
    memory: Mapping[int, Hashable],
) -> tuple[Ledger, list[Hashable]]:
    """Every tensor that eager PyTorch would move, and where each row's lies (None if unknown).

    Args:
        program: what the call runs.
        names: of the captured inputs.
        values: ("input", its place) or ("site", its number in the trace) -> the view's value.
        memory: where values of the captured graph lie; those at one place are one tensor.
    """
    traced = program.capture.graph
    fused = _fused_traffic(program)
    rows: dict[Hashable, LedgerRow] = {}
    for value, nbytes in _eager_traffic(traced).items():
        node = traced.producers.get(value)
        if node is None:
            key: object = ("input", traced.inputs.index(value))
            name = names.get(value, f"%{value}")
        else:
            key = ("site", node.site)
            name = _label(node)
        found = traced.values[value]
        row = LedgerRow(
            name=name,
            shape=list(found.shape or ()),
            dtype=found.dtype.value if found.dtype else "",
            eager=nbytes,
            fused=fused.pop(key, 0),
            removed=False,
            value=values.get(key),
        )
        add_row(rows, memory.get(value, value), row)
    made = Ledger(
        rows=list(rows.values()),
        eager=sum(row["eager"] for row in rows.values()),
        fused=sum(row["fused"] for row in rows.values()) + sum(fused.values()),
        floor=_floor(traced, memory),
    )
    known = set(memory.values())
    return made, [place if place in known else None for place in rows]


def add_row(rows: dict[Hashable, LedgerRow], place: Hashable, row: LedgerRow) -> None:
    """Take in a row, or what it moves where its tensor has one already."""
    same = rows.setdefault(place, row)
    if same is not row:
        same["eager"] += row["eager"]
        same["fused"] += row["fused"]
        same["value"] = row["value"] if same["value"] is None else same["value"]
    same["removed"] = same["fused"] == 0


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


def _floor(graph: Graph, memory: Mapping[int, Hashable]) -> int:
    """Inputs read once and outputs written once, each place in memory once."""
    used = {graph.viewed(i) for node in graph.nodes for i in node.inputs}
    inputs = [i for i in graph.tensor_inputs if i in used]
    outputs = [graph.viewed(i) for i in graph.outputs]
    kept = ({memory.get(i, i): i for i in ends}.values() for ends in (inputs, outputs))
    return sum(graph.values[i].nbytes for ends in kept for i in ends)
