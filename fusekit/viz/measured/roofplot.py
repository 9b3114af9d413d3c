"""A roofline: kernels as dots under the machine's ceilings, and arrows to where no seam holds them.

A kernel that only moves data has no place in the plot, whose axes count arithmetic; the table has
it.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from fusekit.viz.measured.charts import Axis, chart, figure, line, mark, rule, text
from fusekit.viz.measured.fragment import fragment
from fusekit.viz.palette import group_class
from fusekit.viz.tables import cell, head, table
from fusekit.viz.words import bytes_text, seconds_text, visible

if TYPE_CHECKING:
    from fusekit.bench.limits.ceilings import Ceilings
    from fusekit.bench.limits.roofs import RoofGroup, Roofline

__all__ = ["roofline_alt", "roofline_html", "roofline_svg", "shown"]

_WIDTH, _HEIGHT = 720.0, 340.0

_LEFT, _RIGHT, _TOP, _BOTTOM = 78.0, 24.0, 30.0, 48.0

_WAITS = {
    "bytes": "memory",
    "arithmetic": "arithmetic",
    "start": "neither: it is too small",
    "unclear": "cannot tell: its times vary too much",
}

_TELLING = 6.0
"""Pixels that a shorter arrow, or error bar, would not show."""


def shown(found: Roofline) -> str:
    """What a notebook shows of a roofline."""
    body = f'<div class="fk-measured">{roofline_html(found)}</div><!--fk-measured-->'
    return fragment(found.name, "roofline", body)


def roofline_html(found: Roofline) -> str:
    """The plot, the table and how the ceilings were measured; a sentence if there is no kernel."""
    if not found.groups:
        return '<p class="fk-note">This call runs no kernel.</p>'
    note = "Dots: kernels, with the middle half of their samples"
    if any(group.seam for group in found.groups):
        note += "; arrows: where they would be without their cheapest seam"
    how = f'<p class="fk-note">{escape(visible(found.ceilings.how))}.</p>'
    plot = figure(roofline_svg(found), roofline_alt(found), f"{note}.")
    return _queue(found) + plot + _table(found) + how


def roofline_alt(found: Roofline) -> str:
    """The plot in a sentence for each kernel."""
    limits = found.ceilings
    copied, peak = _rate(limits.bandwidth, "B/s"), _rate(limits.arithmetic, "operations/s")
    parts = [f"Roofline on {limits.device}: memory {copied}, arithmetic {peak}"]
    parts += [
        f"{group.name}: {group.intensity:.3g} operations a byte, {group.share:.0%} of the "
        f"ceiling, waits for {_WAITS[found.bound(group)]}"
        for group in found.groups
    ]
    return f"{'. '.join(parts)}."


def _rate(amount: float, unit: str) -> str:
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if amount >= 0.9995 * size:
            return f"{amount / size:.3g} {prefix}{unit}"
    return f"{amount:.3g} {unit}"


def roofline_svg(found: Roofline) -> str:
    """The plot."""
    groups = [group for group in found.groups if group.operations]
    limits = found.ceilings
    across = Axis.over(_intensities(groups, limits), _LEFT, _WIDTH - _RIGHT, 2.0)
    rates = [g.operations / t for g in groups for t in (g.low, g.high, max(g.least, 1e-12))]
    up = Axis.over([*rates, limits.arithmetic], _HEIGHT - _BOTTOM, _TOP, 1.6)
    parts = rule(across, _TOP, _HEIGHT - _BOTTOM, lambda value: f"{value:,.4g}")
    for tick in up.ticks():
        y = up.at(tick)
        parts += [line([(_LEFT, y), (_WIDTH - _RIGHT, y)], "fk-grid")]
        parts += [text(_LEFT - 8, y + 4, _rate(tick, "op/s"), "fk-end")]
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts += [text(middle, _HEIGHT - 10, "operations for each byte moved", "fk-mid")]
    parts += [text(8, 16, "operations a second", "fk-strong"), *_roof(limits, across, up)]
    for group in groups:
        parts += _dot(group, across, up)
    return chart(_WIDTH, _HEIGHT, parts)


def _intensities(groups: list[RoofGroup], limits: Ceilings) -> list[float]:
    moved = [g.operations / _bytes_without(g) for g in groups if g.seam]
    return [g.intensity for g in groups] + moved + [limits.ridge]


def _bytes_without(group: RoofGroup) -> float:
    return max(group.nbytes - (group.seam.nbytes if group.seam else 0), 1)


def _roof(limits: Ceilings, across: Axis, up: Axis) -> list[str]:
    first = max(across.low, up.low / limits.bandwidth)
    corner = (across.at(limits.ridge), up.at(limits.arithmetic))
    points = [
        (across.at(first), up.at(first * limits.bandwidth)),
        corner,
        (across.at(across.high), corner[1]),
    ]
    peak = f"multiply-adds {_rate(limits.arithmetic, 'op/s')}"
    copied = f"memory {_rate(limits.bandwidth, 'B/s')}"
    # in the middle of the slope, to its left
    x, y = (points[0][0] + corner[0]) / 2, (points[0][1] + corner[1]) / 2
    return [
        line(points, "fk-roof"),
        text(_WIDTH - _RIGHT - 4, corner[1] - 7, peak, "fk-end fk-strong"),
        text(x - 10, y - 6, copied, "fk-end fk-strong"),
    ]


def _dot(group: RoofGroup, across: Axis, up: Axis) -> list[str]:
    x = across.at(group.intensity)
    y, top, bottom = (up.at(group.operations / t) for t in (group.seconds, group.low, group.high))
    parts = [
        line([(x, top), (x, bottom)], "fk-whisker") if abs(top - bottom) > _TELLING else "",
        mark("circle", x, y, 5.5),
    ]
    drawn = [f'<g class="{group_class(group.index)}">{"".join(parts)}</g>']
    if group.seam and group.without:
        intensity = group.operations / _bytes_without(group)
        seconds = group.seconds * group.without / max(group.least, 1e-12)
        drawn += _arrow((x, y), (across.at(intensity), up.at(group.operations / seconds)))
    return [*drawn, text(x - 10, y + 18, group.name, "fk-name fk-end")]


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> list[str]:
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = (dx * dx + dy * dy) ** 0.5
    if length < _TELLING:
        return []
    ux, uy = dx / length, dy / length
    base = (end[0] - 9 * ux, end[1] - 9 * uy)
    corners = (end, (base[0] - 4 * uy, base[1] + 4 * ux), (base[0] + 4 * uy, base[1] - 4 * ux))
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    from_edge = (start[0] + 7 * ux, start[1] + 7 * uy)
    return [line([from_edge, base], "fk-arrow"), f'<polygon class="fk-tip" points="{path}"/>']


def _queue(found: Roofline) -> str:
    """The change that is worth most, in a sentence."""
    if not found.queue or not found.queue[0].seam:
        return ""
    first = found.queue[0]
    seam = found.queue[0].seam
    known = f" {seam.hint[:1].upper()}{seam.hint[1:]}." if seam.hint else ""
    said = (
        f"Most is at stake in {first.name}: up to {seconds_text(first.at_stake)} without its seam "
        f"{seam.code} ({seam.sentence}).{known}"
    )
    return f'<p class="fk-verdict">{escape(visible(said))}</p>'


def _table(found: Roofline) -> str:
    heads = ["kernel", "moves", "ops", "ops/byte", "time", "ceiling", "waits for", "at stake"]
    rows = []
    for group in sorted(found.groups, key=lambda group: -group.at_stake):
        seam = group.seam
        unclear = found.bound(group) == "unclear"
        worth = "unknown" if unclear else seconds_text(group.at_stake)
        stake = f"{worth}, {seam.code}" if seam else "no seam"
        spread = f"{seconds_text(group.seconds)} ±{seconds_text((group.high - group.low) / 2)}"
        cells = [
            cell(bytes_text(group.nbytes), "fk-num-cell"),
            cell(f"{group.operations:,}", "fk-num-cell"),
            cell(f"{group.intensity:.3g}", "fk-num-cell"),
            cell(spread, "fk-num-cell"),
            cell(f"{group.share:.0%}", "fk-num-cell"),
            cell(_WAITS[found.bound(group)]),
            cell(stake),
        ]
        mark_ = f'data-g="{group.index}" class="{group_class(group.index)}"'
        rows.append(f"<tr {mark_}>{head(group.name)}{''.join(cells)}</tr>")
    return table("fk-groups fk-roofs", heads, rows)
