"""Keys, and the store of every KernelSpec of this process."""

from __future__ import annotations

import hashlib
import weakref

from fusekit import events
from fusekit.errors import GraphError
from fusekit.ir import Graph, print_graph
from fusekit.locks import lock
from fusekit.specs import KernelSpec, PartitionDesc

__all__ = ["Store", "spec_of"]

_VERSION = "fusekit-ir-1"
"""Part of every key: change it when the meaning of an op changes."""


def spec_of(graph: Graph) -> KernelSpec:
    """The KernelSpec of a graph in normal form.

    Raises:
        GraphError: an input is chunked and read in another way, too.
    """
    text = f"{_VERSION}\n{print_graph(graph)}"
    chunks = {node.inputs[0]: node for node in graph.nodes if node.op == "chunk"}
    cats = {node.output: node for node in graph.nodes if node.op == "cat"}
    for value_id in chunks:
        if len(graph.users[value_id]) > 1:
            raise GraphError(f"%{value_id} is chunked and read in another way: pass it twice")
    loads = [chunks[i].outputs if i in chunks else (i,) for i in graph.tensor_inputs]
    stores = [cats[i].inputs if i in cats else (i,) for i in graph.outputs]
    pieces = tuple(piece for group in stores for piece in group)
    return KernelSpec(
        key=hashlib.sha256(text.encode()).hexdigest(),
        graph=graph,
        broadcast_groups=_broadcast_groups(graph, pieces),
        input_partitions=tuple(
            PartitionDesc(len(chunks[i].outputs), _dim(chunks[i].attr("dim")))
            if i in chunks
            else None
            for i in graph.tensor_inputs
        ),
        output_partitions=tuple(
            PartitionDesc(len(cats[i].inputs), _dim(cats[i].attr("dim"))) if i in cats else None
            for i in graph.outputs
        ),
        tensors_in=tuple(piece for group in loads for piece in group),
        tensors_out=pieces,
        indices=tuple(node.output for node in graph.nodes if node.op == "index"),
    )


def _dim(value: object) -> int:
    assert isinstance(value, int)
    return value


def _broadcast_groups(graph: Graph, results: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """The inputs that each result depends on have to broadcast against each other."""
    position = {value: index for index, value in enumerate(graph.tensor_inputs)}
    depends: dict[int, frozenset[int]] = {i: frozenset() for i in graph.inputs}
    depends |= {value: frozenset({index}) for value, index in position.items()}
    for node in graph.nodes:
        union = frozenset[int]().union(*(depends[i] for i in node.inputs))
        depends.update(dict.fromkeys(node.outputs, union))
    return tuple(dict.fromkeys(tuple(sorted(depends[i])) for i in results))


class Store:
    """Every KernelSpec that is used, by key; safe to use from several threads.

    What no program and no kernel holds any more is forgotten, and new again when it comes again.

    Attributes:
        seen: how many were new.
    """

    def __init__(self) -> None:
        """Start empty."""
        self.seen = 0
        self._specs: weakref.WeakValueDictionary[str, KernelSpec] = weakref.WeakValueDictionary()
        self._lock = lock()

    def intern(self, graph: Graph, name: str = "") -> KernelSpec:
        """The one KernelSpec of a graph in normal form."""
        spec = spec_of(graph)
        with self._lock:
            known = self._specs.setdefault(spec.key, spec)
            self.seen += known is spec
        if known is spec:
            events.emit(events.Registered(spec.key, name))
        return known

    def __len__(self) -> int:
        """How many there are."""
        return len(self._specs)
