"""A run on the GPU as plain text, for rich, in Markdown, in JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from fusekit.bench.gpu.results import Goal, GpuRow, GpuRun, goals
from fusekit.bench.measuring.timing import Timing
from fusekit.bench.report import markdown_table, rich_table, seconds_text, text_table

__all__ = ["GpuReport", "copy_text", "host_text", "machine_text", "row_text"]

_RATIOS = (
    ("inductor", "Inductor"),
    ("autotuned", "autotuned"),
    ("legacy", "legacy"),
    ("cupy", "CuPy"),
    ("eager", "eager"),
)
"""Contender, and the head of the column with fused time over its time."""

_HEAD = (
    "workload",
    "fused",
    "GB/s",
    "of copy",
    *(f"/ {title}" for _, title in _RATIOS),
    "compile",
    "Inductor's",
)

_GOALS = ("goal", "measured", "must be", "", "of")


@dataclasses.dataclass(frozen=True)
class GpuReport:
    """A run, to be shown: `str`, `rich.print`, `markdown`, `json`."""

    run: GpuRun

    def __str__(self) -> str:
        """Tables for a terminal, notes between them."""
        rows = text_table(_HEAD, [_cells(row) for row in self.run.rows])
        judged = text_table(_GOALS, [_goal(goal) for goal in goals(self.run)])
        return "\n".join(["", rows, "", *self._notes(), "", judged, ""])

    def __rich__(self) -> Any:
        """The same for rich.print."""
        from rich.console import Group  # noqa: PLC0415  optional
        from rich.text import Text  # noqa: PLC0415  optional

        rows = rich_table("Time of fused", _HEAD, [_cells(row) for row in self.run.rows])
        judged = rich_table("Goals", _GOALS, [_goal(goal) for goal in goals(self.run)])
        return Group(rows, *map(Text, self._notes()), judged)

    def markdown(self) -> str:
        """Ready for docs/performance.md."""
        notes = [f"- {note}" for note in self._notes()]
        rows = markdown_table(_HEAD, [_cells(row) for row in self.run.rows])
        judged = markdown_table(_GOALS, [_goal(goal) for goal in goals(self.run)])
        return "\n".join([rows, "", *notes, "", judged, ""])

    def json(self) -> str:
        """Every sample, and what follows from them."""
        made = dataclasses.asdict(self.run)
        for data, row in zip(made["rows"], self.run.rows, strict=True):
            over = {name: row.over(name) for name, _ in _RATIOS}
            data |= {"rate": row.rate, "share": row.share, "over": over}
        made["goals"] = [
            {**dataclasses.asdict(goal), "reached": goal.reached} for goal in goals(self.run)
        ]
        return json.dumps(made, indent=1) + "\n"

    def _notes(self) -> list[str]:
        return [*_about(self.run), *_notes_of(self.run.rows), *self.run.notes]


def row_text(row: GpuRow) -> str:
    """A row in one line, as soon as it is measured."""
    said = [f"{row.name}: {_fused(row)}"]
    if row.rate is not None:
        said += [f"{_giga(row.rate)} GB/s", f"{_percent(row.share)} of copy"]
    said += [
        f"{ratio:.2f} of {title}"
        for name, title in _RATIOS
        if (ratio := row.over(name)) is not None
    ]
    return "\n".join([", ".join(said), *(f"  {note}" for note in _notes_of([row]))])


def copy_text(run: GpuRun) -> str:
    """The copy bandwidth for its own sake."""
    if run.copy is None:
        return "copy: not measured"
    mib = run.copy_bytes / (1 << 20)
    rate = 2 * run.copy_bytes / run.copy.median
    return f"copy of 2 x {mib:.4g} MiB: {_giga(rate)} GB/s ({_spread(run.copy)})"


def host_text(run: GpuRun) -> str:
    """What a call costs the host."""
    each = [f"{name} {_spread(timing)}" for name, timing in run.host.items()]
    return f"host time of a call, 4 operations on 8 elements: {', '.join(each) or 'not measured'}"


def machine_text(run: GpuRun) -> str:
    """Where and when."""
    at = run.machine
    where = f"{at.device}, driver {at.driver}, torch {at.torch}, fusekit {at.fusekit}, {at.date}"
    return f"{where}; side {run.side}, {run.runs} runs"


def _about(run: GpuRun) -> list[str]:
    method = (
        "medians of device events (± half the quartiles' distance), contenders in turns, caches "
        "written over before each; / is time of fused over time of the other, below 1 is faster; "
        "GB/s and copy count whole 32-byte sectors; compile is all fused kernels of the row, "
        "Inductor's its first call"
    )
    return [machine_text(run), copy_text(run), host_text(run), method]


def _notes_of(rows: Sequence[GpuRow]) -> list[str]:
    """What is to be known of the rows; what is said of several is said once."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.traffic.needed != row.traffic.moved:
            share = row.traffic.needed / row.traffic.moved
            found.setdefault(f"needs {share:.0%} of the bytes in its sectors", []).append(row.name)
        for name, note in row.notes.items():
            text = note if name == "row" else f"{name} {note}"
            found.setdefault(text, []).append(row.name)
    return [f"{', '.join(names)}: {text}" for text, names in found.items()]


def _cells(row: GpuRow) -> tuple[str, ...]:
    ratios = (row.over(name) for name, _ in _RATIOS)
    inductor = row.firsts.get("inductor")
    return (
        row.name,
        _fused(row),
        "-" if row.rate is None else _giga(row.rate),
        _percent(row.share),
        *("-" if ratio is None else f"{ratio:.2f}" for ratio in ratios),
        seconds_text(sum(row.kernels)) if row.kernels else "-",
        "-" if inductor is None else seconds_text(inductor),
    )


def _fused(row: GpuRow) -> str:
    if "fused" in row.wrong:
        return "WRONG"
    fused = row.timings.get("fused")
    return _spread(fused) if fused else "not measured"


def _goal(goal: Goal) -> tuple[str, ...]:
    relation = ">=" if goal.at_least else "<="
    measured = "-" if goal.value is None else _quantity(goal, goal.value)
    verdict = {True: "reached", False: "MISSED", None: "cannot tell"}[goal.reached]
    return goal.name, measured, f"{relation} {_quantity(goal, goal.bound)}", verdict, goal.detail


def _quantity(goal: Goal, number: float) -> str:
    return seconds_text(number) if goal.unit == "s" else f"{number:.3f}"


def _spread(timing: Timing) -> str:
    return f"{seconds_text(timing.median)} ±{seconds_text(timing.spread / 2)}"


def _giga(rate: float) -> str:
    return f"{rate / 1e9:.0f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
