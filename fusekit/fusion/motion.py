"""Moving views up and cats down, so that pointwise nodes meet.

A view of a computed value would force that value into memory. If all its readers are views, it is
computed on views of its operands instead: `(x + y).chunk(2)` becomes `x.chunk(2) + y.chunk(2)`
piece by piece, and views of inputs cost nothing. A cat that is only read by pointwise nodes moves
below them in the same way, until it is a result (written in place) or something opaque reads it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from fusekit.fusion.draft import Draft
from fusekit.ir import Graph, Node, Ref
from fusekit.ir.graph import Attr, contiguous_strides, with_ref

__all__ = ["Geometry", "ViewGeometry", "move"]

Geometry = tuple[tuple[int, ...], tuple[int, ...], int]
"""Shape, strides and storage offset, in elements."""

ViewGeometry = Callable[[Node, Geometry], list[Geometry]]
"""What each output of a view node looks like on an argument of that geometry; RuntimeError if
torch cannot view it that way without a copy."""

_CHEAP = 2
_MAX_GROWTH = 2
"""An op above _CHEAP additions is not lifted over views that repeat its elements more often."""

_MAX_PIECES = 4
"""A cat of more pieces of different shapes would split its readers into too many kernels."""


def move(graph: Graph, view_geometry: ViewGeometry) -> Graph:
    """`graph` with cats as late and views as early as they can be."""
    draft = Draft(graph)
    _sink_cats(draft)
    lift = _Lift(draft, view_geometry)
    while lift.run():
        pass
    return draft.finish()


# views, upwards


class _Lift:
    def __init__(self, draft: Draft, view_geometry: ViewGeometry) -> None:
        self.draft = draft
        self.view_geometry = view_geometry

    def run(self) -> bool:
        """One sweep from the last node to the first; True if anything moved."""
        moved = False
        position = len(self.draft.nodes)
        while position > 0:
            position -= 1
            node = self.draft.nodes[position]
            if node.is_pointwise and node.inputs and self._lift_over(node):
                # the new nodes stand further down; those before `position` are untouched
                self.draft.nodes.pop(position)
                moved = True
        return moved

    def _lift_over(self, node: Node) -> bool:
        """Replace the views of `node`'s result by `node` on views; False if that is impossible."""
        draft = self.draft
        readers = [other for other in draft.nodes if node.output in other.inputs]
        if node.output in draft.kept or not readers or any(r.op != "view" for r in readers):
            return False
        if node.row.traps:  # every element has to be computed, viewed or not
            return False
        if not all(self._is_read_pointwise(reader) for reader in readers):
            return False
        if node.row.flops > _CHEAP and self._growth(node, readers) > _MAX_GROWTH:
            return False
        replacements = []
        for reader in readers:
            new_nodes = self._on_operands(node, reader)
            if new_nodes is None:
                return False
            replacements.append((reader, new_nodes))
        for reader, new_nodes in replacements:
            at = draft.nodes.index(reader)
            draft.nodes[at : at + 1] = new_nodes
        return True

    def _growth(self, node: Node, views: list[Node]) -> float:
        """How many times each element would be computed, on average."""
        values = self.draft.values
        viewed = sum(values[i].numel for view in views for i in view.outputs)
        return viewed / max(values[node.output].numel, 1)

    def _is_read_pointwise(self, view: Node) -> bool:
        """True if lifting helps, and does not leave a result without memory of the base."""
        if self.draft.kept.intersection(view.outputs):
            return False
        readers = [n for n in self.draft.nodes if set(view.outputs).intersection(n.inputs)]
        return bool(readers) and all(
            reader.is_pointwise or (reader.op == "view" and self._is_read_pointwise(reader))
            for reader in readers
        )

    def _on_operands(self, node: Node, view: Node) -> list[Node] | None:
        """`view(node(a, b))` as `node(view(a), view(b))`, or None."""
        values = self.draft.values
        new_nodes: list[Node] = []
        operands: list[tuple[int, ...]] = []
        shape = values[node.output].shape
        assert shape is not None
        for operand in node.inputs:
            if not values[operand].shape:  # a constant, a scalar or a 0-dim tensor: any shape
                operands.append((operand,) * len(view.outputs))
                continue
            viewed = self._view_of(operand, shape, view, new_nodes)
            if viewed is None:
                return None
            operands.append(viewed)
        for index, result in enumerate(view.outputs):
            inputs = tuple(each[index] for each in operands)
            new_nodes.append(dataclasses.replace(node, inputs=inputs, outputs=(result,)))
            values[result] = dataclasses.replace(values[result], strides=None)
        return new_nodes

    def _view_of(
        self, operand: int, shape: tuple[int, ...], view: Node, new_nodes: list[Node]
    ) -> tuple[int, ...] | None:
        value = self.draft.values[operand]
        if value.shape != shape:
            arguments: Attr = (Ref(operand), shape)
            attrs = (("args", arguments), ("kwargs", ()), ("target", _EXPAND))
            expand = Node("view", (operand,), (), attrs, view.loc, view.origin, view.site)
            expanded = self._add_view(expand, operand, new_nodes)
            if expanded is None:
                return None
            (operand,) = expanded
        old = view.inputs[0]
        moved_attrs = tuple((key, with_ref(item, old, operand)) for key, item in view.attrs)
        moved = dataclasses.replace(view, inputs=(operand,), outputs=(), attrs=moved_attrs)
        return self._add_view(moved, operand, new_nodes)

    def _add_view(self, view: Node, operand: int, new_nodes: list[Node]) -> tuple[int, ...] | None:
        """The results of a view node without outputs yet; None if torch would have to copy."""
        base = self.draft.values[operand]
        assert base.shape is not None
        try:
            found = self.view_geometry(view, (base.shape, base.dense_strides, 0))
        except RuntimeError:
            return None
        outputs = tuple(
            self.draft.new_value(
                base, shape=shape, strides=None if contiguous_strides(shape) == strides else strides
            )
            for shape, strides, _ in found
        )
        new_nodes.append(dataclasses.replace(view, outputs=outputs))
        return outputs


