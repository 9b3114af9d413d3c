"""`fusekit bench`, and `python -m fusekit.bench`: the arguments and what they start."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fusekit.bench.files import target, write
from fusekit.bench.gpu import FULL, QUICK, GpuReport, GpuRun, measure_gpu
from fusekit.bench.gpu.report import copy_text, host_text, machine_text, row_text
from fusekit.bench.models import ModelsReport, measure_models
from fusekit.bench.models.report import row_text as model_text
from fusekit.bench.suite.command import run_compare, run_suite
from fusekit.bench.suite.goals import ROWS
from fusekit.errors import UsageError

__all__ = ["add_arguments", "run"]

Out = Callable[[Any], object]
"""Prints a line, or an object that knows how it looks in a terminal."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = (
        "Measures fusekit beside eager PyTorch, Inductor, the legacy fuser, numexpr, JAX\n"
        "and CuPy, as far as they are here, in turns in one run.\n"
        "Without --all: a part of it, on the CPU."
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _epilog()
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--all", action="store_true", help="every figure to reach (a quarter hour)")
    what.add_argument(
        "--models", action="store_true", help="whole models under torch.compile, on the CPU"
    )
    what.add_argument(
        "--compare",
        metavar="JSON",
        nargs="+",
        help="OLD [NEW]: what became slower or faster, NEW measured now if it is not given; "
        "exit code 1 if anything became slower",
    )
    parser.add_argument(
        "--device",
        choices=("cpu", "cuda"),
        help="only there; cuda without --all: the table of a GPU alone",
    )
    parser.add_argument("--quick", action="store_true", help="fewer runs, no autotuning")
    parser.add_argument("--only", metavar="NAME,NAME", type=_names, help="only these rows or names")
    parser.add_argument("--size", type=_count, help="elements, of --device cuda (67108864)")
    parser.add_argument(
        "--force", action="store_true", help="with --compare: different machines, too"
    )
    files = parser.add_argument_group("files")
    files.add_argument("--json", metavar="PATH", type=target, help="all samples")
    files.add_argument(
        "--markdown",
        metavar="PATH",
        type=target,
        help="the tables; between the marks of a page that has them (docs/performance.md)",
    )
    files.add_argument("--plots", metavar="DIR", type=Path, help="charts, as SVG")


def _epilog() -> str:
    width = max(map(len, ROWS))
    rows = "\n".join(f"  {name:<{width}}  {title}" for name, title in ROWS.items())
    return f"rows that --only takes with --all:\n{rows}"


def run(options: argparse.Namespace, out: Out) -> int:
    """Measure, tell, write; the result is the exit code.

    Raises:
        UsageError: there is no GPU, no such workload, or an argument is not for what is measured.
    """
    gpu_table = options.device == "cuda" and not (options.all or options.compare)
    is_suite = not (options.models or gpu_table)
    _check(options, is_suite=is_suite)
    if options.compare:
        return run_compare(options, out)
    if options.models:
        return _run_models(options, out)
    if gpu_table:
        return _run_gpu(options, out)
    if not options.all:
        options.quick, options.device = True, "cpu"
    return run_suite(options, out)


def _check(options: argparse.Namespace, *, is_suite: bool) -> None:
    """UsageError for what would be passed over."""
    if options.plots and not is_suite:
        raise UsageError("--plots is for --all")
    if options.size and is_suite:
        raise UsageError("--size is for --device cuda without --all")
    if options.force and not options.compare:
        raise UsageError("--force is for --compare")


def _run_models(options: argparse.Namespace, out: Out) -> int:
    if options.device == "cuda" or options.size:
        raise UsageError("--models takes neither --device nor --size")
    found = measure_models(options.only, lambda row: out(model_text(row)), quick=options.quick)
    report = ModelsReport(found)
    out(report)
    write(options.markdown, report.markdown())
    write(options.json, report.json())
    return int(any(row.skipped.startswith("failed") for row in found.rows))


def _run_gpu(options: argparse.Namespace, out: Out) -> int:
    def say(so_far: GpuRun) -> None:
        out(_latest(so_far))
        write(options.json, GpuReport(so_far).json())  # a run that is cut short leaves its rows

    side = max(math.isqrt(options.size or 1 << 26) & ~1, 2)  # some rows halve it
    found = measure_gpu(side, QUICK if options.quick else FULL, options.only, say=say)
    report = GpuReport(found)
    out(report)
    out(f"took {found.seconds:.0f} s")
    write(options.markdown, report.markdown())
    return 0


def _latest(run: GpuRun) -> str:
    """What the last step brought."""
    if run.rows:
        return row_text(run.rows[-1])
    if not run.host:
        return f"{machine_text(run)}\n{copy_text(run)}"
    return host_text(run)


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of elements")
    return int(text)


def _names(text: str) -> list[str]:
    names = [name for part in text.split(",") if (name := part.strip())]
    if not names:
        raise argparse.ArgumentTypeError("names no workload")
    return names
