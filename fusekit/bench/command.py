"""`fusekit bench`, and `python -m fusekit.bench`: the arguments and what they start."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

from fusekit.bench.figures import figures_json, figures_text, measure_figures
from fusekit.bench.files import target, write
from fusekit.bench.gpu import FULL, QUICK, GpuReport, GpuRun, measure_gpu
from fusekit.bench.gpu.report import copy_text, host_text, machine_text, row_text
from fusekit.bench.models import ModelsReport, measure_models
from fusekit.bench.models.report import row_text as model_text
from fusekit.errors import UsageError

__all__ = ["add_arguments", "run"]

Out = Callable[[Any], object]
"""Prints a line, or an object that knows how it looks in a terminal."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="cpu (default)")
    parser.add_argument("--json", metavar="PATH", type=target, help="write the numbers there, too")
    parser.add_argument(
        "--size", type=_count, help="elements (4194304 on the CPU, 67108864 on a GPU)"
    )
    parser.add_argument(
        "--models", action="store_true", help="whole models under torch.compile, on the CPU"
    )
    more = parser.add_argument_group("on a GPU, or with --models")
    more.add_argument("--markdown", metavar="PATH", type=target, help="write the tables there, too")
    more.add_argument("--quick", action="store_true", help="fewer runs; no autotuning, or Inductor")
    more.add_argument("--only", metavar="NAME,NAME", type=_names, help="only these")


def run(options: argparse.Namespace, out: Out) -> int:
    """Measure, tell, write; the result is the exit code.

    Raises:
        UsageError: there is no GPU, no such workload, or an argument is not for this device.
    """
    if options.models:
        return _run_models(options, out)
    return _run_gpu(options, out) if options.device == "cuda" else _run_cpu(options, out)


def _run_cpu(options: argparse.Namespace, out: Out) -> int:
    if options.markdown or options.quick or options.only:
        raise UsageError("--markdown, --quick and --only are for --device cuda and --models")
    found = measure_figures(options.size or 1 << 22, say=out)
    out(figures_text(found))
    write(options.json, figures_json(found))
    return 0


def _run_models(options: argparse.Namespace, out: Out) -> int:
    if options.device != "cpu" or options.size:
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