_EXPAND = "aten.expand.default"


# cats, downwards


def _sink_cats(draft: Draft) -> None:
    position = 0
    while position < len(draft.nodes):
        cat = draft.nodes[position]
        if cat.op == "cat" and _may_sink(draft, cat):
            del draft.nodes[position]
            for reader in [node for node in draft.nodes if cat.output in node.inputs]:
                at = draft.nodes.index(reader)
                draft.nodes[at : at + 1] = _distribute(draft, cat, reader)
        else:
            position += 1


def _may_sink(draft: Draft, cat: Node) -> bool:
    """True if every reader is a pointwise node of the cat's own shape."""
    readers = [node for node in draft.nodes if cat.output in node.inputs]
    shape = draft.values[cat.output].shape
    if cat.output in draft.kept or not readers or len(cat.inputs) > _MAX_PIECES:
        return False
    return all(node.is_pointwise and draft.values[node.output].shape == shape for node in readers)


def _distribute(draft: Draft, cat: Node, reader: Node) -> list[Node]:
    """`reader(cat(a, b), x)` as `cat(reader(a, x[:n]), reader(b, x[n:]))`."""
    dim = cat.attr("dim")
    assert isinstance(dim, int)
    values = draft.values
    new_nodes: list[Node] = []
    pieces = []
    start = 0
    for piece in cat.inputs:
        shape = values[piece].shape
        assert shape is not None
        end = start + shape[dim]
        inputs = tuple(
            piece
            if operand == cat.output
            else _slice(draft, operand, (dim - len(shape), start, end), cat, new_nodes)
            for operand in reader.inputs
        )
        result = draft.new_value(values[reader.output], shape=shape, strides=None)
        new_nodes.append(dataclasses.replace(reader, inputs=inputs, outputs=(result,)))
        pieces.append(result)
        start = end
    moved = dataclasses.replace(cat, inputs=tuple(pieces), outputs=reader.outputs)
    return [*new_nodes, moved]


def _slice(
    draft: Draft, operand: int, span: tuple[int, int, int], cat: Node, new_nodes: list[Node]
) -> int:
    """`operand[..., start:end]` along a dimension counted from the end, where it varies at all."""
    dim, start, end = span
    value = draft.values[operand]
    if value.shape is None or len(value.shape) < -dim or value.shape[dim] == 1:
        return operand
    shape = list(value.shape)
    shape[dim] = end - start
    strides = (
        None if value.dense_strides == contiguous_strides(tuple(shape)) else value.dense_strides
    )
    result = draft.new_value(value, shape=tuple(shape), strides=strides)
    attrs = (
        ("args", (Ref(operand), dim, start, end)),
        ("kwargs", ()),
        ("target", "aten.slice.Tensor"),
    )
    new_nodes.append(Node("view", (operand,), (result,), attrs, cat.loc, cat.origin, cat.site))
    return result
