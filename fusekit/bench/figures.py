"""The figures to reach, in one run: `fusekit bench`, or `python -m fusekit.bench`.

Each is measured beside what it is compared with, in turns, on the machine as it is then.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import torch

import fusekit
from fusekit import events
from fusekit.api import fuse
from fusekit.bench.comparing import compare
from fusekit.bench.comparison import Comparison
from fusekit.bench.contenders import why_no_inductor
from fusekit.bench.report import seconds_text, text_table
from fusekit.bench.timing import Settings, Timing, measure
from fusekit.bench.workloads import WORKLOADS, relu_tanh
from fusekit.config import options

__all__ = ["Figure", "figures_json", "figures_text", "measure_figures"]

_RATIO_GOALS = {"relu_tanh": 0.5, "lstm_cell": 0.5, "black_scholes": 0.5}
"""Time over Inductor's, at most; the other workloads are reported."""

_FIRST_GOAL, _LATER_GOAL, _KERNEL_GOAL, _CALL_GOAL = 1.0, 0.2, 0.04, 4e-6

_WIDEST = 0.3
"""A spread of a larger share of the median shows the machine, not the contender."""

_SETTINGS = Settings(runs=25, seconds=4.0)

_FIRST = """
import time, torch
x = torch.randn(8, 1024)
begin = time.perf_counter()
import fusekit
fusekit.fuse(lambda x, y: torch.relu(x * y + 0.5).tanh())(x, x)
first = time.perf_counter() - begin
begin = time.perf_counter()
fusekit.fuse(lambda x, y: torch.relu(x - y * 0.5).sigmoid())(x, x)
print(first, time.perf_counter() - begin)
"""


@dataclasses.dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        name: what.
        value: the number; NaN if it could not be measured.
        unit: "s", or "" for a ratio.
        goal: the most it may be; None for what is only reported.
        detail: spread, runs, or why there is no number.
        steady: False if the samples were too few, or too far apart, to judge by.
    """

    name: str
    value: float
    unit: str
    goal: float | None
    detail: str
    steady: bool = True

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None if there is none, or no number to judge by."""
        if self.goal is None or math.isnan(self.value) or not self.steady:
            return None
        return self.value <= self.goal

    def text(self, number: float | None) -> str:
        """A number in this figure's unit."""
        if number is None or math.isnan(number):
            return "-"
        return seconds_text(number) if self.unit == "s" else f"{number:.2f}"


def measure_figures(size: int = 1 << 22, *, say: Callable[[str], object]) -> list[Figure]:
    """All figures; `say` is told what is being measured."""
    found: list[Figure] = []
    with options(disk_cache=False):
        for step in (_startup, _new_kernels, _tiny_call, lambda: _workloads(size), _large_outputs):
            for figure in step():
                say(f"{figure.name}: {figure.text(figure.value)}  {figure.detail}")
                found.append(figure)
    return found


def _startup() -> list[Figure]:
    """In processes of their own, where torch is imported and nothing else."""
    environ = {**os.environ, "FUSEKIT_DISK_CACHE": "0"}
    environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    runs = []
    for _ in range(5):
        done = subprocess.run(  # noqa: S603  this interpreter and the text above
            [sys.executable, "-c", _FIRST], env=environ, capture_output=True, text=True, check=True
        )
        runs.append([float(word) for word in done.stdout.split()])
    first, later = zip(*runs, strict=True)
    return [
        _seconds("first fuse call in a process, disk cache off", first, _FIRST_GOAL),
        _seconds("second function in that process", later, _LATER_GOAL),
    ]


def _new_kernels() -> list[Figure]:
    """Code generation and compilation of kernels that this process has not seen."""
    chains = (torch.sigmoid, torch.tanh, torch.erf, torch.exp, torch.sin, torch.log1p, torch.sqrt)
    x = torch.randn(64, 64)
    with events.listening() as heard:
        for first in chains:
            fuse(lambda x, f=first: torch.relu(f(x) * x + 0.5).tanh(), engine="llvm")(x)
        for work in WORKLOADS.values():
            fuse(work.function, engine="llvm")(*work.make_args(1 << 12))
    seconds = [event.seconds for event in heard if isinstance(event, events.Compiled)]
    return [_seconds("a new kernel on the llvm engine", seconds, _KERNEL_GOAL)]


