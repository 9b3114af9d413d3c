"""The picture in pieces: each fold by itself, with ports where wires cross its border.

A page puts the pieces together as folds open and close. What is equal is laid out once.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

from fusekit.viz.model.schema import Edge
from fusekit.viz.picture.folding import Fold, Item
from fusekit.viz.picture.scene import Box, Scene, Story, Wire, keep, key_of

__all__ = ["ROOT", "Piece", "pieces"]

ROOT = ""
"""The key of the whole."""

FAN = 6
"""A tensor that more boxes of a level read is named beside them."""


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """The inside of a fold.

    Attributes:
        key: the fold's, or `ROOT`.
        boxes: what is in it, one box for each item, and tags.
        inputs: the values that come in, one port for each.
        outputs: the values that go out.
        wires: between boxes; port number 3 of the inputs is "i3", of the outputs "o3".
    """

    key: str
    boxes: tuple[Box, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    wires: tuple[Wire, ...]

    def scene(self) -> Scene:
        """What a layout is made of: boxes are named by their number, so equal pieces are equal."""
        names = {box.key: f"b{index}" for index, box in enumerate(self.boxes)}
        ports = [f"i{i}" for i in range(len(self.inputs))]
        ports += [f"o{i}" for i in range(len(self.outputs))]
        boxes = [dataclasses.replace(box, key=names[box.key]) for box in self.boxes]
        boxes += [Box(port, "", "", "port", None, (), None, "", "") for port in ports]
        wires = [
            dataclasses.replace(
                wire, tail=names.get(wire.tail, wire.tail), head=names.get(wire.head, wire.head)
            )
            for wire in self.wires
        ]
        return Scene(tuple(boxes), tuple(wires))


class _Growing:
    """A piece while its wires are found."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.inputs: dict[int, str] = {}
        self.outputs: dict[int, str] = {}
        self.wires: dict[tuple[str, str, int], Wire] = {}

    def input(self, value: int) -> str:
        return self.inputs.setdefault(value, f"i{len(self.inputs)}")

    def output(self, value: int) -> str:
        return self.outputs.setdefault(value, f"o{len(self.outputs)}")


def pieces(story: Story, items: Sequence[Item]) -> dict[str, Piece]:
    """All pieces of a tree, the whole first."""
    growing: dict[str, _Growing] = {}
    paths: dict[int, tuple[str, ...]] = {}
    _open(items, ROOT, (), growing, paths)
    for edge in story.model["graph"]["edges"]:
        tail, head = (paths[story.number[end]] for end in (edge["source"], edge["target"]))
        _draw(story, edge, tail, head, growing)
    return {key: _piece(story, key, each) for key, each in growing.items()}


def _open(
    items: Sequence[Item],
    key: str,
    above: tuple[str, ...],
    growing: dict[str, _Growing],
    paths: dict[int, tuple[str, ...]],
) -> None:
    """Note each node's way down: the boxes it is in, outermost first, and its own."""
    growing[key] = _Growing(items)
    for item in items:
        way = (*above, key_of(item))
        if isinstance(item, Fold):
            _open(item.items, item.key, way, growing, paths)
        else:
            paths[item] = way


def _draw(
    story: Story,
    edge: Edge,
    tail: tuple[str, ...],
    head: tuple[str, ...],
    growing: dict[str, _Growing],
) -> None:
    """A wire in the piece where the ends part, and one on each side for each border between."""
    depth = 0
    while tail[depth] == head[depth]:
        depth += 1
    common = growing[tail[depth - 1] if depth else ROOT]
    keep(common.wires, story.wire(edge, tail[depth], head[depth]))
    value = edge["value"]
    for at in range(depth, len(tail) - 1):
        piece = growing[tail[at]]
        keep(piece.wires, _plain(story.wire(edge, tail[at + 1], piece.output(value))))
    for at in range(depth, len(head) - 1):
        piece = growing[head[at]]
        keep(piece.wires, _plain(story.wire(edge, piece.input(value), head[at + 1])))


def _plain(wire: Wire) -> Wire:
    """The badge of a seam is on its longest part alone."""
    return dataclasses.replace(wire, code="")


def _piece(story: Story, key: str, growing: _Growing) -> Piece:
    boxes = [
        story.fold_box(item) if isinstance(item, Fold) else story.node_box(item)
        for item in growing.items
    ]
    tags, wires = _tagged(story, key, list(growing.wires.values()))
    boxes += tags
    return Piece(key, tuple(boxes), tuple(growing.inputs), tuple(growing.outputs), tuple(wires))


def _tagged(story: Story, key: str, wires: list[Wire]) -> tuple[list[Box], list[Wire]]:
    """Tags for a tensor that many read: long wires side by side make a picture broad.

    The first reader keeps the wire; each other one has a small box with the tensor's name.
    """
    readers = Counter((wire.tail, wire.value) for wire in wires)
    seen: set[tuple[str, int]] = set()
    tags: list[Box] = []
    drawn: list[Wire] = []
    for wire in wires:
        source = wire.tail, wire.value
        if source in seen:
            name = f"{'t' if story.fused else 'u'}{key}-{len(tags)}"
            tags.append(story.tag(name, wire))
            drawn.append(dataclasses.replace(wire, tail=name))
            continue
        drawn.append(wire)
        if readers[source] > FAN:
            seen.add(source)
    return tags, drawn
