"""A crossover map: a cell for each size in each dtype and layout, with its verdict.

Verdicts differ in letter and pattern as well as in colour; what was not measured, but lies between
two cells that agree, is pale.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from fusekit.viz.measured.charts import chart, figure, line, text
from fusekit.viz.measured.fragment import fragment
from fusekit.viz.tables import cell as td
from fusekit.viz.tables import head, table
from fusekit.viz.words import ratio_text, visible

if TYPE_CHECKING:
    from fusekit.bench.crossing.grid import Cell
    from fusekit.bench.crossing.search import Crossover

__all__ = ["crossover_alt", "crossover_html", "crossover_svg", "shown"]

_SIDE, _HIGH, _LEFT, _TOP = 38.0, 30.0, 150.0, 34.0

_LOOK = {
    "fused faster": ("F", "fk-faster", "fk-on"),
    "tie": ("=", "fk-tie", ""),
    "eager faster": ("E", "fk-slower", "fk-on"),
    "cannot fuse": ("–", "fk-cannot", ""),
    "cannot tell": ("?", "fk-unknown", ""),
}
"""Verdict -> letter, class of the cell, class of the letter."""

_HATCHED = {"eager faster": "", "cannot fuse": " fk-dark"}


def shown(found: Crossover) -> str:
    """What a notebook shows of a map."""
    body = f'<div class="fk-measured">{crossover_html(found)}</div>'
    return fragment(found.name, "crossover", f"{body}<!--fk-measured-->")


def crossover_html(found: Crossover) -> str:
    """The rule, the map, its runs as a table, and the CSV."""
    if not found.cells:
        return '<p class="fk-note">Nothing measured.</p>'
    note = "Pale: not measured; the measured cells at either side agree. Dot: not known."
    state = "" if found.finished else " Stopped before every border was found."
    picture = figure(crossover_svg(found), crossover_alt(found), note + state)
    return f"{_rule(found)}{picture}{_table(found)}{_csv(found)}"


def crossover_alt(found: Crossover) -> str:
    """The map in a sentence for each row."""
    parts = [
        f"{dtype} {layout}: "
        + ", ".join(f"{said} at {_range(found, first, last)}" for said, first, last in runs)
        for (dtype, layout), runs in zip(found.kinds, _runs(found), strict=True)
    ]
    return f"Map of who is faster, by size. {'. '.join(parts)}."


def crossover_svg(found: Crossover) -> str:
    """The map, with its legend beneath."""
    width = max(_LEFT + _SIDE * len(found.sizes) + 20, 640)
    bottom = _TOP + _HIGH * len(found.kinds)
    parts = [text(_LEFT, 12, "size", "fk-strong")]
    for column, size in enumerate(found.sizes):
        parts += [text(_LEFT + _SIDE * (column + 0.5), _TOP - 6, _short(size), "fk-mid")]
    for row, (dtype, layout) in enumerate(found.kinds):
        y = _TOP + _HIGH * (row + 0.5) + 4
        parts += [text(_LEFT - 12, y, f"{dtype} {layout}", "fk-name fk-end")]
    said = {cell: measured.verdict for cell, measured in found.cells.items()}
    for cell, verdict in said.items():
        parts += _cell(cell, verdict)
    guessed = found.guessed
    for cell, verdict in guessed.items():
        parts += _cell(cell, verdict, " fk-guessed")
    parts += _unknown(found, {*said, *guessed})
    return chart(width, bottom + 40, [*parts, *_legend(bottom + 14)])


def _cell(cell: Cell, verdict: str, pale: str = "") -> list[str]:
    at = _LEFT + _SIDE * cell.size, _TOP + _HIGH * cell.kind
    return _box(at, (_SIDE, _HIGH), verdict, pale)


def _box(
    at: tuple[float, float], extent: tuple[float, float], verdict: str, pale: str = ""
) -> list[str]:
    (x, y), (wide, high) = at, extent
    letter, cls, on = _LOOK[verdict]
    size = f'width="{wide:g}" height="{high:g}"'
    parts = [f'<rect class="fk-cell {cls}{pale}" x="{x:.1f}" y="{y:.1f}" {size} rx="4"/>']
    if pale:
        on = ""
    if verdict in _HATCHED:
        dark = _HATCHED[verdict] or (" fk-dark" if pale else "")
        for left, right in ((0.04, 0.24), (0.14, 0.34), (0.66, 0.86), (0.76, 0.96)):
            ends = [(x + left * wide, y + high - 3), (x + right * wide, y + 3)]
            parts += [line(ends, f"fk-hatch{dark}")]
    return [*parts, text(x + wide / 2, y + high / 2 + 4, letter, f"fk-letter {on}".strip())]


def _unknown(found: Crossover, known: set[Cell]) -> list[str]:
    places = {(cell.kind, cell.size) for cell in known}
    return [
        text(_LEFT + _SIDE * (column + 0.5), _TOP + _HIGH * (row + 0.5) + 4, "·", "fk-mid")
        for row in range(len(found.kinds))
        for column in range(len(found.sizes))
        if (row, column) not in places
    ]


def _legend(y: float) -> list[str]:
    parts, x = [], 12.0
    for verdict in _LOOK:
        parts += _box((x, y), (24, 18), verdict)
        parts += [text(x + 30, y + 13, verdict)]
        x += 46 + 7 * len(verdict)
    return parts


def _short(size: int) -> str:
    """16, 4Ki, 1Mi: what fits over a column."""
    for power, unit in ((1 << 20, "Mi"), (1 << 10, "Ki")):
        if size >= power and size % power == 0:
            return f"{size // power}{unit}"
    return f"{size:,}"


def _runs(found: Crossover) -> list[list[tuple[str, int, int]]]:
    """For each row, verdicts with the first and last column they hold for, without what is open."""
    known = {cell: measured.verdict for cell, measured in found.cells.items()} | found.guessed
    table: list[list[tuple[str, int, int]]] = [[] for _ in found.kinds]
    for cell in sorted(known):
        runs = table[cell.kind]
        if runs and runs[-1][0] == known[cell] and runs[-1][2] == cell.size - 1:
            runs[-1] = (known[cell], runs[-1][1], cell.size)
        else:
            runs.append((known[cell], cell.size, cell.size))
    return table


def _range(found: Crossover, first: int, last: int) -> str:
    low, high = found.sizes[first], found.sizes[last]
    return f"{low:,}" if first == last else f"{low:,} to {high:,}"


def _table(found: Crossover) -> str:
    rows = []
    for number, ((dtype, layout), runs) in enumerate(zip(found.kinds, _runs(found), strict=True)):
        for verdict, first, last in runs:
            cells = [
                found.cells[cell]
                for cell in found.cells
                if cell.kind == number and first <= cell.size <= last
            ]
            ratios = [cell.ratio for cell in cells if cell.ratio is not None]
            ends = dict.fromkeys(
                [ratio_text(min(ratios)), ratio_text(max(ratios))] if ratios else []
            )
            notes = "; ".join(dict.fromkeys(cell.note for cell in cells if cell.note))
            rows.append(
                f"<tr>{head(f'{dtype} {layout}')}{td(_range(found, first, last), 'fk-num-cell')}"
                f"{td(verdict)}{td(' to '.join(ends), 'fk-num-cell')}"
                f"{td(str(len(cells)), 'fk-num-cell')}{td(notes)}</tr>"
            )
    heads = ["kind", "sizes", "verdict", "eager's time / fused", "measured", "why"]
    return table("fk-cross", heads, rows)


def _rule(found: Crossover) -> str:
    rule = found.rule
    if not rule.samples:
        return '<p class="fk-verdict">No cell could be told yet, so there is no rule.</p>'
    said = (
        f"wrong for {rule.wrong} of the {rule.samples} cells that could be told ({rule.error:.0%})"
    )
    code = escape(visible(f"use_eager = {rule.code}"))
    style = "white-space:pre-wrap;padding:8px 12px;margin:4px 0"
    return (
        f'<p class="fk-verdict">When to leave the call to eager PyTorch, {said}:</p>'
        f'<pre class="fk-code fk-rule-text" style="{style}">{code}</pre>'
        '<p class="fk-note">x is the first tensor of the call.</p>'
    )


def _csv(found: Crossover) -> str:
    # no line breaks in what is measured: one expression masks it where outputs are compared
    lines = "<br>".join(escape(visible(row)) for row in found.csv().splitlines())
    style = "overflow:auto;padding:8px 12px;margin:4px 0"
    return (
        f'<details class="fk-src"><summary>CSV</summary><pre class="fk-code" style="{style}">'
        f"{lines}</pre></details>"
    )
