"""A graph being rewritten: values keep their ids until `finish` numbers them anew."""

from __future__ import annotations

import dataclasses

from fusekit.ir import Graph, Node, Ref, Value, check
from fusekit.ir.graph import Attr

__all__ = ["Draft"]


class Draft:
    """Mutable nodes over stable values.

    Attributes:
        values: every value, old and new, at the index that is its id.
        nodes: in an order that respects data flow.
        outputs: ids of the results, in order.
        kept: the results as a set: they need memory that is theirs.
    """

    def __init__(self, graph: Graph) -> None:
        """Start from `graph`."""
        self.name = graph.name
        self.values: list[Value] = list(graph.values)
        self.inputs = graph.inputs
        self.nodes: list[Node] = list(graph.nodes)
        self.outputs: list[int] = list(graph.outputs)
        self.kept = set(graph.outputs)

    def new_value(self, like: Value, **changes: object) -> int:
        """A further value that resembles another."""
        changed = dataclasses.replace(like, id=len(self.values), **changes)  # type: ignore[arg-type]
        self.values.append(changed)
        return changed.id

    def producers(self) -> dict[int, Node]:
        """Value id -> the node that makes it."""
        return {out: node for node in self.nodes for out in node.outputs}

    def finish(self) -> Graph:
        """Drop what nobody reads, renumber in order of definition, verify and freeze."""
        self._drop_dead()
        order = [*self.inputs, *(out for node in self.nodes for out in node.outputs)]
        new_id = {old: index for index, old in enumerate(order)}
        values = tuple(
            v if v.id == index else Value(index, v.dtype, v.shape, v.strides, v.scalar)
            for index, v in enumerate(self.values[old] for old in order)
        )
        graph = Graph(
            values,
            tuple(new_id[i] for i in self.inputs),
            tuple(renamed(node, new_id) for node in self.nodes),
            tuple(new_id[i] for i in self.outputs),
            self.name,
        )
        check(graph)
        return graph

    def _drop_dead(self) -> None:
        """Calls stay, whoever reads them: they may draw random numbers or raise."""
        needed = set(self.outputs)
        kept: list[Node] = []
        for node in reversed(self.nodes):
            is_effective = node.op == "call" and not (node.is_allocation or node.is_sum)
            if is_effective or needed.intersection(node.outputs):
                needed.update(node.inputs)
                kept.append(node)
        self.nodes = kept[::-1]


def renamed(node: Node, names: dict[int, int]) -> Node:
    """`node` with other value ids; ids that `names` lacks stay."""
    inputs = tuple([names.get(i, i) for i in node.inputs])
    outputs = tuple([names.get(i, i) for i in node.outputs])
    if (inputs, outputs) == (node.inputs, node.outputs):
        return node
    attrs = node.attrs
    if node.op in ("call", "view"):
        attrs = tuple((key, _renamed_attr(value, names)) for key, value in attrs)
    # written out, because dataclasses.replace takes three times as long
    return Node(node.op, inputs, outputs, attrs, node.loc, node.origin, node.site)


def _renamed_attr(value: Attr, names: dict[int, int]) -> Attr:
    if isinstance(value, Ref):
        return Ref(names.get(value.id, value.id))
    if isinstance(value, tuple):
        return tuple(_renamed_attr(item, names) for item in value)
    return value
