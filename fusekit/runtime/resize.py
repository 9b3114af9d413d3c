"""Programs at other sizes: what was captured for one batch serves every batch.

A program is *size-generic* if nothing in it depends on an extent but the extents themselves: the
function asked no tensor for its size, and where it moves, cuts or joins dimensions, every number it
states is its own. Then a call whose extents are equal where the captured ones were equal (and 1 or
0 where they were) runs the same kernels over other extents, and is not captured again. What has to
hold besides is checked for each call (`sizes.py`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from fusekit.frontends.seeds import is_seed
from fusekit.fusion import Group
from fusekit.ir import Graph, Node, Value
from fusekit.runtime.place import Place
from fusekit.runtime.program import Program, rebind
from fusekit.runtime.renewed import renewed
from fusekit.runtime.sizes import (
    Extents,
    Layout,
    Mapped,
    MisfitError,
    dense_like,
    has_ties,
    made_by_moving,
    resized,
    stride_class,
)

__all__ = ["Template", "layouts_of", "pattern_of", "template_of"]


def layouts_of(leaves: Sequence[Any]) -> list[Layout] | None:
    """Shape and strides of every tensor, in order; None if one has no strides."""
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    if any(leaf.layout is not torch.strided for leaf in tensors):
        return None
    return [(tuple(leaf.shape), leaf.stride()) for leaf in tensors]


def pattern_of(layouts: Sequence[Layout]) -> tuple[Any, ...]:
    """Which extents are equal, 0 or 1, and the class of the strides."""
    classes: dict[int, int] = {0: 0, 1: 1}
    return tuple(
        (
            stride_class(shape, strides),
            *[classes.setdefault(n, len(classes)) for n in shape],
        )
        for shape, strides in layouts
    )


@dataclasses.dataclass(frozen=True)
class Template:
    """A size-generic program.

    Attributes:
        program: at the sizes of its capture.
        layouts: of the tensors among the arguments, there.
        is_plain: there are only pointwise nodes between contiguous values: nothing to check.
        expands: as `sizes.resized` takes them, of the program's graph.
        fixed: extents that stay what they are.
        leaves: of the graph's tensor inputs, which of the arguments' tensors it is; None for a
            tensor that is the same at every call.
    """

    program: Program
    layouts: Sequence[Layout]
    is_plain: bool
    expands: frozenset[int]
    fixed: frozenset[int]
    leaves: Sequence[int | None]

    def at(self, layouts: Sequence[Layout]) -> Program:
        """The program for arguments of other layouts, whose pattern is the same.

        Raises:
            MisfitError: a capture would find another one.
        """
        extents = Extents()
        for (old, _), (new, _) in zip(self.layouts, layouts, strict=True):
            extents.see(old, new)
        graph, captured = self.program.graph, self.program.capture.graph
        if None in self.leaves:
            for leaf, value in zip(self.leaves, graph.tensor_inputs, strict=True):
                fixed = graph.values[value].shape if leaf is None else None
                extents.see(fixed or (), fixed or ())
        if self.is_plain:
            extents.check(self.fixed, frozenset())
            return _bound(
                self.program, _lazily(graph, extents), _lazily(captured, extents), extents
            )
        whole = resized(captured, self._inputs(captured, layouts), extents)
        moved = resized(graph, self._inputs(graph, layouts), extents, self.expands)
        extents.check(self.fixed, self.program.capture.stated)
        made = _bound(self.program, moved, whole, extents)
        _check_shared(made)
        return made

    def _inputs(self, graph: Graph, layouts: Sequence[Layout]) -> Mapping[int, Layout]:
        found = {}
        for position, value_id in enumerate(graph.tensor_inputs):
            leaf, value = self.leaves[position], graph.values[value_id]
            found[value_id] = (
                (value.shape or (), value.dense_strides) if leaf is None else layouts[leaf]
            )
        return found


def _lazily(graph: Graph, extents: Extents) -> Graph:
    values = Mapped(graph.values, extents)
    return Graph(values, graph.inputs, graph.nodes, graph.outputs, graph.name)


def _bound(program: Program, graph: Graph, captured: Graph, extents: Extents) -> Program:
    """The program with these graphs in place of its own."""
    nodes = dict(zip(map(id, program.graph.nodes), graph.nodes, strict=True))
    steps = tuple(
        [
            renewed(step, shape=extents.shape(step.shape))
            if isinstance(step, Group)
            else nodes[id(step)]
            for step in program.partition.steps
        ]
    )
    return rebind(
        renewed(
            program,
            capture=renewed(program.capture, graph=captured),
            graph=graph,
            partition=renewed(program.partition, graph=graph, steps=steps),
        )
    )


def _check_shared(program: Program) -> None:
    """Operands that a kernel takes for one are still in the same place."""
    for call in program.kernels:
        seen: dict[int, Place] = {}
        for value in call.group.inputs:
            place = program.places.get(value)
            if place is not None and seen.setdefault(call.numbering[value], place) != place:
                raise MisfitError("two operands were the same elements, and are not now")


# which programs are


def template_of(program: Program, leaves: Sequence[Any]) -> Template | None:
    """The program as one for other sizes; None if it is for its own alone."""
    capture, graph = program.capture, program.graph
    layouts = layouts_of(leaves)
    if capture.reads_sizes or layouts is None:
        return None
    position: dict[int, int] = {}
    for index, leaf in enumerate(leaves):
        if isinstance(leaf, torch.Tensor):
            position[index] = len(position)
    of_inputs = [None if s.leaf is None else position[s.leaf] for s in capture.sources]
    is_plain = all(map(_is_plain, capture.graph.nodes)) and all(
        value.strides is None for each in (graph, capture.graph) for value in each.values
    )
    found = (frozenset[int](), frozenset[int]())
    if not is_plain:
        moved = made_by_moving(graph, capture.graph)
        if moved is None or not _is_checkable(program):
            return None
        found = moved[0], moved[1] | _extents_cut(capture.graph)
    made = Template(program, layouts, is_plain, *found, of_inputs)
    try:
        again = made.at(layouts)
        same = _values(again) == _values(program)
    except MisfitError:
        return None
    return made if same else None


def _extents_cut(graph: Graph) -> frozenset[int]:
    """The extents that are cut into pieces: `chunk` says how many, and cuts others otherwise."""
    found = set()
    for node in graph.nodes:
        args = node.attr("args") if node.op == "view" else None
        if isinstance(args, tuple) and node.attr("target") == "aten.split.Tensor":
            dim = args[2] if len(args) > 2 else 0
            assert isinstance(dim, int)
            for value in (node.inputs[0], *node.outputs):
                shape = graph.values[value].shape
                assert shape is not None
                found.add(shape[dim])
    return frozenset(found)


def _values(program: Program) -> tuple[Value, ...]:
    return (*program.graph.values, *program.capture.graph.values)


def _is_plain(node: Node) -> bool:
    if node.op == "call":
        return is_seed(node) or node.attr("target") == "aten.empty_like.default"
    return node.is_pointwise or node.op == "index"


def _is_checkable(program: Program) -> bool:
    """True if `sizes.resized` finds everything out."""
    capture = program.capture
    if not capture.is_verbatim or capture.writes:
        return False
    for graph in (program.graph, capture.graph):
        made = [i for node in graph.nodes if node.op != "view" for i in node.outputs]
        if not all(map(_is_known, graph.nodes)) or any(map(has_ties, graph.values)):
            return False
        for value in map(graph.values.__getitem__, made):
            shape, strides = value.shape, value.strides
            if shape and strides and dense_like(shape, shape, strides) != strides:
                return False
    return True


def _is_known(node: Node) -> bool:
    if node.op in ("view", "call"):
        known = _VIEWS if node.op == "view" else _CALLS
        return str(node.attr("target")).split(".")[1] in known or _is_plain(node)
    return node.op == "cat" or _is_plain(node)


_VIEWS = frozenset(
    (
        *("transpose", "t", "permute", "unsqueeze", "squeeze", "slice", "select", "split"),
        *("expand", "view", "_unsafe_view", "split_with_sizes"),
        *("flatten", "reshape"),
    )
)

_CALLS = frozenset(
    (
        *("mm", "bmm", "addmm", "baddbmm", "_softmax", "_log_softmax", "native_layer_norm", "sum"),
        *("mean", "amax", "amin", "cumsum", "var"),
    )
)
"""Operators each of whose extents is one of an argument's."""
