"""`fusekit bench --all`: every figure to reach, in one run, with all there is beside it."""

from __future__ import annotations

from fusekit.bench.suite.goals import GOALS, ROWS, Goal
from fusekit.bench.suite.regress import Changes, changes
from fusekit.bench.suite.report import SuiteReport
from fusekit.bench.suite.results import Machine, Race, SuiteRun, load_run
from fusekit.bench.suite.run import FULL, QUICK, measure_suite

__all__ = [
    "FULL",
    "GOALS",
    "QUICK",
    "ROWS",
    "Changes",
    "Goal",
    "Machine",
    "Race",
    "SuiteReport",
    "SuiteRun",
    "changes",
    "load_run",
    "measure_suite",
]
