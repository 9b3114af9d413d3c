"""A scene and its layout as SVG: classes for style, data attributes for linking, no ids.

No ids, because two views of one page share one space of ids; no `<defs>`, because those of an
output that scrolled away stop applying; no font files, no scripts, no links.
"""

from __future__ import annotations

import base64
import math
from html import escape

from fusekit.viz.palette import PALETTE, fill_in, group_class, static
from fusekit.viz.picture.layout import Layout, Point, Rect
from fusekit.viz.picture.scene import Box, Cluster, Scene, Wire

__all__ = ["data_uri", "draw", "style"]

MARGIN = 8


def draw(scene: Scene, layout: Layout, *, theme: str = "auto", title: str = "") -> str:
    """One standalone SVG text. `theme` is "auto" (as the reader prefers), "light" or "dark"."""
    width, height = layout.width + 2 * MARGIN, layout.height + 2 * MARGIN
    frames = [(c, layout.clusters[c.index]) for c in scene.clusters if c.index in layout.clusters]
    size = f'width="{width:g}" height="{height:g}"'
    corner = f'x="{-MARGIN}" y="{-MARGIN}"'
    view = f'viewBox="{-MARGIN} {-MARGIN} {width:g} {height:g}"'
    # A picture of fixed colours brings its background: nobody knows where it will be pasted.
    ground = "" if theme == "auto" else f'<rect class="fk-ground" {corner} {size} rx="10"/>'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="fk-svg" {size} {view}>',
        f"<title>{escape(title)}</title>" if title else "",
        f"<style>{style(theme)}</style>",
        ground,
        *(_cluster(*frame) for frame in frames),
        *(_wire(*item) for item in zip(scene.wires, layout.wires, strict=True)),
        *(_cluster_label(*frame) for frame in frames),
        *(_box(box, layout.boxes[box.key]) for box in scene.boxes),
        *(_seam(wire, at) for wire, at in zip(scene.wires, layout.badges, strict=True) if at),
        "</svg>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def style(theme: str) -> str:
    """The style sheet inside a standalone SVG; nothing is left to variables in a fixed theme."""
    css = static("graph.css")
    if theme != "auto":
        return fill_in(css, theme)
    used = {name: both for name, both in PALETTE.items() if f"(--fk-{name})" in css}
    light, dark = ("".join(f"--fk-{n}:{p[i]};" for n, p in used.items()) for i in (0, 1))
    media = f"@media (prefers-color-scheme: dark){{.fk-svg{{{dark}}}}}"
    return f".fk-svg{{{light}}}{media}{css}"


def data_uri(svg: str) -> str:
    """`svg` as an address for `<img src>`: the only form of a picture that sanitizers keep."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode("ascii")


def _rect(at: Rect, radius: float, inset: float = 0, cls: str = "") -> str:
    name = f' class="{cls}"' if cls else ""
    return (
        f'<rect{name} x="{at.x + inset:.1f}" y="{at.y + inset:.1f}" '
        f'width="{at.width - 2 * inset:.1f}" height="{at.height - 2 * inset:.1f}" '
        f'rx="{radius:g}"/>'
    )


def _text(x: float, y: float, cls: str, text: str) -> str:
    return f'<text class="{cls}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _cluster(cluster: Cluster, at: Rect) -> str:
    return (
        f'<g class="fk-cluster {group_class(cluster.index)}" data-g="{cluster.index}">'
        f"<title>{escape(cluster.title)}</title>{_rect(at, 12)}</g>"
    )


def _cluster_label(cluster: Cluster, at: Rect) -> str:
    """Apart from its frame, because it lies over the wires, which lie over the frame."""
    label = _text(at.x + 14, at.y + 21, "fk-head", cluster.label)
    return f'<g class="{group_class(cluster.index)}">{label}</g>'


def _box(box: Box, at: Rect) -> str:
    colour = f" {group_class(box.group)}" if box.group is not None else ""
    line = f' data-l="{box.line}"' if box.line is not None else ""
    group = f' data-g="{box.group}"' if box.group is not None else ""
    values = " ".join(map(str, box.values))
    return (
        f'<g class="fk-node fk-k-{box.kind}{colour}" data-n="{box.key}" data-v="{values}"'
        f"{line}{group}><title>{escape(box.title)}</title>{_shape(box, at)}{_words(box, at)}</g>"
    )


def _shape(box: Box, at: Rect) -> str:
    radius = at.height / 2 if box.kind in ("input", "output", "scalar", "tag") else 8
    inner = _rect(at, radius - 3, 3, "fk-inner") if box.kind in ("output", "group") else ""
    cards = _cards(at) if box.kind == "repeat" else ""
    return cards + _rect(at, radius) + inner


def _cards(at: Rect) -> str:
    """The borders of two more boxes behind one that stands for many."""
    right, bottom = at.x + at.width, at.y + at.height
    path = "".join(
        f"M{at.x + d + 6:.1f},{bottom + d:.1f}H{right + d - 8:.1f}q8,0 8,-8V{at.y + d + 6:.1f}"
        for d in (3, 6)
    )
    return f'<path class="fk-cards" d="{path}"/>'


def _words(box: Box, at: Rect) -> str:
    middle = at.x + at.width / 2
    if box.kind == "scalar":
        return _text(middle, at.y + 17, "fk-small", f"{box.label}: {box.detail}")
    if box.kind == "tag":
        return _text(middle, at.y + 15, "fk-small", box.label)
    lines = _text(middle, at.y + 19, "fk-label", box.label)
    lines += _text(middle, at.y + 34, "fk-small", box.detail)
    if box.code:
        lines += _text(middle, at.y + 49, "fk-code-id", box.code)
    return lines


def _wire(wire: Wire, points: tuple[Point, ...]) -> str:
    *curve, tip = points
    start, rest = curve[0], curve[1:]
    path = f"M{_at(start)}" + "".join(
        f"C{_at(a)} {_at(b)} {_at(c)}"
        for a, b, c in zip(rest[::3], rest[1::3], rest[2::3], strict=True)
    )
    cls = f"fk-edge fk-{wire.kind}" if wire.kind else "fk-edge"
    return (
        f'<g class="{cls}" data-v="{wire.value}" data-e="{wire.tail} {wire.head}">'
        f"<title>{escape(wire.title)}</title>"
        f'<path d="{path}" stroke-width="{wire.width:.2f}"/>'
        f"{_arrow(curve[-1], tip, wire)}</g>"
    )


def _arrow(base: Point, tip: Point, wire: Wire) -> str:
    dx, dy = tip[0] - base[0], tip[1] - base[1]
    length = math.hypot(dx, dy) or 1.0
    half = 3.2 + wire.width / 2
    px, py = -dy / length * half, dx / length * half
    corners = (tip, (base[0] + px, base[1] + py), (base[0] - px, base[1] - py))
    return f'<polygon points="{" ".join(_at(corner) for corner in corners)}"/>'


def _at(point: Point) -> str:
    return f"{point[0]:.1f},{point[1]:.1f}"


def _seam(wire: Wire, at: Point) -> str:
    width = len(wire.code) * 7.2 + 14
    box = Rect(at[0] - width / 2, at[1] - 9, width, 18)
    return (
        f'<g class="fk-badge" data-v="{wire.value}"><title>{escape(wire.title)}</title>'
        f"{_rect(box, 9)}{_text(at[0], at[1] + 4, 'fk-code-id', wire.code)}</g>"
    )
