"""Graphs at other sizes: every extent is replaced by another, and what follows from it is checked.

What is checked is that a trace at the new sizes would have found the same graph:

- extents that were equal are equal, and others are not; 0 and 1 stay what they are, for they mean
  something by themselves (nothing, and broadcast);
- each view is asked of torch again, and gives results of these very extents;
- the strides of each value are of the same *class*: which of them is larger, which are 0, whether
  they are the contiguous ones, whether they leave gaps. Nothing else decides about how eager
  PyTorch lays out a result.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from fusekit.errors import FusekitError
from fusekit.frontends.calls import view_geometry
from fusekit.ir import Graph, Node, Value
from fusekit.ir.graph import Attr, contiguous_strides, with_ref

__all__ = [
    "Extents",
    "Layout",
    "Mapped",
    "MisfitError",
    "dense_like",
    "has_ties",
    "made_by_moving",
    "resized",
    "stride_class",
]

Layout = tuple[tuple[int, ...], tuple[int, ...]]
"""Shape and strides."""

Shape = tuple[int, ...]


class MisfitError(FusekitError):
    """A program does not serve these sizes: what was true of the old ones is not of the new."""


class Extents:
    """Which extent takes the place of which."""

    def __init__(self) -> None:
        """Those that mean something by themselves."""
        self.known = {0: 0, 1: 1}
        self._shapes: dict[Shape, Shape] = {}

    def see(self, old: Shape, new: Shape) -> None:
        """A value that had one shape has another.

        Raises:
            MisfitError: an extent had another one in its place before, or the ranks differ.
        """
        if len(old) != len(new):
            raise MisfitError(f"{old} has become {new}")
        known = self.known
        for before, after in zip(old, new, strict=True):
            if known.setdefault(before, after) != after:
                raise MisfitError(f"{before} is {known[before]}, and {after}")

    def check(self, fixed: frozenset[int], stated: frozenset[int]) -> None:
        """See that different extents stay different, and the `fixed` ones what they are.

        Those that change stay on the same side of every number that the function states: a slice
        up to a number is none where that is the end.

        Raises:
            MisfitError: they do not.
        """
        known = self.known
        if len(set(known.values())) < len(known) or any(known.get(n, n) != n for n in fixed):
            raise MisfitError("extents are equal now, or others where they may not be")
        changed = [pair for pair in known.items() if pair[0] != pair[1]]
        if any(min(pair) <= n <= max(pair) for n in stated for pair in changed):
            raise MisfitError("an extent has come to the other side of a stated number")

    def shape(self, old: Shape) -> Shape:
        """The shape in place of another; MisfitError if an extent is new."""
        found = self._shapes.get(old)
        if found is None:
            try:
                found = self._shapes[old] = tuple([self.known[n] for n in old])
            except KeyError as error:
                raise MisfitError(f"{error} comes from nowhere") from None
        return found


class Mapped(Sequence[Value]):
    """Values at other sizes, all contiguous: made when they are looked at."""

    def __init__(self, values: Sequence[Value], extents: Extents) -> None:
        """These values with their extents replaced."""
        self._old, self._extents = values, extents
        self._made: dict[int, Value] = {}

    def __len__(self) -> int:
        """As many as there were."""
        return len(self._old)

    def __getitem__(self, index: Any) -> Any:
        """A value by its id."""
        if index not in self._made:
            self._made[index] = _of_shape(self._old[index], self._extents)
        return self._made[index]


def _of_shape(value: Value, extents: Extents) -> Value:
    """A value that an operator lays out without gaps, over other extents."""
    if not value.shape:
        return value
    shape, strides = extents.shape(value.shape), value.strides
    if strides is not None:
        strides = dense_like(shape, value.shape, strides)
    return Value(value.id, value.dtype, shape, strides, value.scalar)


def resized(
    graph: Graph,
    layouts: Mapping[int, Layout],
    extents: Extents,
    expands: frozenset[int] = frozenset(),
) -> Graph:
    """A graph with inputs of other layouts, by their ids.

    Args:
        graph: what to resize.
        layouts: of the tensor inputs.
        extents: known so far; it learns those of views and cats.
        expands: positions of nodes that expand their operand to the shape they were found to need.

    Raises:
        MisfitError: it would be another graph.
    """
    values = list(graph.values)
    nodes = list(graph.nodes)
    for value_id in graph.tensor_inputs:
        shape, strides = layouts[value_id]
        values[value_id] = _laid_out(graph.values[value_id], shape, strides)
    for position, node in enumerate(nodes):
        if node.op == "view":
            if position in expands:
                node = nodes[position] = _expanding(node, extents)  # noqa: PLW2901
            _resize_view(node, graph.values, values, extents)
            continue
        if node.op == "cat":
            _see_cat(node, graph.values, values, extents)
        for value_id in node.outputs:
            value = values[value_id]
            if value.shape:
                values[value_id] = _of_shape(value, extents)
    return Graph(tuple(values), graph.inputs, tuple(nodes), graph.outputs, graph.name)


def _laid_out(old: Value, shape: Shape, strides: Shape) -> Value:
    """A value in a layout of the same class as its own."""
    if stride_class(old.shape or (), old.dense_strides) != stride_class(shape, strides):
        raise MisfitError(f"strides {strides} of {shape} are of another class")
    kept = None if strides == contiguous_strides(shape) else strides
    return Value(old.id, old.dtype, shape, kept, old.scalar)


def _resize_view(node: Node, old: Sequence[Value], values: list[Value], extents: Extents) -> None:
    base = values[node.inputs[0]]
    assert base.shape is not None
    try:
        found = view_geometry(node, (base.shape, base.dense_strides, 0))
    except (RuntimeError, IndexError) as error:
        raise MisfitError(str(error)) from error
    if len(found) != len(node.outputs):
        raise MisfitError("a view gives another number of results")
    for value_id, (shape, strides, _) in zip(node.outputs, found, strict=True):
        before = old[value_id].shape or ()
        extents.see(before, shape)
        values[value_id] = _laid_out(old[value_id], shape, strides)


def _expanding(node: Node, extents: Extents) -> Node:
    attrs = tuple(
        (key, (item[0], extents.shape(item[1])) if key == "args" else item)  # type: ignore[index,arg-type]
        for key, item in node.attrs
    )
    return dataclasses.replace(node, attrs=attrs)


def _see_cat(node: Node, old: Sequence[Value], values: list[Value], extents: Extents) -> None:
    dim, before = node.attr("dim"), old[node.output].shape
    assert isinstance(dim, int)
    assert before is not None
    pieces = [values[i].shape for i in node.inputs]
    total = sum(shape[dim] for shape in pieces if shape is not None)
    after = list(extents.shape(tuple(1 if i == dim else n for i, n in enumerate(before))))
    after[dim] = total
    extents.see(before, tuple(after))


# layouts


def stride_class(shape: Shape, strides: Shape) -> tuple[Any, ...] | None:
    """What eager PyTorch asks about strides when it lays out a result; None if contiguous."""
    if strides == contiguous_strides(shape):
        return None
    order = sorted(set(strides))
    return (_is_dense(shape, strides), 0 in order, *map(order.index, strides))


def _is_dense(shape: Shape, strides: Shape) -> bool:
    expected = 1
    for stride, extent in sorted(zip(strides, shape, strict=True)):
        if extent != 1 and stride != expected:
            return False
        expected *= extent
    return True


def has_ties(value: Value) -> bool:
    """True if two dimensions step alike: then extents decide which one is taken for the outer."""
    shape = value.shape or ()
    if not shape or value.strides is None:
        return False
    steps = [s for s, n in zip(value.strides, shape, strict=True) if s and n > 1]
    return len(set(steps)) < len(steps)


def dense_like(new: Shape, shape: Shape, strides: Shape) -> Shape:
    """Strides over `new` without gaps, the dimensions in the order they have over `shape`."""
    order = sorted(range(len(shape)), key=lambda dim: (strides[dim], shape[dim] != 1))
    found, step = [0] * len(shape), 1
    for dim in order:
        found[dim] = step
        step *= new[dim]
    return tuple(found)


def _stripped(node: Node) -> tuple[tuple[str, Attr], ...]:
    """A view's attributes without the value that it is of."""
    return tuple((key, with_ref(item, node.inputs[0], -1)) for key, item in node.attrs)


def made_by_moving(graph: Graph, captured: Graph) -> tuple[frozenset[int], frozenset[int]] | None:
    """The views that `graph` has beside those of the capture: they state extents of its values.

    Returns:
        Positions of those that expand an operand to a shape; and extents that have to stay what
        they are for those that cut an operand where a cat's pieces meet. None for any others.
    """
    known = {_stripped(node) for node in captured.nodes if node.op == "view"}
    expands: set[int] = set()
    fixed: set[int] = set()
    for position, node in enumerate(graph.nodes):
        if node.op != "view" or _stripped(node) in known:
            continue
        if node.attr("target") == "aten.expand.default":
            expands.add(position)
        elif node.attr("target") == "aten.slice.Tensor":
            arguments = node.attr("args")
            assert isinstance(arguments, tuple)
            dim = arguments[1]
            assert isinstance(dim, int)
            whole, piece = (graph.values[i].shape for i in (node.inputs[0], node.output))
            fixed |= {whole[dim], piece[dim]}  # type: ignore[index]
        else:
            return None
    return frozenset(expands), frozenset(fixed)