def _tiny_call() -> list[Figure]:
    x = torch.randn(8)
    fused = fuse(relu_tanh)
    timings = measure({"eager": lambda: relu_tanh(x, x), "fused": lambda: fused(x, x)}, _SETTINGS)
    return [
        _timing("a call: 4 operations on 8 elements", timings["fused"], _CALL_GOAL),
        _timing("the same in eager PyTorch", timings["eager"], None),
    ]


def _workloads(size: int) -> list[Figure]:
    found = []
    missing = why_no_inductor("cpu")
    for work in WORKLOADS.values():
        name = f"{work.name}, {size} elements: time over Inductor's"
        goal = _RATIO_GOALS.get(work.name)
        if missing:
            found.append(Figure(name, math.nan, "", goal, missing))
            continue
        against = ("eager", "inductor")
        with torch.no_grad():
            made = compare(
                work.function, *work.make_args(size), against=against, settings=_SETTINGS
            )
        found.append(_ratio(name, made, goal))
    known = [figure.value for figure in found if not math.isnan(figure.value)]
    if known:
        mean = statistics.geometric_mean(known)
        found.append(Figure("geometric mean of these", mean, "", None, f"{len(known)} functions"))
    return found


def _large_outputs() -> list[Figure]:
    """64 MB results, whose memory is new at each call."""
    if why_no_inductor("cpu"):
        return []
    work = WORKLOADS["saxpy"]
    against = ("eager", "inductor")
    made = compare(work.function, *work.make_args(1 << 24), against=against, settings=_SETTINGS)
    return [_ratio("saxpy, 16777216 elements: time over Inductor's", made, None)]


def _ratio(name: str, made: Comparison, goal: float | None) -> Figure:
    rows = {row.name: row for row in made.rows}
    if "inductor" not in rows or rows["fused"].declined:
        why = rows["fused"].declined or "; ".join(map(str, made.skipped))
        return Figure(name, math.nan, "", goal, why)
    detail = ", ".join(f"{n} {_spread(row.timing)}" for n, row in rows.items())
    steady = all(_is_steady(rows[who].timing) for who in ("fused", "inductor"))
    ratio = rows["fused"].seconds / rows["inductor"].seconds
    return Figure(name, ratio, "", goal, detail, steady)


def _is_steady(timing: Timing) -> bool:
    return timing.reliable and timing.runs >= 5 and timing.spread < _WIDEST * timing.median


def _spread(timing: Timing) -> str:
    said = f"{seconds_text(timing.median)} ±{seconds_text(timing.spread / 2)} ({timing.runs}"
    if not timing.reliable:
        return f"{said} runs, all disturbed)"
    return f"{said} runs, {timing.disturbed} dropped)" if timing.disturbed else f"{said} runs)"


def _timing(name: str, timing: Timing, goal: float | None) -> Figure:
    return Figure(name, timing.median, "s", goal, _spread(timing), _is_steady(timing))


def _seconds(name: str, samples: Sequence[float], goal: float) -> Figure:
    detail = f"{len(samples)} of them, {seconds_text(min(samples))} to {seconds_text(max(samples))}"
    return Figure(name, statistics.median(samples), "s", goal, detail)


def figures_text(figures: Sequence[Figure]) -> str:
    """A table, and on what machine."""
    head = ("figure", "measured", "at most", "reached")
    rows = [(f.name, f.text(f.value), f.text(f.goal), _judged(f)) for f in figures]
    return f"\n{text_table(head, rows)}\n{_machine()}"


def _judged(figure: Figure) -> str:
    if figure.goal is not None and not figure.steady:
        return "cannot tell: busy"
    return "" if figure.reached is None else "yes" if figure.reached else "NO"


def figures_json(figures: Sequence[Figure]) -> str:
    """The same for programs; what could not be measured is null."""
    rows = [
        {**dataclasses.asdict(f), "value": None if math.isnan(f.value) else f.value}
        for f in figures
    ]
    made = {"machine": _machine(), "time": int(time.time()), "figures": rows}
    return json.dumps(made, indent=1) + "\n"


def _machine() -> str:
    threads = f"{torch.get_num_threads()} threads"
    return (
        f"fusekit {fusekit.__version__}, torch {torch.__version__}, "
        f"Python {platform.python_version()}, {platform.machine()}, {threads}"
    )
