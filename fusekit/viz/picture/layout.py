"""Where things go: DOT out of a scene, coordinates out of DOT.

Graphviz lays out, but does not draw: boxes get their size here, and only positions come back, so
pictures look alike whichever Graphviz served, and nothing that it prints reaches a page.
"""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

from fusekit.viz.need import need
from fusekit.viz.picture.graphvizrun import Clock, LayoutTimeoutError, run_dot
from fusekit.viz.picture.scene import NARROW, Box, Scene

__all__ = ["Layout", "LayoutTimeoutError", "Point", "Rect", "dot_text", "lay_out", "size_of"]

Point = tuple[float, float]


@dataclasses.dataclass(frozen=True, slots=True)
class Rect:
    """Left, top, width and height, in pixels."""

    x: float
    y: float
    width: float
    height: float


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """Positions, top left being (0, 0).

    Attributes:
        width: of the whole.
        height: of the whole.
        boxes: key -> where.
        clusters: group index -> where.
        wires: for each wire of the scene, its Bezier control points (1 + 3 n), tail to head.
        badges: for each wire of the scene, the middle of its badge, if it has one.
    """

    width: float
    height: float
    boxes: dict[str, Rect]
    clusters: dict[int, Rect]
    wires: tuple[tuple[Point, ...], ...]
    badges: tuple[Point | None, ...]


def size_of(box: Box) -> tuple[float, float]:
    """Width and height of a box, from estimates of its text's width: fonts differ by browser."""
    folded = 2 if box.kind in ("group", "fold", "repeat") else 0  # a page shows a mark before it
    label = max(len(box.label) * 8.0, _bold(box.label) - 12)  # half the room around it at most
    widest = max(label + folded * 8.0, len(box.detail) * 6.7, len(box.code) * 7.0)
    if box.kind == "tag":
        return max(40.0, len(box.label) * 6.8 + 18), 22
    height = 26 if box.kind == "scalar" else 44
    if box.kind == "scalar":
        widest = (len(box.label) + len(box.detail) + 2) * 6.8
    return max(54.0, widest + 24), height + (15 if box.code else 0)


def _bold(text: str) -> float:
    """The width of a label in the widest of the usual fonts, DejaVu Sans Bold of 13 pixels."""
    return sum(_WIDTHS.get(sign, 9.3) for sign in text)


_WIDTHS = {
    **dict.fromkeys("ijl.,:;'| ", 4.6),
    **dict.fromkeys("frt_-/()[]", 6.6),
    **dict.fromkeys("mwMW@%…", 13.6),
}
"""Pixels of the signs that are narrower or wider than most."""


def dot_text(scene: Scene, *, direction: str = "TB", labels: bool = True) -> str:
    """The scene in DOT, by the `graphviz` package; every text of the user's is escaped.

    Without `labels`, boxes have only their size, and what is equal but for its words is equal.
    """
    graphviz = need("graphviz", "drawing a graph")
    graph = graphviz.Digraph("fusion")
    graph.attr(rankdir=direction, nodesep="0.28", ranksep="0.42", margin="0", fontname="Helvetica")
    graph.attr("node", shape="box", style="rounded", fixedsize="true", fontname="Helvetica")
    graph.attr("edge", arrowsize="0.6", fontname="Courier", fontsize="11")
    for box in scene.boxes:
        if box.kind != "port":
            _dot_node(graph, graphviz.escape, box, labels=labels)
    _dot_ports(graph, scene)
    for cluster in scene.clusters:
        with graph.subgraph(name=f"cluster_{cluster.index}") as inner:
            inner.attr(
                label=graphviz.escape(cluster.label), labeljust="l", fontsize="14", margin="14"
            )
            for member in cluster.members:
                inner.node(member)
    _dot_wires(graph, graphviz.escape, scene)
    return str(graph.source)


def _dot_ports(graph: Any, scene: Scene) -> None:
    """Ends of wires at the upper and the lower border."""
    for rank, letter in (("source", "i"), ("sink", "o")):
        ports = [b.key for b in scene.boxes if b.kind == "port" and b.key.startswith(letter)]
        if ports:
            with graph.subgraph() as border:
                border.attr(rank=rank)
                for port in ports:
                    border.node(port, shape="point", width="0.01", style="invis")


