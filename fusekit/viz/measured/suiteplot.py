"""A run of the suite as charts: every goal against its bound, every workload's contenders."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fusekit.bench.suite.goals import GOALS, ROWS, TITLES, Goal, estimate, verdict
from fusekit.viz.measured.charts import SHAPES, Axis, chart, line, mark, rule, text

if TYPE_CHECKING:
    from fusekit.bench.suite.results import Race, SuiteRun

__all__ = ["suite_svgs"]

_LEFT, _WIDTH, _RIGHT, _TOP, _STEP = 290.0, 940.0, 24.0, 46.0, 24.0

_WIDE = 100.0
"""Contenders further away than this factor are drawn at the edge."""


def suite_svgs(run: SuiteRun) -> dict[str, str]:
    """Name -> SVG: "goals", and one for each row of races that has other contenders."""
    found = {"goals": _goals(run)}
    for row in ROWS:
        races = [race for race in run.of(row) if race.paired and "fused" in race.samples]
        if any(who in race.samples for race in races for who in TITLES):
            found[row] = _races(ROWS[row], races)
    return {name: svg for name, svg in found.items() if svg}


def _goals(run: SuiteRun) -> str:
    """Each goal's share of its bound: what is to the left of the line is reached."""
    known = [(goal, *ends) for goal in GOALS if (ends := _shares(goal, run))]
    if not known:
        return ""
    values = [end for _, *ends in known for end in ends]
    across, bottom = _frame([*values, 0.5, 2.0], len(known))
    parts = _ground(
        "measured over goal: circles are met, the others missed or not to be told", across, bottom
    )
    for number, (goal, value, low, high) in enumerate(known):
        y = _TOP + _STEP * (number + 0.5)
        said = verdict(goal, estimate(goal, run))
        parts += [text(8, y + 4, _short(f"{goal.row}: {goal.title}"), "fk-name")]
        inside = line([(across.at(low), y), (across.at(high), y)], "fk-whisker")
        shape = "circle" if said.startswith("met") else "diamond"
        series = "fk-s1" if said.startswith("met") else "fk-s2"
        parts += [f'<g class="{series}">{inside}{mark(shape, across.at(value), y)}</g>']
    return chart(_WIDTH, bottom + 40, parts)


def _shares(goal: Goal, run: SuiteRun) -> tuple[float, float, float] | None:
    """Value and interval over the bound, turned around where more is better."""
    found = estimate(goal, run)
    if not found.value:
        return None
    low = found.low or found.value
    high = found.high if math.isfinite(found.high) else found.value
    ends = [end / goal.bound for end in (found.value, low, high)]
    if goal.at_least:
        ends = [1 / ends[0], 1 / ends[2], 1 / ends[1]]
    return ends[0], ends[1], ends[2]


def _races(title: str, races: Sequence[Race]) -> str:
    """The time of each contender over ours, with the interval: right of 1 we are faster."""
    every = [_ratios(race) for race in races]
    values = [end for ratios in every for ends in ratios.values() for end in ends]
    across, bottom = _frame([*values, 0.8, 1.25], len(races))
    parts = _ground(f"{title}: time over fusekit's, right of 1 is slower", across, bottom)
    for number, (race, ratios) in enumerate(zip(races, every, strict=True)):
        y = _TOP + _STEP * (number + 0.5)
        parts += [text(8, y + 4, _short(race.name), "fk-name")]
        for who, (value, low, high) in ratios.items():
            inside = line([(across.at(low), y), (across.at(high), y)], "fk-whisker")
            parts += [f"{_series(who)}{inside}{_mark(who, across.at(value), y)}</g>"]
    names = [who for who in TITLES if any(who in ratios for ratios in every)]
    return chart(_WIDTH, bottom + 62, [*parts, *_legend(names, bottom + 48)])


def _ratios(race: Race) -> Mapping[str, tuple[float, float, float]]:
    found = {}
    for who in TITLES:
        ratio = race.over("fused", who)
        if ratio is not None:
            low = ratio.low or ratio.median
            high = ratio.high if math.isfinite(ratio.high) else ratio.median
            found[who] = (_near(ratio.median), _near(low), _near(high))
    return found


def _near(value: float) -> float:
    return min(max(value, 1 / _WIDE), _WIDE)


def _frame(values: Sequence[float], rows: int) -> tuple[Axis, float]:
    return Axis.over(values, _LEFT, _WIDTH - _RIGHT, 1.1), _TOP + _STEP * rows


def _ground(title: str, across: Axis, bottom: float) -> list[str]:
    """The title, the scale, and the line at 1."""
    parts = [text(8, 18, title, "fk-strong")]
    parts += rule(across, _TOP, bottom, lambda value: f"{value:g}×")
    return [*parts, line([(across.at(1.0), _TOP - 6), (across.at(1.0), bottom)], "fk-roof")]


def _legend(names: Sequence[str], y: float) -> list[str]:
    parts, x = [], _LEFT
    for who in names:
        parts += [f"{_series(who)}{_mark(who, x, y)}</g>"]
        parts += [text(x + 9, y + 4, TITLES[who])]
        x += 30 + 6.4 * len(TITLES[who])
    return parts


def _series(who: str) -> str:
    return f'<g class="fk-s{[*TITLES].index(who) % 7}">'


def _mark(who: str, x: float, y: float) -> str:
    """A shape, or where there are no more of them the first letter: never colour alone."""
    number = [*TITLES].index(who)
    if number < len(SHAPES):
        return mark(SHAPES[number], x, y)
    return text(x, y + 4, TITLES[who][0].upper(), "fk-letter")


def _short(name: str) -> str:
    return name if len(name) <= 36 else f"{name[:35]}…"
