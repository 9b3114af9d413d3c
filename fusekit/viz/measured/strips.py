"""The stopwatch's picture: every sample as a dot, and the interval of each ratio beneath."""

from __future__ import annotations

from collections.abc import Sequence

from fusekit.viz.measured.charts import Axis, chart, figure, line, mark, rule, text
from fusekit.viz.model.schema import Timing, TimingRow
from fusekit.viz.words import plural, ratio_text, seconds_text, visible

__all__ = ["alt_text", "strips_html", "strips_svg"]

_WIDTH, _LEFT, _RIGHT = 720.0, 96.0, 24.0

_ROW = 34.0

_EQUIVALENT = 1.02
"""The stopwatch's: ratios within 2 % of 1 are ties."""


def strips_html(timing: Timing, device: str) -> str:
    """The figure for a device; "" where there are no samples."""
    rows = [row for row in timing["rows"] if row["device"] == device and row["samples"]]
    if not rows:
        return ""
    note = "One dot for each sample, a bar at the median"
    if any(row["interval"] for row in rows):
        note += "; below, the ratio to the baseline with its 95 % interval, grey: a tie"
    return figure(strips_svg(rows), alt_text(rows), f"{note}.")


def alt_text(rows: Sequence[TimingRow]) -> str:
    """The same in a sentence for each contender."""
    parts = []
    for row in rows:
        low, high = min(row["samples"]), max(row["samples"])
        parts.append(
            f"{visible(row['name'])}: {plural(len(row['samples']), 'sample')} from "
            f"{seconds_text(low)} to {seconds_text(high)}, median {seconds_text(row['seconds'])}"
        )
        if row["interval"]:
            low, high = row["interval"]
            said = f"{ratio_text(row['ratio'])}, with 95 % {ratio_text(low)} to {ratio_text(high)}"
            parts.append(f"{visible(row['name'])} against the baseline: {said}")
    return f"Strip plot of times on {visible(rows[0]['device'])}. {'. '.join(parts)}."


def strips_svg(rows: Sequence[TimingRow]) -> str:
    """The picture of one device's rows."""
    times = [sample for row in rows for sample in row["samples"]]
    axis = Axis.over(times, _LEFT, _WIDTH - _RIGHT)
    bottom = 12 + _ROW * len(rows)
    parts = rule(axis, 8, bottom, seconds_text)
    for index, row in enumerate(rows):
        parts += _strip(row, axis, 8 + _ROW * (index + 0.5), _series(row))
    bounded = [row for row in rows if row["interval"]]
    if not bounded:
        return chart(_WIDTH, bottom + 24, parts)
    top = bottom + 36
    return chart(_WIDTH, top + _ROW * len(bounded) + 34, [*parts, *_ratios(bounded, top)])


def _series(row: TimingRow) -> int:
    kinds = {"eager": 0, "inductor": 2}
    return kinds.get(row["name"], 1)


def _strip(row: TimingRow, axis: Axis, y: float, series: int) -> list[str]:
    dots = "".join(
        f'<circle cx="{axis.at(sample):.1f}" cy="{y + _jitter(number):.1f}" r="3"/>'
        for number, sample in enumerate(row["samples"])
    )
    x = axis.at(row["seconds"])
    return [
        text(_LEFT - 12, y + 4, row["name"], "fk-name fk-end"),
        f'<g class="fk-dots fk-s{series}">{dots}</g>',
        line([(x, y - 13), (x, y + 13)], "fk-middle"),
    ]


def _jitter(number: int) -> float:
    """The same scatter each time, so that dots do not hide each other."""
    return ((number * 7) % 11 - 5) * 1.6


def _ratios(rows: Sequence[TimingRow], top: float) -> list[str]:
    ends = [end for row in rows for end in row["interval"]]
    axis = Axis.over([*ends, 1 / 1.05, 1.05], _LEFT, _WIDTH - _RIGHT)
    bottom = top + _ROW * len(rows)
    left, right = axis.at(1 / _EQUIVALENT), axis.at(_EQUIVALENT)
    parts = rule(axis, top, bottom, ratio_text)
    size = f'width="{max(right - left, 2):.1f}" height="{bottom - top:.1f}"'
    parts += [
        f'<rect class="fk-band" x="{left:.1f}" y="{top:.1f}" {size}/>',
        text(_LEFT - 12, top - 6, "ratio", "fk-end"),
        text(axis.at(1.0), top - 6, "as fast", "fk-mid"),
    ]
    for index, row in enumerate(rows):
        parts += _interval(row, axis, top + _ROW * (index + 0.5))
    return parts


def _interval(row: TimingRow, axis: Axis, y: float) -> list[str]:
    left, right = (axis.at(end) for end in row["interval"])
    middle = axis.at(row["ratio"] or 1.0)
    parts = [
        line([(left, y), (right, y)], "fk-whisker"),
        line([(left, y - 6), (left, y + 6)], "fk-whisker"),
        line([(right, y - 6), (right, y + 6)], "fk-whisker"),
        mark("diamond", middle, y),
    ]
    return [
        text(_LEFT - 12, y + 4, row["name"], "fk-name fk-end"),
        f'<g class="fk-s{_series(row)}">{"".join(parts)}</g>',
    ]
