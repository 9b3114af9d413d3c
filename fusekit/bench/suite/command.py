"""`fusekit bench --all` and `fusekit bench --compare`: what they take, and what they write."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fusekit.bench.files import write
from fusekit.bench.gpu import demand_gpu
from fusekit.bench.suite.page import filled
from fusekit.bench.suite.regress import Changes, changes
from fusekit.bench.suite.report import SuiteReport, race_text, write_plots
from fusekit.bench.suite.results import SuiteRun, load_run
from fusekit.bench.suite.run import FULL, QUICK, Interrupted, measure_suite
from fusekit.errors import UsageError

__all__ = ["run_compare", "run_suite"]

Out = Callable[[Any], object]

_REGRESSED, _INTERRUPTED = 1, 130


def run_suite(options: argparse.Namespace, out: Out) -> int:
    """Measure, tell, write; 130 if Ctrl-C ended it, with what there was until then.

    Raises:
        UsageError: there is no GPU where one was asked for, no such row, or nothing to write to.
    """
    found, code = _measured(options, out)
    report = SuiteReport(found)
    out(report)
    _written(options, report)
    if options.plots is not None:
        out(f"charts: {', '.join(str(path) for path in write_plots(found, options.plots))}")
    return code


def run_compare(options: argparse.Namespace, out: Out) -> int:
    """Compare two runs, or one with a new one; 1 if anything became slower.

    Raises:
        UsageError: a file is no run, the machines differ, or more than two files were given.
    """
    paths = [Path(name) for name in options.compare]
    if len(paths) > 2:
        raise UsageError("--compare takes one file, or two")
    old = _loaded(paths[0])
    if len(paths) == 2:
        return _told(changes(old, _loaded(paths[1]), force=options.force), out)
    new, code = _measured(options, out)
    _written(options, SuiteReport(new))
    return _told(changes(old, new, force=options.force), out) or code


def _told(found: Changes, out: Out) -> int:
    out(found)
    return _REGRESSED if found.regressions else 0


def _measured(options: argparse.Namespace, out: Out) -> tuple[SuiteRun, int]:
    if options.device == "cuda":
        demand_gpu()
    told = 0

    def say(run: SuiteRun, line: str) -> None:
        nonlocal told
        if line:
            out(line)
            return
        for race in run.races[told:]:
            out(race_text(race))
        told = len(run.races)
        write(options.json, SuiteReport(run).json())  # a run that is killed leaves its races

    try:
        run = measure_suite(
            QUICK if options.quick else FULL,
            device=options.device,
            only=options.only,
            command=_command(options),
            say=say,
        )
    except Interrupted as stopped:
        out("interrupted: what follows is what was measured")
        return stopped.run, _INTERRUPTED
    return run, 0


def _command(options: argparse.Namespace) -> str:
    words = ["fusekit", "bench", "--all", *(["--quick"] if options.quick else [])]
    words += ["--device", options.device] if options.device else []
    return shlex.join([*words, *(["--only", ",".join(options.only)] if options.only else [])])


def _written(options: argparse.Namespace, report: SuiteReport) -> None:
    write(options.json, report.json())
    if options.markdown is not None:
        write(options.markdown, filled(_text(options.markdown), report.sections()))


def _text(path: Path) -> str:
    """What a file has now; "" if there is none."""
    try:
        return path.read_text(encoding="utf-8") if path.exists() else ""
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {error.strerror}") from error


def _loaded(path: Path) -> SuiteRun:
    try:
        return load_run(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no result of `fusekit bench --all`") from error
