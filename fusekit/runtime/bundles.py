"""Bundles: many elements of one value, and which elements of other values they are made from.

`elements` follows one element; here the same ways are gone by thousands at once, so that they can
be computed as vectors. Positions are row-major numbers; they follow a value through broadcasting,
views and cats to where its memory is.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterable, Sequence

import torch

from fusekit.ir import Graph, Node
from fusekit.ir.graph import contiguous_strides
from fusekit.runtime.elements import position_at
from fusekit.runtime.place import Place
from fusekit.runtime.program import places_of
from fusekit.runtime.reruns import rerun

__all__ = ["Bundle", "Bundles", "evenly"]

Assemble = Callable[[Sequence[torch.Tensor]], torch.Tensor]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """Elements of one value, as `elements.Element` is one.

    Attributes:
        value: its id in the graph.
        where: their positions, row by row, on the CPU.
        node: what makes it; None for an argument.
        stage: equal for neighbours in the list that hold as many elements.
        reads: positions, in the list of all bundles, of those it is made from.
        assemble: for what is not pointwise: the elements, given those of `reads`.
    """

    value: int
    where: torch.Tensor
    node: Node | None
    stage: int
    reads: tuple[int, ...]
    assemble: Assemble

    @property
    def is_computed(self) -> bool:
        """True for a pointwise node's, literals included."""
        return self.node is not None and self.node.is_pointwise

    @property
    def is_const(self) -> bool:
        """True for a literal."""
        return self.node is not None and self.node.op == "const"


_Key = tuple[int, int]
"""A value, and the number of a set of positions."""


def evenly(numel: int, limit: int) -> torch.Tensor:
    """At most `limit` positions of `numel`, evenly spaced, the first and the last among them."""
    if numel <= limit:
        return torch.arange(numel)
    return torch.arange(limit) * (numel - 1) // (limit - 1)


