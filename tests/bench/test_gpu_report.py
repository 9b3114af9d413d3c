"""What is said about a run on a GPU, from numbers that were made up."""

from __future__ import annotations

import io
import json
import math

import pytest

from fusekit.bench.gpu.report import GpuReport, copy_text, host_text, row_text
from fusekit.bench.gpu.results import GpuRow, GpuRun, Machine, goals
from fusekit.bench.gpu.traffic import Traffic
from fusekit.bench.measuring.timing import Timing

MACHINE = Machine("Some GPU", "1.2.3", "2.11.0", "0.1.0", "2026-01-31")


def timing(name, milliseconds):
    return Timing(name, tuple(1e-3 * milliseconds * f for f in (0.99, 1.0, 1.01)), 0.0)


def row(name, *, wrong=(), notes=None, moved=800_000_000, **milliseconds):
    timings = {who: timing(who, taken) for who, taken in milliseconds.items()}
    firsts = {"inductor": 2.5} if "inductor" in timings else {}
    kernels = (0.04, 0.02) if "fused" in timings else ()
    traffic = Traffic(480_000_000, moved)
    return GpuRow(name, "", traffic, timings, firsts, kernels, notes or {}, tuple(wrong))


def run(*rows, fused_us=8.0):
    host = {"fused": timing("fused", 1e-3 * fused_us), "eager": timing("eager", 39e-3)}
    return GpuRun(MACHINE, 8192, 3, timing("copy", 0.17), 1 << 28, host, rows)


GOOD = row("good", copy=0.98, fused=1.0, inductor=1.1, autotuned=1.05, legacy=1.2, eager=4.0)
BAD = row(
    "bad",
    copy=0.9,
    fused=1.0,
    inductor=0.9,
    cupy=1.5,
    notes={"legacy": "does not fuse", "cupy": "not eager's result: off by 1"},
    wrong=["cupy"],
)
BROKEN = row(
    "broken", copy=1.0, notes={"fused": "failed: OutOfMemoryError", "legacy": "does not fuse"}
)


def judged(found):
    return {goal.name: goal for goal in goals(found)}


def test_a_run_that_reaches_everything():
    assert all(goal.reached for goal in goals(run(GOOD)))


def test_the_worst_row_is_named_and_missed():
    found = judged(run(GOOD, BAD))
    worst = found["share of the copy bandwidth, worst"]
    assert (worst.value, worst.reached) == (pytest.approx(0.9), False)
    assert worst.detail == "bad, 2 of 2 rows"
    slowest = found["time over Inductor's, worst"]
    assert (slowest.value, slowest.reached) == (pytest.approx(1 / 0.9), False)
    mean = found["time over Inductor's, geometric mean"]
    assert mean.value == pytest.approx(math.sqrt(1 / 1.1 / 0.9))
    assert mean.reached is False


@pytest.mark.parametrize("other", [BROKEN, row("off", copy=1.0, fused=1.0, wrong=["fused"])])
def test_a_row_without_a_right_result_leaves_a_good_run_undecided(other):
    found = judged(run(GOOD, other))
    worst = found["share of the copy bandwidth, worst"]
    assert (worst.value, worst.reached) == (pytest.approx(0.98), None)
    assert worst.detail == "good, 1 of 2 rows"
    assert judged(run(BAD, other))[worst.name].reached is False


def test_the_host_goal_scales_with_eager():
    name = "host time of a call over eager's"
    assert judged(run(fused_us=8.0))[name].reached is True
    assert judged(run(fused_us=8.1))[name].reached is False


def test_nothing_measured_is_nothing_judged():
    empty = GpuRun(MACHINE, 8192, 3)
    assert [goal.reached for goal in goals(empty)] == [None] * 6
    assert "not measured" in str(GpuReport(empty))
    assert copy_text(empty) == "copy: not measured"
    assert host_text(empty).endswith("not measured")


def test_a_row_in_a_line():
    assert row_text(GOOD).splitlines()[0] == (
        "good: 1 ms ±5 µs, 800 GB/s, 98.0% of copy, "
        "0.91 of Inductor, 0.95 of autotuned, 0.83 of legacy, 0.25 of eager"
    )
    assert "off by 1" in row_text(BAD)


def test_the_report(golden):
    golden(str(GpuReport(run(GOOD, BAD, BROKEN))))


def test_the_markdown(golden):
    golden(GpuReport(run(GOOD, BAD, BROKEN)).markdown())


def test_rich_draws_it():
    rich = pytest.importorskip("rich.console")
    console = rich.Console(width=200, record=True, file=io.StringIO())
    console.print(GpuReport(run(GOOD, BROKEN)))
    assert "98.0%" in console.export_text()


def test_the_numbers_as_json():
    made = json.loads(GpuReport(run(GOOD, BROKEN)).json())
    good, broken = made["rows"]
    assert len(good["timings"]["fused"]["samples"]) == 3
    assert good["share"] == pytest.approx(0.98)
    assert good["over"]["cupy"] is None
    assert broken["rate"] is None
    assert made["goals"][0]["reached"] is None
    assert made["machine"]["device"] == "Some GPU"
