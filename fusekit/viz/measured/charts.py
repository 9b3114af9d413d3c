"""What all charts share: axes, ticks, marks, and the standalone SVG that `<img>` shows.

A chart is drawn in light and in dark, as the reader prefers, needs no script, and has a sentence
for those who do not see it. Marks differ in shape, dash or label, never in colour alone.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Sequence
from functools import cache
from html import escape

from fusekit.viz.palette import PALETTE, static
from fusekit.viz.picture.draw import data_uri
from fusekit.viz.words import visible

__all__ = ["SHAPES", "Axis", "chart", "figure", "line", "mark", "rule", "text"]

_MANTISSAS = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0))

_MOST_TICKS = 9

SHAPES = ("circle", "square", "diamond", "up", "down")
"""Marks, in the order in which series take them."""


@dataclasses.dataclass(frozen=True, slots=True)
class Axis:
    """A logarithmic scale: from `low` at the pixel `start` to `high` at the pixel `end`."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float, room: float = 1.06) -> Axis:
        """One that holds all (positive) values, with a factor of `room` at either end."""
        low, high = min(values, default=1.0), max(values, default=1.0)
        return cls(low / room, high * room, start, end)

    def at(self, value: float) -> float:
        """Where a value lies, kept inside."""
        inside = min(max(value, self.low), self.high)
        share = math.log(inside / self.low) / (math.log(self.high / self.low) or 1.0)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values, as many as can be told apart, at least two."""
        best: list[float] = []
        for mantissas in _MANTISSAS:
            found = self._ticks(mantissas)
            if len(found) > _MOST_TICKS and best:
                break
            best = found[:: math.ceil(len(found) / _MOST_TICKS)] if found else best
        return best if len(best) >= 2 else self._even()

    def _ticks(self, mantissas: Sequence[float]) -> list[float]:
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        every = [m * 10.0**e for e in range(first, last + 1) for m in mantissas]
        return [tick for tick in every if self.low <= tick <= self.high]

    def _even(self) -> list[float]:
        """Multiples of a round step, for a range within one decade."""
        span = self.high - self.low
        step = 10.0 ** math.floor(math.log10(span or 1.0))
        step = next(s for s in (step / 5, step / 2, step, 2 * step) if span / s <= 6)
        first = math.ceil(self.low / step)
        return [n * step for n in range(first, first + 12) if n * step <= self.high]


@cache
def _style() -> str:
    css = static("chart.css")
    used = sorted(set(re.findall(r"var\(--fk-([a-z0-9-]+)\)", css)) & set(PALETTE))
    light, dark = ("".join(f"--fk-{n}:{PALETTE[n][i]};" for n in used) for i in (0, 1))
    media = f"@media (prefers-color-scheme: dark){{.fk-svg{{{dark}}}}}"
    return f".fk-svg{{{light}}}{media}{css}"


def chart(width: float, height: float, parts: Sequence[str]) -> str:
    """A standalone SVG of these parts."""
    size = f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
    body = "".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="fk-svg" {size}>'
        f"<style>{_style()}</style>{body}</svg>"
    )


def figure(svg: str, alt: str, note: str = "") -> str:
    """`<figure>` with the chart, its sentence, and a caption of escaped text."""
    caption = f'<figcaption class="fk-note">{escape(visible(note))}</figcaption>' if note else ""
    return (
        '<figure class="fk-chart" style="margin:8px 0;overflow:auto">'
        f'<img alt="{escape(visible(alt))}" src="{data_uri(svg)}" style="max-width:none">'
        f"{caption}</figure>"
    )


def text(x: float, y: float, said: str, cls: str = "") -> str:
    """Words at a point; `cls` is of chart.css."""
    name = f' class="{cls}"' if cls else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{name}>{escape(visible(said))}</text>'


def line(points: Sequence[tuple[float, float]], cls: str) -> str:
    """A polyline."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="{cls}" fill="none" points="{path}"/>'


def rule(
    axis: Axis,
    top: float,
    bottom: float,
    spelled: Callable[[float], str],
    ticks: Sequence[float] = (),
) -> list[str]:
    """Grid lines and labels of a horizontal axis, whose line is at `bottom`."""
    parts = []
    for tick in ticks or axis.ticks():
        x = axis.at(tick)
        parts += [line([(x, top), (x, bottom)], "fk-grid")]
        parts += [text(x, bottom + 15, spelled(tick), "fk-mid")]
    return [*parts, line([(axis.start, bottom), (axis.end, bottom)], "fk-axis")]


def mark(shape: str, x: float, y: float, size: float = 4.2) -> str:
    """A mark of that shape, filled with its series' colour."""
    if shape == "circle":
        return f'<circle class="fk-mark" cx="{x:.1f}" cy="{y:.1f}" r="{size:g}"/>'
    corners = {
        "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
        "diamond": ((0, -1.35), (1.35, 0), (0, 1.35), (-1.35, 0)),
        "up": ((0, -1.3), (1.2, 1), (-1.2, 1)),
        "down": ((0, 1.3), (1.2, -1), (-1.2, -1)),
    }[shape]
    path = " ".join(f"{x + size * dx:.1f},{y + size * dy:.1f}" for dx, dy in corners)
    return f'<polygon class="fk-mark" points="{path}"/>'
