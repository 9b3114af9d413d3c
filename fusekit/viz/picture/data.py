"""The picture as data: what a page needs to fold, unfold and compare it without asking Python.

Short keys and numbers, because it is saved with every notebook: `static/js/fold.js` reads it, and
says what each field is. Equal texts and equal layouts are stored once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fusekit.viz.model.schema import Model
from fusekit.viz.picture.folding import LIMIT, Fold, Item, fold
from fusekit.viz.picture.graphvizrun import Clock
from fusekit.viz.picture.layout import Layout, LayoutTimeoutError, Rect, dot_text, lay_out
from fusekit.viz.picture.pieces import ROOT, Piece, pieces
from fusekit.viz.picture.scene import Box, Scene, Story, Wire, flat_scene

__all__ = ["picture_data"]

_KINDS = ("op", "input", "output", "opaque", "scalar", "group", "fold", "repeat", "tag")
_WIRES = ("", "seam", "memory")


def picture_data(model: Model, *, limit: int = LIMIT, clock: Clock | None = None) -> str:
    """JSON; "" where nothing can be laid out. What takes too long cannot be unfolded.

    Args:
        model: what is drawn.
        limit: a graph of as many nodes is drawn whole at first.
        clock: the time that all layouts may take together.
    """
    writer = _Writer(model, clock or Clock())
    after = writer.state(Story(model), limit)
    before = writer.state(Story(model, fused=False), limit)
    if after is None or before is None:
        return ""
    data = {
        "after": after,
        "before": before,
        "launches": [model["totals"]["eager_launches"], model["totals"]["launches"]],
        "boxes": writer.boxes,
        "layouts": writer.layouts,
        "texts": writer.texts,
    }
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False)


class _Writer:
    """Numbers texts, boxes and layouts as they come."""

    def __init__(self, model: Model, clock: Clock) -> None:
        self.model = model
        self.clock = clock
        self.texts: list[str] = []
        self.boxes: list[list[Any]] = []
        self.layouts: list[list[Any]] = []
        self._text: dict[str, int] = {}
        self._box: dict[str, int] = {}
        self._laid: dict[str, int | None] = {}

    def state(self, story: Story, limit: int) -> dict[str, Any] | None:
        """The graph before or after fusion; None if not even its first level has a layout."""
        items = fold(self.model, limit=limit, grouped=story.fused)
        found = pieces(story, items)
        try:
            flat = self._flat(story) if len(story.nodes) <= limit else None
            written = {ROOT: self._piece(found[ROOT])}
        except LayoutTimeoutError:
            return None
        if written[ROOT] is None:
            return None
        for key, piece in found.items():
            if key != ROOT:
                try:
                    written[key] = self._piece(piece)
                except LayoutTimeoutError:
                    written[key] = None
        place = {key: i for i, key in enumerate(written)}
        folds = [
            [self._box[item.key], place[item.key]]
            for item in _folds(items)
            if written[item.key] is not None and item.key in self._box
        ]
        return {"pieces": list(written.values()), "folds": folds, "flat": flat}

    def _flat(self, story: Story) -> list[Any] | None:
        """The whole graph with frames around groups: laid out better than pieces can be."""
        scene = flat_scene(story)
        layout = lay_out(scene, clock=self.clock)
        if layout is None:
            return None
        self.layouts.append(_layout(scene, layout))
        names = {box.key: i for i, box in enumerate(scene.boxes)}
        frames = [
            [self._words(cluster.title), self._words(cluster.label), cluster.index, *_rect(at)]
            for cluster in scene.clusters
            if (at := layout.clusters.get(cluster.index)) is not None
        ]
        boxes = [self._written(box) for box in scene.boxes]
        wires = [self._wire(wire, names) for wire in scene.wires]
        return [len(self.layouts) - 1, boxes, wires, frames]

    def _piece(self, piece: Piece) -> list[Any] | None:
        scene = piece.scene()
        text = dot_text(scene, labels=False)
        if text not in self._laid:
            layout = lay_out(scene, direction="TB", clock=self.clock)
            self._laid[text] = None if layout is None else len(self.layouts)
            if layout is not None:
                self.layouts.append(_layout(scene, layout))
        number = self._laid[text]
        if number is None:
            return None
        names = {box.key: i for i, box in enumerate(piece.boxes)}
        names |= {f"i{i}": -1 - 2 * i for i in range(len(piece.inputs))}
        names |= {f"o{i}": -2 - 2 * i for i in range(len(piece.outputs))}
        boxes = [self._written(box) for box in piece.boxes]
        wires = [self._wire(wire, names) for wire in piece.wires]
        return [number, boxes, wires, list(piece.inputs), list(piece.outputs)]

    def _written(self, box: Box) -> int:
        """The number of a box: key, texts, kind, group, values, line."""
        if box.key not in self._box:
            self._box[box.key] = len(self.boxes)
            words = [self._words(text) for text in (box.label, box.detail, box.code, box.title)]
            group = -1 if box.group is None else box.group
            line = -1 if box.line is None else box.line
            self.boxes.append(
                [box.key, *words, _KINDS.index(box.kind), group, line, *_spans(box.values)]
            )
        return self._box[box.key]

    def _wire(self, wire: Wire, names: dict[str, int]) -> list[Any]:
        return [
            names[wire.tail],
            names[wire.head],
            wire.value,
            self._words(wire.title),
            self._words(wire.code),
            round(wire.width, 1),
            _WIRES.index(wire.kind),
        ]

    def _words(self, text: str) -> int:
        if text not in self._text:
            self._text[text] = len(self.texts)
            self.texts.append(text)
        return self._text[text]


def _folds(items: Sequence[Item]) -> list[Fold]:
    found: list[Fold] = []
    for item in items:
        if isinstance(item, Fold):
            found += [item, *_folds(item.items)]
    return found


def _spans(values: Sequence[int]) -> list[int]:
    """Values as ranges, first and last: a layer makes hundreds that follow one another."""
    found: list[int] = []
    for value in sorted(set(values)):
        if found and found[-1] == value - 1:
            found[-1] = value
        else:
            found += [value, value]
    return found


def _layout(scene: Scene, layout: Layout) -> list[Any]:
    """Width, height, boxes, wires, badges, and where the ports are along the border."""
    inside = [box for box in scene.boxes if box.kind != "port"]
    ports = [box.key for box in scene.boxes if box.kind == "port"]
    return [
        round(layout.width),
        round(layout.height),
        [number for box in inside for number in _rect(layout.boxes[box.key])],
        [[round(each) for point in wire for each in point] for wire in layout.wires],
        [[round(at[0]), round(at[1])] if at else 0 for at in layout.badges],
        *([round(_middle(layout.boxes[p])) for p in ports if p.startswith(side)] for side in "io"),
    ]


def _rect(at: Rect) -> list[int]:
    return [round(at.x), round(at.y), round(at.width), round(at.height)]


def _middle(at: Rect) -> float:
    return at.x + at.width / 2
