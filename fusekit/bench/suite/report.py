"""A run as plain text, for rich, in Markdown, as JSON, as charts."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fusekit.bench.report import markdown_table, rich_table, seconds_text, text_table
from fusekit.bench.suite.goals import GOALS, TITLES, estimate, verdict
from fusekit.bench.suite.results import Race, SuiteRun
from fusekit.bench.suite.tables import Table, call_table, goal_table, lacks, workload_table
from fusekit.errors import UsageError

__all__ = ["SuiteReport", "race_text", "write_plots"]

_CHARTS = "fusekit.viz.measured.suiteplot"
"""Imported when charts are asked for."""

_CPU_ROWS, _GPU_ROWS = ("chains", "memory", "large", "others"), ("gpu",)

_METHOD = (
    "Medians of samples taken in rounds of all contenders (A/B/A/B), each after an untimed call of "
    "its own; ± is half the distance between the quartiles, 95 % the interval that misses the true "
    "value once in twenty times. A ratio is the median of the rounds' ratios; / is fused time over "
    "the other's: below 1 is faster. GB/s are bytes that must be read and written, each once; of "
    "copy is the time of PyTorch's copy of as many bytes into memory that is there, in the same "
    "rounds. First calls have empty caches."
)


@dataclasses.dataclass(frozen=True)
class SuiteReport:
    """A run, to be shown: `str`, `rich.print`, `sections` of Markdown, `json`."""

    run: SuiteRun

    def __str__(self) -> str:
        """Tables for a terminal, and what is missing."""
        parts = [f"{table.title}\n{text_table(table.head, table.rows)}" for table in self._tables()]
        return "\n\n".join(["", *parts, "\n".join(self._notes())])

    def __rich__(self) -> Any:
        """The same for rich.print."""
        from rich.console import Group  # noqa: PLC0415  optional
        from rich.text import Text  # noqa: PLC0415  optional

        tables = (
            rich_table(table.title, table.head, table.rows, wrap=True) for table in self._tables()
        )
        return Group(*tables, *map(Text, self._notes()))

    def sections(self) -> dict[str, str]:
        """Name -> Markdown, of what was measured: the generated parts of docs/performance.md."""
        found = {}
        for device, rows in (("cpu", _CPU_ROWS), ("cuda", _GPU_ROWS)):
            if not self._has(device):
                continue
            tables = [workload_table(self.run, row) for row in rows]
            found[f"{device}-machine"] = self._about(device)
            found[f"{device}-goals"] = _markdown(goal_table(self.run, device))
            parts = [f"**{table.title}**\n\n{_markdown(table)}" for table in tables if table]
            found[f"{device}-workloads"] = "\n\n".join(parts) or "Nothing was measured."
        calls = call_table(self.run)
        if calls and "cpu-goals" in found:
            found["cpu-calls"] = _markdown(calls)
        return found

    def json(self) -> str:
        """Every sample, and what follows from them."""
        made = self.run.data()
        made["goals"] = [_goal_data(self.run, goal.key) for goal in GOALS]
        return json.dumps(made, indent=1) + "\n"

    def _has(self, device: str) -> bool:
        """True if anything was measured that only this device has."""
        rows = {goal.row for goal in GOALS if goal.device == device}
        others = {goal.row for goal in GOALS if goal.device != device}
        return any(race.row in rows - others for race in self.run.races)

    def _tables(self) -> Iterator[Table]:
        every = [workload_table(self.run, row, narrow=True) for row in (*_CPU_ROWS, *_GPU_ROWS)]
        yield from filter(None, [*every, call_table(self.run)])
        yield goal_table(self.run, narrow=True)

    def _about(self, device: str) -> str:
        run = self.run
        gone = "" if device == "cuda" else f" {_METHOD}"
        made = f"Made by `{run.command}` on {run.date[:10]}, in {run.seconds / 60:.0f} minutes"
        lines = [f"{made}: {run.machine}.{gone}{self._copies()}", ""]
        return "\n".join([*lines, *(f"- {note}" for note in lacks(run))]).rstrip()

    def _copies(self) -> str:
        each = [f"{rate / 1e9:.3g} GB/s ({name})" for name, rate in self.run.ceilings.items()]
        return f" Copy bandwidth, read and written: {', '.join(each)}." if each else ""

    def _notes(self) -> list[str]:
        took = f"took {self.run.seconds:.0f} s"
        every = zip(GOALS, goal_table(self.run).rows, strict=True)
        details = [f"{goal.key}: {row[0]}; {row[-1]}" for goal, row in every if row[-1]]
        about = str(self.run.machine) + "." + self._copies()
        return [*details, "", about, _METHOD, *lacks(self.run), took]


def _markdown(table: Table) -> str:
    rows = [[cell.replace("|", "\\|") for cell in row] for row in table.rows]
    return markdown_table(table.head, rows)


def _goal_data(run: SuiteRun, key: str) -> Mapping[str, Any]:
    goal = next(goal for goal in GOALS if goal.key == key)
    found = estimate(goal, run)
    return {
        "key": goal.key,
        "row": goal.row,
        "title": goal.title,
        "bound": goal.bound,
        "at_least": goal.at_least,
        "unit": goal.unit,
        "value": found.value,
        "low": found.low,
        "high": found.high if math.isfinite(found.high) else None,
        "verdict": verdict(goal, found) or "not measured",
        "detail": found.detail,
        "missing": found.missing,
    }


def race_text(race: Race) -> str:
    """A race in one line, as soon as it is there."""
    fused = race.median()
    ratios = ((title, race.over(who)) for who, title in TITLES.items())
    said = [f"{ratio.median:.2f} of {title}" for title, ratio in ratios if ratio]
    said += [f"{what} {number:g}" for what, number in race.counts.items()]
    time = seconds_text(fused) if fused is not None else "not measured"
    return f"  {race.name}: {', '.join([time, *said])}"


def write_plots(run: SuiteRun, folder: Path) -> list[Path]:
    """Charts of a run as SVG files in a folder, which is made if there is none.

    Raises:
        UsageError: they cannot be written.
    """
    drawn: Mapping[str, str] = importlib.import_module(_CHARTS).suite_svgs(run)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, svg in drawn.items():
            (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write to {str(folder)!r}: {error.strerror}") from error
    return [folder / f"{name}.svg" for name in drawn]
