"""Elements: what one element of a program's result depends on, and where each part of it lies.

Pointwise nodes read the element at their own position, broadcasting aside; a view is followed to
the tensor whose memory it looks at; a cat to the piece. What PyTorch runs is the end of the way.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fusekit.fusion import Group
from fusekit.ir import Graph, Node
from fusekit.runtime.place import Place
from fusekit.runtime.program import Program

if TYPE_CHECKING:
    import torch

__all__ = ["Element", "base_element", "elements_of", "position_at", "solve"]

_Key = tuple[int, tuple[int, ...]]
"""A value of the program's graph, and the position of one element in it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Element:
    """One element of one value.

    Attributes:
        value: its id in the program's graph.
        index: its position in the value.
        node: what makes it; None for an argument.
        stage: number of the step that makes it, from 0; -1 for what is made by none.
        group: number of its fusion group, from 0; None for what belongs to none.
        reads: positions, in the list of all elements, of those it is made from: for a pointwise
            node one for each operand, for a view or cat the one it is the same as.
    """

    value: int
    index: tuple[int, ...]
    node: Node | None
    stage: int
    group: int | None
    reads: tuple[int, ...]

    @property
    def is_computed(self) -> bool:
        """True for a pointwise node's, literals included."""
        return self.node is not None and self.node.is_pointwise

    @property
    def is_const(self) -> bool:
        """True for a literal."""
        return self.node is not None and self.node.op == "const"

    @property
    def assemble(self) -> Callable[[Sequence[torch.Tensor]], torch.Tensor]:
        """For a view or a cat: itself, given the element that it is the same as."""
        return operator.itemgetter(0)


def elements_of(program: Program, value: int, index: tuple[int, ...]) -> list[Element]:
    """Every element that `value[index]` depends on, in data-flow order; itself is the last."""
    found: dict[_Key, tuple[_Key, ...]] = {}
    pending: list[_Key] = [(value, index)]
    while pending:  # without recursion: chains may be longer than Python's stack
        key = pending.pop()
        if key not in found:
            found[key] = _reads(program, *key)
            pending += found[key]
    stage, rank = _stages(program), _ranks(program.graph)
    groups = [i for i, step in enumerate(program.partition.steps) if isinstance(step, Group)]
    group = {step: number for number, step in enumerate(groups)}
    order = sorted(found, key=lambda key: (stage.get(key[0], -1), rank[key[0]], key[1]))
    position = {key: number for number, key in enumerate(order)}
    return [
        Element(
            value=key[0],
            index=key[1],
            node=program.graph.producers.get(key[0]),
            stage=stage.get(key[0], -1),
            group=group.get(stage.get(key[0], -1)),
            reads=tuple(position[read] for read in found[key]),
        )
        for key in order
    ]


def base_element(program: Program, value: int, index: tuple[int, ...]) -> _Key:
    """The element itself, or the one that a view, or a view of views, looks at."""
    place = program.places.get(value)
    if place is None or place.base == value or program.graph.producers[value].op != "view":
        return value, index
    steps = zip(index, place.strides, strict=True)
    offset = place.offset + sum(number * stride for number, stride in steps)
    return place.base, position_at(program.places[place.base], offset)


def _stages(program: Program) -> dict[int, int]:
    """Value -> the first step that makes it: what is cheap may be made in several."""
    found: dict[int, int] = {}
    for number, step in enumerate(program.partition.steps):
        for node in step.nodes if isinstance(step, Group) else (step,):
            for made in node.outputs:
                found.setdefault(made, number)
    return found


def _ranks(graph: Graph) -> dict[int, int]:
    """Value -> its place in the order of inputs and nodes."""
    made = (out for node in graph.nodes for out in node.outputs)
    return {value: number for number, value in enumerate((*graph.inputs, *made))}


def _reads(program: Program, value: int, index: tuple[int, ...]) -> tuple[_Key, ...]:
    node = program.graph.producers.get(value)
    if node is None:
        return ()
    if node.op == "view":
        base = base_element(program, value, index)
        return () if base[0] == value else (base,)
    if node.op == "cat":
        return (_piece(program.graph, node, index),)
    if not node.is_pointwise:
        return ()
    return tuple((i, _clipped(index, program.graph.values[i].shape or ())) for i in node.inputs)


def position_at(place: Place, offset: int) -> tuple[int, ...]:
    """A position at which a tensor has the element `offset` elements behind its first."""
    dims = sorted(range(len(place.shape)), key=lambda dim: place.strides[dim], reverse=True)
    found = solve([(place.shape[dim], place.strides[dim]) for dim in dims], offset)
    assert found is not None
    index = [0] * len(dims)
    for dim, number in zip(dims, found, strict=True):
        index[dim] = number
    return tuple(index)


def solve(dims: Sequence[tuple[int, int]], offset: int) -> list[int] | None:
    """Numbers below the extents with this sum of strides; the first guess is nearly always it."""
    if not dims:
        return None if offset else []
    (extent, stride), *inner = dims
    most = min(offset // stride, extent - 1) if stride else 0
    for number in range(most, -1, -1):
        rest = solve(inner, offset - number * stride)
        if rest is not None:
            return [number, *rest]
    return None


def _piece(graph: Graph, cat: Node, index: tuple[int, ...]) -> _Key:
    """The piece of a cat that holds the element, and where in it."""
    dim = cat.attr("dim")
    assert isinstance(dim, int)
    number = index[dim]
    for piece in cat.inputs:
        shape = graph.values[piece].shape
        assert shape is not None
        if number < shape[dim]:
            return piece, (*index[:dim], number, *index[dim:][1:])
        number -= shape[dim]
    raise AssertionError("the pieces of a cat make up its extent")


def _clipped(index: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The position in an operand of that shape, which may be broadcast."""
    own = index[len(index) - len(shape) :]
    return tuple(0 if extent == 1 else number for number, extent in zip(own, shape, strict=True))
