"""The normal form of a group graph: what two graphs must share to share their kernels.

Values are numbered as a depth-first walk from the outputs meets them, nodes stand in that order,
nodes that no output needs are gone; names, source lines and types stated by the user do not
matter. Constants and structure do. The order of inputs and outputs is part of the interface.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from fusekit.ir import Graph, GraphBuilder, Node, Value

__all__ = ["group_graph", "normalize"]


def group_graph(
    graph: Graph, nodes: Iterable[Node], inputs: Iterable[int], outputs: Iterable[int]
) -> tuple[Graph, dict[int, int]]:
    """The normal form of some nodes of a captured graph, without shapes; and its numbering."""
    return _Renumbering(graph, tuple(nodes), tuple(inputs), tuple(outputs)).run()


def normalize(graph: Graph) -> tuple[Graph, dict[int, int]]:
    """The normal form of a whole graph, and value id -> id in the normal form."""
    return group_graph(graph, graph.nodes, graph.inputs, graph.outputs)


class _Renumbering:
    def __init__(
        self,
        graph: Graph,
        nodes: tuple[Node, ...],
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
    ) -> None:
        self.graph = graph
        self.makers = {out: node for node in nodes for out in node.outputs}
        self.inputs = inputs
        self.outputs = outputs
        self.builder = GraphBuilder("group")
        self.new_id: dict[int, int] = {}

    def run(self) -> tuple[Graph, dict[int, int]]:
        for old in self.inputs:
            value = self.graph.values[old]
            assert value.dtype is not None
            builder = self.builder
            made = builder.scalar(value.dtype) if value.scalar else builder.input(value.dtype)
            self.new_id[old] = made
        for output in self.outputs:
            self._visit(output)
        return self.builder.finish(self.new_id[i] for i in self.outputs), self.new_id

    def _visit(self, root: int) -> None:
        """Depth first without recursion: chains may be longer than Python's stack."""
        pending = [root]
        while pending:
            value = pending[-1]
            if value in self.new_id:
                pending.pop()
                continue
            node = self.makers[value]
            missing = [i for i in node.inputs if i not in self.new_id]
            if missing:
                pending += reversed(missing)
                continue
            self._place(node)
            pending.pop()

    def _place(self, node: Node) -> None:
        outputs = tuple(self.builder.value(self._value(i).dtype) for i in node.outputs)
        self.new_id.update(zip(node.outputs, outputs, strict=True))
        inputs = tuple(self.new_id[i] for i in node.inputs)
        self.builder.add(dataclasses.replace(node, inputs=inputs, outputs=outputs))

    def _value(self, value_id: int) -> Value:
        return self.graph.values[value_id]
