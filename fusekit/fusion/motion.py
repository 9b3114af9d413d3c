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
from fusekit.fusion.sequence import NodeSequence
from fusekit.ir import Graph, Node, Ref, Value
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

_LIFTS = 8192
_LIFTS_PER_NODE = 8
"""Where ops and views alternate, with nothing between them that keeps views from moving, each op
crosses each view below it. So many crossings all graphs get, and so many more for each node; what
is left then stays in place, so that the time is no square."""

_MAX_PIECES = 4
"""A cat of more pieces of different shapes would split its readers into too many kernels."""


def move(graph: Graph, view_geometry: ViewGeometry) -> Graph:
    """`graph` with cats as late and views as early as they can be."""
    draft = Draft(graph)
    sequence = NodeSequence(draft.nodes)
    _sink_cats(draft, sequence)
    lift = _Lift(draft, sequence, view_geometry)
    while lift.run():
        pass
    draft.nodes = list(sequence)
    return draft.finish()


# views, upwards


class _Lift:
    """Sweeps, each over the nodes about which something changed since they were looked at."""

    def __init__(self, draft: Draft, sequence: NodeSequence, view_geometry: ViewGeometry) -> None:
        self.draft = draft
        self.sequence = sequence
        self.view_geometry = view_geometry
        self.changed = set(sequence.spots())
        self.left = _LIFTS + _LIFTS_PER_NODE * len(self.changed)
        self.geometries: dict[object, list[Geometry] | None] = {}

    def run(self) -> bool:
        """One sweep from the last node to the first; True if anything moved."""
        moved = False
        for spot in self.sequence.spots_backwards():
            if spot in self.changed and self.left:
                self.changed.discard(spot)
                node = self.sequence[spot]
                if node.is_pointwise and node.inputs and self._lift_over(spot):
                    moved = True
                    self.left -= 1
        return moved

    def _lift_over(self, spot: int) -> bool:
        """Replace the views of a node's result by the node on views; False if it cannot be done."""
        sequence, node = self.sequence, self.sequence[spot]
        if node.row.traps or node.output in self.draft.kept:  # a trap: compute every element
            return False
        spots = sequence.readers(node.output)
        readers = [sequence[other] for other in spots]
        if not readers or any(reader.op != "view" for reader in readers):
            return False
        if not all(self._is_read_pointwise(reader) for reader in readers):
            return False
        if node.row.flops > _CHEAP and self._growth(node, readers) > _MAX_GROWTH:
            return False
        replacements = []
        for other, reader in zip(spots, readers, strict=True):
            new_nodes = self._on_operands(node, reader)
            if new_nodes is None:
                return False
            replacements.append((other, new_nodes))
        sequence.replace(spot)
        for other, new_nodes in replacements:
            self._note(sequence.replace(other, new_nodes))
        return True

    def _note(self, new: list[int]) -> None:
        """New nodes, those that make what they read, and those that read what they make."""
        sequence = self.sequence
        self.changed.update(new)
        for spot in new:
            makers = (sequence.maker(operand) for operand in sequence[spot].inputs)
            self.changed.update(maker for maker in makers if maker is not None)
            for result in sequence[spot].outputs:
                self.changed.update(sequence.readers(result))

    def _growth(self, node: Node, views: list[Node]) -> float:
        """How many times each element would be computed, on average."""
        values = self.draft.values
        viewed = sum(values[i].numel for view in views for i in view.outputs)
        return viewed / max(values[node.output].numel, 1)

    def _is_read_pointwise(self, view: Node) -> bool:
        """True if lifting helps, and does not leave a result without memory of the base."""
        pending = [view]
        while pending:
            outputs = pending.pop().outputs
            readers = [self.sequence[s] for out in outputs for s in self.sequence.readers(out)]
            if not readers or self.draft.kept.intersection(outputs):
                return False
            if not all(reader.is_pointwise or reader.op == "view" for reader in readers):
                return False
            pending += [reader for reader in readers if reader.op == "view"]
        return True

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
        found = self._geometry(view, base)
        if found is None:
            return None
        outputs = tuple(
            self.draft.new_value(
                base, shape=shape, strides=None if contiguous_strides(shape) == strides else strides
            )
            for shape, strides, _ in found
        )
        new_nodes.append(dataclasses.replace(view, outputs=outputs))
        return outputs

    def _geometry(self, view: Node, base: Value) -> list[Geometry] | None:
        """What torch says of a view, asked once for each kind of view and argument."""
        assert base.shape is not None
        attrs = tuple(with_ref(item, view.inputs[0], -1) for _, item in view.attrs)
        key = (attrs, base.shape, base.strides)
        if key not in self.geometries:
            try:
                found = self.view_geometry(view, (base.shape, base.dense_strides, 0))
            except RuntimeError:
                self.geometries[key] = None
            else:
                self.geometries[key] = found
        return self.geometries[key]


_EXPAND = "aten.expand.default"


# cats, downwards


def _sink_cats(draft: Draft, sequence: NodeSequence) -> None:
    for spot in sequence.spots():
        cat = sequence[spot]
        if cat.op == "cat" and _may_sink(draft, sequence, cat):
            readers = sequence.readers(cat.output)
            sequence.replace(spot)
            for reader in readers:
                sequence.replace(reader, _distribute(draft, cat, sequence[reader]))


def _may_sink(draft: Draft, sequence: NodeSequence, cat: Node) -> bool:
    """True if every reader is a pointwise node of the cat's own shape."""
    if cat.output in draft.kept or len(cat.inputs) > _MAX_PIECES:
        return False
    readers = [sequence[spot] for spot in sequence.readers(cat.output)]
    shape = draft.values[cat.output].shape
    return bool(readers) and all(
        node.is_pointwise and draft.values[node.output].shape == shape for node in readers
    )


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
