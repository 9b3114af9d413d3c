"""What a partition moves through memory, counted apart from the cost model that made it."""

from __future__ import annotations

from fusekit.fusion import Group, Partition
from fusekit.ir import Graph
from fusekit.runtime.program import places_of

__all__ = ["check", "moved"]


def moved(divided: Partition) -> int:
    """Bytes of distinct elements that all groups load and store; values at one place count once."""
    graph = divided.graph
    places = places_of(graph)
    total = 0
    for group in divided.groups:
        in_memory = [
            i for i in group.inputs if i in places and not _is_index(graph, places[i].base)
        ]
        loads = {(places[i], graph.dtype(i)) for i in in_memory}
        stores = [(places[i], graph.dtype(i)) for i in group.outputs]
        total += sum(place.footprint * dtype.itemsize for place, dtype in (*loads, *stores))
    return total


def _is_index(graph: Graph, value: int) -> bool:
    return value in graph.producers and graph.producers[value].op == "index"


def check(divided: Partition) -> None:
    """Every step finds what it reads, computes what it promises, and all results are there."""
    graph = divided.graph
    there = set(graph.inputs)
    for position, step in enumerate(divided.steps):
        assert there.issuperset(step.inputs), f"step {position} reads what is not there yet"
        if isinstance(step, Group):
            known = set(step.inputs)
            for node in step.nodes:
                assert node.is_pointwise
                assert known.issuperset(node.inputs)
                known.add(node.output)
            assert step.outputs
            assert known.issuperset(step.outputs)
            assert there.isdisjoint(step.outputs), "stored twice"
        there.update(step.outputs)
    assert there.issuperset(graph.outputs)
    opaque = [step for step in divided.steps if not isinstance(step, Group)]
    assert [n for n in opaque if n.op == "call"] == [n for n in graph.nodes if n.op == "call"]
    assert sorted(n.outputs for n in opaque) == sorted(
        n.outputs for n in graph.nodes if not n.is_pointwise
    )
    for seam in divided.seams:
        assert seam.producer < seam.consumer
