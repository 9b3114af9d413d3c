"""The tables of a run: goals, workloads, costs of a call, what is missing."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence

from fusekit.bench.measuring.timing import Timing
from fusekit.bench.report import seconds_text
from fusekit.bench.suite.goals import GOALS, ROWS, TITLES, Estimate, Goal, estimate, verdict
from fusekit.bench.suite.results import Race, SuiteRun

__all__ = ["Table", "call_table", "goal_table", "lacks", "workload_table"]

_SHORT = {**TITLES, "autotuned": "autotuned", "legacy": "legacy", "cupy": "CuPy"}
"""Contenders at the heads of columns."""

_MARK = {"met": "met", "missed": "MISSED"}


@dataclasses.dataclass(frozen=True)
class Table:
    """Texts in columns; the first column has names.

    Attributes:
        title: one line.
        head: of each column.
        rows: cells.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def goal_table(run: SuiteRun, device: str | None = None, *, narrow: bool = False) -> Table:
    """Every goal, or those of a device, measured and judged; by its key and without the details."""
    head = ("figure", "must be", "measured", "95 %", "", "of")
    goals = [goal for goal in GOALS if device is None or goal.device in (device, "any")]
    rows = [_goal_cells(run, goal) for goal in goals]
    if narrow:
        short = [(goal.key, *row[1:-1]) for goal, row in zip(goals, rows, strict=True)]
        return Table("Figures to reach", head[:-1], short)
    return Table("Figures to reach", head, rows)


def _goal_cells(run: SuiteRun, goal: Goal) -> tuple[str, ...]:
    found = estimate(goal, run)
    relation = "≥" if goal.at_least else "≤"
    name = f"{ROWS[goal.row]}: {goal.title}"
    bound = f"{relation} {goal.text(goal.bound)}"
    if found.value is None:
        return name, bound, "-", "", "not measured", found.missing
    said = str(verdict(goal, found))
    for plain, marked in _MARK.items():
        said = said.replace(plain, marked)
    parts = (found.detail, found.missing, _busy(found))
    return (
        name,
        bound,
        goal.text(found.value),
        _ends(goal, found),
        said,
        "; ".join(filter(None, parts)),
    )


def _busy(found: Estimate) -> str:
    return f"other programs took up to {found.load:.0%}" if found.load > 0.1 else ""


def _ends(goal: Goal, found: Estimate) -> str:
    if found.low == found.high:
        return ""
    low = goal.text(found.low) if found.low else "?"
    return f"{low} to {goal.text(found.high) if math.isfinite(found.high) else '?'}"


def workload_table(run: SuiteRun, row: str, *, narrow: bool = False) -> Table | None:
    """One line for each race of a row: our time, and that over the others'; None if there is none.

    "of copy" is the time of a copy of as many bytes, in the same rounds, over our time. A narrow
    one is without rates and first calls.
    """
    races = run.of(row)
    others = _others(races)
    if not races or not any(race.nbytes for race in races):
        return None
    ratios = [f"/ {_SHORT[who]}" for who in others]
    head = ["workload", "fused", "of copy", *ratios, "GB/s", "first call", "Inductor's"]
    rows = [_workload_cells(race, others) for race in races]
    end = -3 if narrow else None
    return Table(ROWS[row], head[:end], [cells[:end] for cells in rows])


def _others(races: Sequence[Race]) -> list[str]:
    return [who for who in TITLES if any(who in race.samples for race in races)]


def _workload_cells(race: Race, others: Sequence[str]) -> tuple[str, ...]:
    fused, copy = race.median(), race.over("fused", "copy")
    ratios = (race.over(who) for who in others)
    return (
        race.name,
        _spread(race, "fused"),
        f"{copy.median:.0%}" if copy else "-",
        *(f"{ratio.median:.2f}" if ratio else "-" for ratio in ratios),
        f"{race.nbytes / fused / 1e9:.3g}" if fused else "-",
        _seconds(race.firsts.get("fused")),
        _seconds(race.firsts.get("inductor")),
    )


def call_table(run: SuiteRun) -> Table | None:
    """What contenders take in seconds, where that is what counts; None if nothing of it is there.

    These are calls on tiny tensors, launches, first calls and new sizes.
    """
    races = [race for row in ("call", "launch", "first", "sizes") for race in run.of(row)]
    others = _others(races)
    if not races:
        return None
    rows = [(race.title, *(_spread(race, who) for who in ("fused", *others))) for race in races]
    return Table("Seconds", ("what", "fused", *(TITLES[who] for who in others)), rows)


def _spread(race: Race, who: str) -> str:
    """The median, and half the distance between the quartiles."""
    taken = race.samples.get(who)
    if not taken:
        return "-"
    timing = Timing(who, tuple(taken), first=0.0)
    return f"{seconds_text(timing.median)} ±{seconds_text(timing.spread / 2)}"


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else seconds_text(seconds)


def lacks(run: SuiteRun) -> list[str]:
    """What is missing and why; one reason is said once, with all that it keeps away."""
    found: dict[str, list[str]] = {}
    for name, why in run.missing.items():
        found.setdefault(why, []).append(name)
    said = [f"not measured, {why}: {_rows(names)}" for why, names in found.items()]
    notes: dict[tuple[str, str], list[str]] = {}
    for race in run.races:
        for who, note in race.notes.items():
            notes.setdefault((who, note), []).append(race.name)
    for (who, note), names in notes.items():
        said.append(f"{TITLES.get(who, who)}: {note} ({_list(names)})")
    return said


def _rows(names: Sequence[str]) -> str:
    """`gpu (12), launch`: rows, and how many races of them."""
    counted = Counter(name.partition(":")[0] for name in names)
    return ", ".join(f"{row} ({count})" if count > 1 else row for row, count in counted.items())


def _list(names: Sequence[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
