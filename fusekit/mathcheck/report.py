"""The rows as a table: for a terminal, for docs/accuracy.md, and as data."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math
from collections.abc import Sequence

import torch

from fusekit.bench.workers import processor
from fusekit.mathcheck.contenders import ABSENT
from fusekit.mathcheck.formats import SLACK
from fusekit.mathcheck.rows import Row
from fusekit.mathcheck.tally import Tally

__all__ = ["data", "markdown", "setting", "table", "verdict"]

_ROUNDING = 0.01


def verdict(row: Row) -> str:
    """Whether the engines keep to 2 ulp, or to eager's own error where that is larger.

    Returns:
        "ok", "exceeds", "unfinished"; "not fused" or, if PyTorch has none either, "absent" where
        no engine was measured.
    """
    if not _engines(row):
        absent = all(reason.startswith(ABSENT) for reason in row.left.values())
        return "absent" if absent else "not fused"
    if any(_exceeds(row, name, tally) for name, tally in _engines(row).items()):
        return "exceeds"
    return "ok" if row.done else "unfinished"


def _exceeds(row: Row, name: str, tally: Tally) -> bool:
    eager = _eager(row, name)
    wrong = tally.special > eager.special or tally.rounded_twice or tally.unjudged
    return bool(wrong) or tally.ulp > max(SLACK, eager.ulp) + _ROUNDING


def _engines(row: Row) -> dict[str, Tally]:
    return {name: tally for name, tally in row.tallies.items() if not name.startswith("eager")}


def _eager(row: Row, engine: str) -> Tally:
    """Eager on the device of an engine."""
    return row.tallies["eager cuda" if engine == "cuda" else "eager"]


def table(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """The head, and the cells of each row."""
    contenders = {name for row in rows for name in (*row.tallies, *row.left)}
    names = sorted(contenders, key=lambda name: (name.startswith("eager"), name == "cuda", name))
    columns = []
    for name in names:
        columns.append(name)
        if name == _last_engine(names):
            columns.append("at")
    head = ["function", "dtype", "inputs", *columns, "special values", "verdict", "notes"]
    return head, [_cells(row, columns) for row in rows]


def _last_engine(names: Sequence[str]) -> str:
    return [name for name in names if not name.startswith("eager")][-1:][0]


def _cells(row: Row, columns: Sequence[str]) -> list[str]:
    cells = [row.function, row.dtype, _inputs(row)]
    for name in columns:
        if name == "at":
            cells.append(_place(row))
        else:
            tally = row.tallies.get(name)
            cells.append("–" if tally is None else _ulp(tally.ulp))
    return [*cells, _special(row), verdict(row), _notes(row)]


def _inputs(row: Row) -> str:
    if row.inputs == 1 << 32:
        return "all 2**32"
    if row.inputs == 1 << 16 and row.total == 1 << 16:
        return "65536"
    return f"{row.inputs / 1e6:.4g}M" if row.inputs >= 1e6 else str(row.inputs)


def _place(row: Row) -> str:
    """Where the worst engine is worst."""
    tallies = list(_engines(row).values())
    if not tallies:
        return ""
    worst = max(tallies, key=lambda tally: tally.ulp)
    return _arguments(row, worst.at)


def _arguments(row: Row, at: Sequence[str]) -> str:
    digits = {"float64": 17, "float32": 9}.get(row.dtype, 5)
    return ", ".join(f"{float(text):.{digits}g}" for text in at)


def _ulp(value: float) -> str:
    if not math.isfinite(value):
        return str(value)
    return f"{value:.3f}" if value < 1000 else f"{value:.1e}"


def _special(row: Row) -> str:
    """That all are exact, or how many differ and the first of them."""
    told = []
    for name, tally in _engines(row).items():
        if tally.special:
            where = _arguments(row, tally.special_at)
            told.append(f"{name}: {tally.special} differ, f({where}) = {tally.special_result}")
    return "; ".join(told) or ("exact" if _engines(row) else "")


def _notes(row: Row) -> str:
    notes = [f"{name}: {reason}" for name, reason in row.left.items()]
    for name, tally in row.tallies.items():
        if tally.special and name.startswith("eager"):
            notes.append(f"{name}: {tally.special} special values differ")
        if tally.unjudged:
            notes.append(f"{name}: {tally.unjudged} not judged")
        if tally.not_nearest >= 0 and not name.startswith("eager"):
            notes.append(f"{name}: {tally.not_nearest} not nearest")
        if tally.rounded_twice:
            notes.append(f"{name}: {tally.rounded_twice} not float32's, rounded")
    return "; ".join(notes)


def markdown(rows: Sequence[Row], command: str) -> str:
    """The table, and how it was made."""
    head, cells = table(rows)
    rule = ["---"] * len(head)
    lines = [f"| {' | '.join(row)} |" for row in (head, rule, *cells)]
    return "\n".join([*lines, "", f"{setting()}: `{command}`.", ""])


def setting() -> str:
    """The day, the machine and torch."""
    devices = [processor()]
    if torch.cuda.is_available():
        devices.append(torch.cuda.get_device_name())
    today = dt.datetime.now(dt.UTC).date()
    return f"{today}, {', '.join(devices)}, torch {torch.__version__}"


def data(rows: Sequence[Row], command: str) -> str:
    """All that was found, as JSON."""
    found = [{**dataclasses.asdict(row), "verdict": verdict(row)} for row in rows]
    return json.dumps({"setting": setting(), "command": command, "rows": found}, indent=1)