def _dot_wires(graph: Any, escape: Any, scene: Scene) -> None:
    beside = ("input", "scalar", "output", "tag", "port")
    computed = {box.key for box in scene.boxes if box.kind not in beside}
    for index, wire in enumerate(scene.wires):
        # Without an id, edges between the same two nodes could not be told apart afterwards.
        extra = {"label": escape(f"  {wire.code}  ")} if wire.code else {}
        if wire.width > NARROW:  # a wide wire has a long arrow
            extra["arrowsize"] = f"{0.6 + wire.width / 14:.2f}"
        if wire.tail in computed and wire.head in computed:
            extra["weight"] = "4"  # what is computed from one another stands in one line
        graph.edge(wire.tail, wire.head, id=f"e{index}", **extra)


def _dot_node(graph: Any, escape: Any, box: Box, *, labels: bool) -> None:
    width, height = size_of(box)
    style = {"opaque": "rounded,dashed", "scalar": "rounded,dotted"}.get(box.kind, "rounded")
    words = (box.label, box.detail, box.code) if labels else ()
    label = escape("\n".join(part for part in words if part))
    graph.node(
        box.key, label=label, style=style, width=f"{width / 72:.4f}", height=f"{height / 72:.4f}"
    )


def lay_out(
    scene: Scene, *, direction: str | None = None, clock: Clock | None = None
) -> Layout | None:
    """Positions for `scene`, or None when no Graphviz is here (or it failed).

    Without a direction, downwards or rightwards, whichever is read at the larger scale.

    Raises:
        LayoutTimeoutError: the time of `clock`, or of one made here, is up.
    """
    if not scene.boxes:
        return None
    clock = clock or Clock()
    found = [_one(scene, each, clock) for each in ([direction] if direction else ["TB", "LR"])]
    return max((item for item in found if item), key=_scale, default=None)


def _scale(layout: Layout) -> float:
    """How large it can be shown in a notebook's column, on one screen."""
    return min(1.0, 960 / max(layout.width, 1), 640 / max(layout.height, 1))


def _one(scene: Scene, direction: str, clock: Clock) -> Layout | None:
    data = run_dot(dot_text(scene, direction=direction, labels=False), clock)
    if data is None:
        return None
    try:
        return _read(json.loads(data), scene)
    except (ValueError, KeyError):  # some other program called dot
        return None


def _read(data: dict[str, Any], scene: Scene) -> Layout:
    _, _, width, height = _numbers(data["bb"])
    boxes: dict[str, Rect] = {}
    clusters: dict[int, Rect] = {}
    for item in data.get("objects", ()):
        name = item["name"]
        if name.startswith("cluster_"):
            left, bottom, right, top = _numbers(item["bb"])
            clusters[int(name[8:])] = Rect(left, height - top, right - left, top - bottom)
        elif "pos" in item:  # a node, not the border of a piece
            x, y = _numbers(item["pos"])
            w, h = float(item["width"]) * 72, float(item["height"]) * 72
            boxes[name] = Rect(x - w / 2, height - y - h / 2, w, h)
    edges = {item["id"]: item for item in data.get("edges", ())}
    wires = tuple(_spline(edges[f"e{i}"]["pos"], height) for i in range(len(scene.wires)))
    badges = tuple(_badge(edges[f"e{i}"], height) for i in range(len(scene.wires)))
    return Layout(math.ceil(width), math.ceil(height), boxes, clusters, wires, badges)


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def _spline(text: str, height: float) -> tuple[Point, ...]:
    """Control points of `e,X,Y p0 p1 ...`; the arrow's tip goes last, as a point of its own."""
    tip: list[Point] = []
    points: list[Point] = []
    for part in text.partition(";")[0].split():
        if part.startswith("s,"):
            continue
        into = tip if part.startswith("e,") else points
        x, y = _numbers(part.removeprefix("e,"))
        into.append((x, height - y))
    return (*points, *(tip or points[-1:]))


def _badge(edge: dict[str, Any], height: float) -> Point | None:
    if "lp" not in edge:
        return None
    x, y = _numbers(edge["lp"])
    return x, height - y
