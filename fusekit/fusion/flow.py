"""Who makes and who reads the values of a captured graph, looked up in constant time."""

from __future__ import annotations

import math

from fusekit.ir import Graph, Node

__all__ = ["Flow"]


class Flow:
    """A graph's nodes by number, and its values by what touches them.

    Attributes:
        graph: what is described.
        nodes: its nodes; elsewhere in this package a node is its index here.
        kept: ids of the results.
        scalars: ids of the scalar inputs.
        makers: value -> the node that makes it; inputs are absent.
        readers: value -> the nodes that read it, each once, in order.
        base: value -> the value whose memory it is: itself, but for views.
    """

    def __init__(self, graph: Graph) -> None:
        """Look through `graph` once."""
        self.graph = graph
        self.nodes: tuple[Node, ...] = graph.nodes
        self.kept = set(graph.outputs)
        self.scalars = set(graph.scalar_inputs)
        self.makers: dict[int, int] = {}
        self.readers: dict[int, list[int]] = {}
        self.base = {value: value for value in graph.inputs}
        for i, node in enumerate(graph.nodes):
            for operand in dict.fromkeys(node.inputs):
                self.readers.setdefault(operand, []).append(i)
            for out in node.outputs:
                self.makers[out] = i
                self.base[out] = self.base[node.inputs[0]] if node.op == "view" else out

    def shape(self, i: int) -> tuple[int, ...]:
        """The shape of what a node makes."""
        outputs = self.nodes[i].outputs
        return self.graph.values[outputs[0]].shape or () if outputs else ()

    def is_index(self, value: int) -> bool:
        """True for an index, or a view of one."""
        maker = self.makers.get(self.base[value])
        return maker is not None and self.nodes[maker].op == "index"

    def takes_memory(self, value: int) -> bool:
        """True for a tensor that a kernel would need an address for."""
        return value not in self.scalars and not self.is_index(value)

    def nbytes(self, value_id: int) -> int:
        """Bytes of a value's distinct elements: of a broadcast one, those it is made from."""
        value = self.graph.values[value_id]
        if value.shape is None or value.dtype is None or not self.takes_memory(value_id):
            return 0
        extents = zip(value.shape, value.dense_strides, strict=True)
        return value.dtype.itemsize * math.prod(n for n, stride in extents if stride or not n)