class Bundles:
    """All bundles that some elements depend on.

    Args:
        graph: a captured graph, with shapes, whose views are where the user wrote them.
        through_calls: follow what PyTorch runs to its arguments, all elements of them, where it
            can be run again; else its results are given.
    """

    def __init__(self, graph: Graph, *, through_calls: bool = False) -> None:
        self._graph = graph
        self._through_calls = through_calls
        self._places = places_of(graph, in_cats=False)
        self._sets: list[torch.Tensor] = []
        self._numbers: dict[bytes, int] = {}
        self._derived: dict[object, int] = {}
        self._made: dict[int, dict[int, torch.Tensor]] = {}

    def of(self, wanted: Iterable[tuple[int, torch.Tensor]]) -> tuple[list[Bundle], list[int]]:
        """The bundles in data-flow order, and where in the list each of `wanted` is."""
        asked = [(value, self._number(where)) for value, where in wanted]
        found: dict[_Key, tuple[tuple[_Key, ...], Assemble]] = {}
        pending = list(asked)
        while pending:
            key = pending.pop()
            if key not in found:
                found[key] = self._reads(*key)
                pending += found[key][0]
        made = (out for node in self._graph.nodes for out in node.outputs)
        rank = {value: number for number, value in enumerate((*self._graph.inputs, *made))}

        def place(key: _Key) -> tuple[int, bool, int]:
            value, number = key  # some of a call's elements come after all of them
            return rank[value], value in [read for read, _ in found[key][0]], number

        order = sorted(found, key=place)
        at = {key: number for number, key in enumerate(order)}
        bundles: list[Bundle] = []
        stage, last = 0, None
        for key in order:
            node = self._graph.producers.get(key[0])
            where = self._sets[key[1]]
            if node is not None and node.is_pointwise and len(where) != last:
                stage, last = stage + 1, len(where)
            reads, assemble = found[key]
            bundles.append(
                Bundle(key[0], where, node, stage, tuple(at[read] for read in reads), assemble)
            )
        return bundles, [at[key] for key in asked]

    def _number(self, where: torch.Tensor) -> int:
        """The set's number: equal sets are one."""
        digest = hashlib.blake2b(where.numpy().tobytes()).digest()
        if digest not in self._numbers:
            self._numbers[digest] = len(self._sets)
            self._sets.append(where)
        return self._numbers[digest]

    def _once(self, key: object, make: Callable[[], torch.Tensor]) -> int:
        if key not in self._derived:
            self._derived[key] = self._number(make())
        return self._derived[key]

    def _shape(self, value: int) -> tuple[int, ...]:
        return self._graph.values[value].shape or ()

    def _reads(self, value: int, number: int) -> tuple[tuple[_Key, ...], Assemble]:
        node = self._graph.producers.get(value)
        if node is None or node.op in ("index", "const"):
            return (), _only
        if node.op == "view":
            return self._through_view(value, number)
        if node.op == "cat":
            return self._through_cat(node, number)
        if node.op == "call":
            return self._through_call(node, value, number)
        shape = self._shape(value)
        return tuple(
            (i, self._broadcast(number, shape, self._shape(i))) for i in node.inputs
        ), _only

    def _broadcast(self, number: int, shape: tuple[int, ...], own: tuple[int, ...]) -> int:
        """The positions in an operand of shape `own`; one is enough where it has but one."""
        if own == shape:
            return number
        if math.prod(own) == 1:
            return self._once("one", lambda: torch.zeros(1, dtype=torch.int64))
        strides = [
            0 if extent == 1 else step
            for extent, step in zip(own, contiguous_strides(own), strict=True)
        ]
        steps = [0] * (len(shape) - len(own)) + strides

        def make() -> torch.Tensor:
            return _dot(self._sets[number], shape, steps)

        return self._once(("broadcast", number, shape, own), make)

    def _through_view(self, value: int, number: int) -> tuple[tuple[_Key, ...], Assemble]:
        place = self._places.get(value)
        if place is None or place.base == value:  # it looks at what has no strides
            return (), _only
        base = self._places[place.base]

        def make() -> torch.Tensor:
            offsets = _dot(self._sets[number], place.shape, place.strides) + place.offset
            return _positions(base, offsets)

        read = self._once(("view", number, place.geometry, base.geometry), make)
        return ((place.base, read),), _only

    def _through_cat(self, node: Node, number: int) -> tuple[tuple[_Key, ...], Assemble]:
        """Each piece's elements, and where among all of them they belong."""
        shape, dim = self._shape(node.output), node.attr("dim")
        assert isinstance(dim, int)
        where = self._sets[number]
        index = list(torch.unravel_index(where, shape))
        reads, targets, start = [], [], 0
        for piece in node.inputs:
            extent = self._shape(piece)[dim]
            mine = (index[dim] >= start) & (index[dim] < start + extent)
            if bool(mine.any()):
                own = [each[mine] for each in index]
                own[dim] = own[dim] - start
                reads.append((piece, self._number(_ravel(own, self._shape(piece)))))
                targets.append(mine.nonzero().squeeze(1))
            start += extent

        def assemble(parts: Sequence[torch.Tensor]) -> torch.Tensor:
            made = torch.empty(len(where), dtype=parts[0].dtype, device=parts[0].device)
            for target, part in zip(targets, parts, strict=True):
                made[target.to(made.device)] = part
            return made

        return tuple(reads), assemble

    def _through_call(
        self, node: Node, value: int, number: int
    ) -> tuple[tuple[_Key, ...], Assemble]:
        run = rerun(self._graph, node) if self._through_calls else None
        if run is None:
            return (), _only
        where = self._sets[number]
        whole = self._whole(value)
        if whole != number:
            return ((value, whole),), lambda parts: parts[0][where.to(parts[0].device)]
        made = self._made.setdefault(id(node), {})

        def assemble(parts: Sequence[torch.Tensor]) -> torch.Tensor:
            if not made:
                made.update(run(parts))
            return made[value].reshape(-1)

        return tuple((i, self._whole(i)) for i in node.inputs), assemble

    def _whole(self, value: int) -> int:
        numel = math.prod(self._shape(value))
        return self._once(("whole", numel), lambda: torch.arange(numel))


def _only(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    return parts[0]


def _dot(where: torch.Tensor, shape: Sequence[int], steps: Sequence[int]) -> torch.Tensor:
    """Row-major positions in `shape` as offsets under other strides."""
    found = torch.zeros_like(where)
    rest = where
    for extent, step in zip(reversed(shape), reversed(steps), strict=True):
        if extent > 1:
            found += (rest % extent) * step
            rest = rest // extent
    return found


def _ravel(index: Sequence[torch.Tensor], shape: tuple[int, ...]) -> torch.Tensor:
    pairs = zip(index, contiguous_strides(shape), strict=True)
    return sum((each * step for each, step in pairs), torch.zeros_like(index[0]))


def _positions(base: Place, offsets: torch.Tensor) -> torch.Tensor:
    """Row-major positions at which a tensor has the elements at these offsets of its memory."""
    dims = sorted(range(len(base.shape)), key=lambda dim: base.strides[dim], reverse=True)
    steps = contiguous_strides(base.shape)
    rest, found = offsets.clone(), torch.zeros_like(offsets)
    for dim in dims:
        if base.strides[dim] and base.shape[dim] > 1:
            number = torch.clamp(rest // base.strides[dim], max=base.shape[dim] - 1)
            rest -= number * base.strides[dim]
            found += number * steps[dim]
    for odd in rest.nonzero().flatten().tolist():  # memory that overlaps itself: search
        index = position_at(base, int(offsets[odd]))
        found[odd] = sum(number * step for number, step in zip(index, steps, strict=True))
    return found
