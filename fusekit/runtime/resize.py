"""Programs at other sizes: what was captured for one batch serves every batch.

A program is *size-generic* if nothing in it depends on an extent but the extents themselves: the
function asked no tensor for its size, and there are only pointwise nodes between contiguous
arguments. Then a call whose extents are equal where the captured ones were equal (and 1 or 0 where
they were) runs the same kernels over other extents, and is not captured again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from fusekit.frontends.fx import Capture
from fusekit.frontends.seeds import is_seed
from fusekit.fusion import Group
from fusekit.ir import Graph, Node, Value
from fusekit.runtime.program import Program, rebind

__all__ = ["extents_of", "is_generic", "pattern_of", "pattern_of_shapes", "resize"]

_FIXED = (0, 1)
"""Extents that mean something by themselves: nothing, and broadcast."""


def extents_of(leaves: Sequence[Any]) -> list[int]:
    """Every extent of every tensor, in order."""
    return [n for leaf in leaves if isinstance(leaf, torch.Tensor) for n in leaf.shape]


def pattern_of(leaves: Sequence[Any]) -> tuple[tuple[int, ...], ...] | None:
    """Which extents are equal, 0 or 1; None if an argument is not contiguous."""
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    if any(leaf.layout is not torch.strided or not leaf.is_contiguous() for leaf in tensors):
        return None
    return pattern_of_shapes([leaf.shape for leaf in tensors])


def pattern_of_shapes(shapes: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    """The same for contiguous tensors of these shapes."""
    classes: dict[int, int] = {0: 0, 1: 1}
    return tuple(tuple(classes.setdefault(n, len(classes)) for n in shape) for shape in shapes)


def is_generic(program: Program, leaves: Sequence[Any]) -> bool:
    """True if the program may be run at other sizes."""
    capture, graph = program.capture, program.graph
    if capture.reads_sizes or not all(map(_is_free_of_sizes, capture.graph.nodes)):
        return False
    fixed = [s.free.value if s.free else s.constant for s in capture.sources if s.leaf is None]
    if any(tensor is None or tensor.dim() for tensor in fixed):
        return False
    known = {*extents_of(leaves), *_FIXED}
    return all(
        value.shape is None or (value.strides is None and known.issuperset(value.shape))
        for value in graph.values
    )


def _is_free_of_sizes(node: Node) -> bool:
    if node.op == "call":
        return is_seed(node) or node.attr("target") == "aten.empty_like.default"
    return node.is_pointwise or node.op == "index"


def resize(program: Program, extents: Mapping[int, int]) -> Program:
    """The program with each extent replaced by the one it is mapped to."""
    graph = _resized(program.graph, extents)
    groups = {
        step.index: dataclasses.replace(step, shape=_shape(step.shape, extents))
        for step in program.partition.groups
    }
    steps = tuple(
        groups[step.index] if isinstance(step, Group) else step for step in program.partition.steps
    )
    capture: Capture = dataclasses.replace(
        program.capture, graph=_resized(program.capture.graph, extents)
    )
    return rebind(
        dataclasses.replace(
            program,
            capture=capture,
            graph=graph,
            partition=dataclasses.replace(program.partition, graph=graph, steps=steps),
        )
    )


def _shape(shape: tuple[int, ...], extents: Mapping[int, int]) -> tuple[int, ...]:
    return tuple(extents.get(n, n) for n in shape)


def _resized(graph: Graph, extents: Mapping[int, int]) -> Graph:
    values = tuple(
        value
        if not value.shape
        else Value(value.id, value.dtype, _shape(value.shape, extents), None, value.scalar)
        for value in graph.values
    )
    return Graph(values, graph.inputs, graph.nodes, graph.outputs, graph.name)
