"""Nodes in data-flow order, of which any may give way to others at no cost that grows with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fusekit.ir import Node

__all__ = ["NodeSequence"]

_END = 0
"""The spot before the first node and after the last."""


class NodeSequence:
    """A linked list of nodes, with makers and readers kept up to date.

    A *spot* is a number that names a node as long as it is in the list.
    """

    def __init__(self, nodes: Iterable[Node]) -> None:
        """Start from `nodes`, in their order."""
        self._nodes: dict[int, Node] = {}
        self._next = {_END: _END}
        self._previous = {_END: _END}
        self._makers: dict[int, int] = {}
        self._readers: dict[int, dict[int, None]] = {}
        self._count = 0
        self._insert(_END, nodes)

    def __iter__(self) -> Iterator[Node]:
        """The nodes, in order."""
        return (self._nodes[spot] for spot in self.spots())

    def __getitem__(self, spot: int) -> Node:
        """The node at a spot."""
        return self._nodes[spot]

    def spots(self) -> Iterator[int]:
        """All spots, first to last; the current one and later ones may be replaced meanwhile."""
        before = _END
        while (spot := self._next[before]) != _END:
            yield spot
            if spot in self._nodes:
                before = spot

    def spots_backwards(self) -> Iterator[int]:
        """All spots, last to first; the current one and later ones may be replaced meanwhile."""
        spot = self._previous[_END]
        while spot != _END:
            before = self._previous[spot]
            yield spot
            spot = before

    def maker(self, value: int) -> int | None:
        """The spot of the node that makes a value; None for an input."""
        return self._makers.get(value)

    def readers(self, value: int) -> list[int]:
        """The spots of the nodes that read a value."""
        return list(self._readers.get(value, ()))

    def replace(self, spot: int, nodes: Iterable[Node] = ()) -> list[int]:
        """Put other nodes, or none, where a node was; their spots."""
        node = self._nodes.pop(spot)
        before, after = self._previous.pop(spot), self._next.pop(spot)
        self._next[before], self._previous[after] = after, before
        for operand in node.inputs:
            self._readers[operand].pop(spot, None)
        for result in node.outputs:
            if self._makers[result] == spot:
                del self._makers[result]
        return self._insert(before, nodes)

    def _insert(self, before: int, nodes: Iterable[Node]) -> list[int]:
        after = self._next[before]
        made = []
        for node in nodes:
            self._count += 1
            spot = self._count
            made.append(spot)
            self._nodes[spot] = node
            self._next[before], self._previous[spot] = spot, before
            before = spot
            for operand in node.inputs:
                self._readers.setdefault(operand, {})[spot] = None
            self._makers.update(dict.fromkeys(node.outputs, spot))
        self._next[before], self._previous[after] = after, before
        return made
