"""A sweep as a log-log plot of time against size, with a table that says the same."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING

from fusekit.viz.measured.charts import SHAPES, Axis, chart, figure, line, mark, rule, text
from fusekit.viz.measured.fragment import fragment
from fusekit.viz.model.schema import Timing, TimingRow
from fusekit.viz.tables import cell, head, table
from fusekit.viz.words import seconds_text, speed_text, visible

if TYPE_CHECKING:
    from fusekit.bench.measuring.sweeping import Sweep

__all__ = ["shown", "sweep_alt", "sweep_html", "sweep_svg"]

_WIDTH, _HEIGHT = 720.0, 330.0

_LEFT, _RIGHT, _TOP, _BOTTOM = 70.0, 120.0, 26.0, 44.0

_MOST_TICKS = 8

_DASHES = ("", " fk-dash", " fk-dotted")

Points = Sequence[tuple[int, Timing]]


@dataclasses.dataclass(frozen=True)
class _Series:
    """One contender on one device."""

    name: str
    number: int
    points: tuple[tuple[int, TimingRow], ...]


def shown(sweep: Sweep) -> str:
    """What a notebook shows of a sweep."""
    points = [(row["size"], row["timing"]) for row in sweep.as_rows()]
    body = sweep_html(points, sweep.verdict) + _notes(sweep)
    return fragment(
        sweep.name, "sweep over sizes", f'<div class="fk-measured">{body}</div><!--fk-measured-->'
    )


def _notes(sweep: Sweep) -> str:
    """Who measured, and what failed."""
    return "".join(f'<p class="fk-note">{escape(visible(note))}</p>' for note in sweep.notes)


def sweep_html(points: Points, verdict: str) -> str:
    """The verdict, the plot and the table; a sentence if nothing was measured."""
    if not any(timing["rows"] for _, timing in points):
        return '<p class="fk-note">Nothing measured.</p>'
    note = "Medians, with the middle half of the samples as whiskers; both axes are logarithmic."
    picture = figure(sweep_svg(points), sweep_alt(points, verdict), note)
    said = f'<p class="fk-verdict">{escape(visible(verdict))}</p>'
    return said + picture + _table(points)


def sweep_alt(points: Points, verdict: str) -> str:
    """The plot in a sentence for each contender."""
    parts = []
    for series in _series(points):
        (small, first), (large, last) = series.points[0], series.points[-1]
        parts.append(
            f"{series.name}: {seconds_text(first['seconds'])} at {small:,}, "
            f"{seconds_text(last['seconds'])} at {large:,}"
        )
    return f"Time against size, both logarithmic. {'. '.join(parts)}. {visible(verdict)}."


def _series(points: Points) -> list[_Series]:
    ordered = sorted(points, key=lambda point: point[0])
    keys = dict.fromkeys((r["name"], r["device"]) for _, timing in ordered for r in timing["rows"])
    several = len({device for _, device in keys}) > 1
    found = []
    for number, (name, device) in enumerate(keys):
        own = tuple(
            (size, row)
            for size, timing in ordered
            for row in timing["rows"]
            if (row["name"], row["device"]) == (name, device)
        )
        label = visible(f"{name} {device}" if several else name)
        found.append(_Series(label, number, own))
    return found


def sweep_svg(points: Points) -> str:
    """The plot."""
    series = _series(points)
    sizes = [float(size) for size, _ in points]
    times = [end for each in series for _, row in each.points for end in _ends(row)]
    across = Axis.over(sizes, _LEFT, _WIDTH - _RIGHT, 1.1)
    up = Axis.over(times, _HEIGHT - _BOTTOM, _TOP, 1.15)
    ticks = sorted(set(sizes))
    ticks = ticks[:: math.ceil(len(ticks) / _MOST_TICKS)]
    parts = rule(across, _TOP, _HEIGHT - _BOTTOM, lambda size: f"{size:,.0f}", ticks)
    parts += _upright(up, seconds_text)
    parts += [text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, "size", "fk-mid")]
    parts += [text(8, 14, "time for one call", "fk-strong")]
    for each in series:
        parts += _curve(each, across, up)
    return chart(_WIDTH, _HEIGHT, [*parts, *_legend(series, up)])


def _ends(row: TimingRow) -> tuple[float, float]:
    """The quartiles, as far as the samples tell them."""
    if len(row["samples"]) > 1:
        low, _, high = statistics.quantiles(row["samples"], n=4, method="inclusive")
        return low, high
    half = row["spread"] / 2
    return max(row["seconds"] - half, row["seconds"] / 4), row["seconds"] + half


def _upright(axis: Axis, spelled: Callable[[float], str]) -> list[str]:
    parts = []
    for tick in axis.ticks():
        y = axis.at(tick)
        parts += [line([(_LEFT, y), (_WIDTH - _RIGHT, y)], "fk-grid")]
        parts += [text(_LEFT - 8, y + 4, spelled(tick), "fk-end")]
    return [*parts, line([(_LEFT, axis.start), (_LEFT, axis.end)], "fk-axis")]


def _curve(series: _Series, across: Axis, up: Axis) -> list[str]:
    spots = [(across.at(size), up.at(row["seconds"]), row) for size, row in series.points]
    dash = _DASHES[series.number % len(_DASHES)]
    parts = [line([(x, y) for x, y, _ in spots], f"fk-line{dash}")]
    shape = SHAPES[series.number % len(SHAPES)]
    for x, y, row in spots:
        low, high = _ends(row)
        parts += [line([(x, up.at(low)), (x, up.at(high))], "fk-whisker")]
        parts += [mark(shape, x, y)]
    return [f'<g class="fk-s{series.number % 7}">{"".join(parts)}</g>']


def _legend(series: Sequence[_Series], up: Axis) -> list[str]:
    """Names at the ends of the curves, moved apart where they would touch."""
    ordered = sorted(series, key=lambda each: up.at(each.points[-1][1]["seconds"]))
    parts, free = [], _TOP
    for each in ordered:
        y = max(up.at(each.points[-1][1]["seconds"]), free)
        free = y + 17
        x = _WIDTH - _RIGHT + 14
        sign = mark(SHAPES[each.number % len(SHAPES)], x, y)
        parts += [f'<g class="fk-s{each.number % 7}">{sign}</g>']
        parts += [text(x + 10, y + 4, each.name, "fk-name")]
    return parts


def _table(points: Points) -> str:
    series = _series(points)
    heads = ["size"]
    for each in series:
        heads += [escape(each.name), "speed"] if _has_ratio(each) else [escape(each.name)]
    rows = []
    for size, _ in sorted(points, key=lambda point: point[0]):
        cells = [head(f"{size:,}")]
        for each in series:
            row = dict(each.points).get(size)
            cells.append(cell(seconds_text(row["seconds"]) if row else "", "fk-num-cell"))
            if _has_ratio(each):
                cells.append(cell(_speed(row) if row else ""))
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return table("fk-sweep", heads, rows)


def _has_ratio(series: _Series) -> bool:
    return any(row["ratio"] is not None for _, row in series.points)


def _speed(row: TimingRow) -> str:
    if row["outcome"] == "cannot tell" and row["cause"]:
        return f"cannot tell: {row['cause']}"
    return speed_text(row)
