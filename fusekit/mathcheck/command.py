"""`fusekit verify-math`: the arguments and what they start."""

from __future__ import annotations

import argparse
import contextlib
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from fusekit.bench.files import target, write
from fusekit.bench.report import text_table
from fusekit.mathcheck.contenders import usable_engines
from fusekit.mathcheck.exact import Oracle, require_flint
from fusekit.mathcheck.formats import FORMATS
from fusekit.mathcheck.functions import named
from fusekit.mathcheck.progress import Progress
from fusekit.mathcheck.report import data, markdown, setting, table, verdict
from fusekit.mathcheck.rows import Job, Row, measure
from fusekit.mathcheck.state import State, default_path

__all__ = ["add_arguments", "run"]

Out = Callable[[Any], object]
"""Prints a line."""

_EXCEEDS, _INTERRUPTED = 1, 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add = parser.add_argument
    add("functions", nargs="*", metavar="FUNCTION", help="such as exp or i0e; all if none is given")
    add("--dtype", action="append", choices=list(FORMATS), help="repeatable; all if not given")
    add("--engine", action="append", help="llvm, cpp, cuda; repeatable; those that work here")
    add("--stride", type=_count, default=1, help="float32: every so many bit patterns (1: all)")
    add("--samples", type=_count, default=10_000_000, help="float64: random inputs (10000000)")
    add("--state", metavar="FILE", type=Path, help="where results are kept until all are there")
    add("--fresh", action="store_true", help="measure again what that file holds")
    add("--json", metavar="PATH", type=target, help="write the data there, too")
    add("--markdown", metavar="PATH", type=target, help="write the table there, too")


def run(options: argparse.Namespace, out: Out) -> int:
    """Measure, tell, write; the result is the exit code: 1 if a function exceeds its bound.

    Raises:
        FusekitError: python-flint is missing.
        UsageError: there is no such function or engine, or a file cannot be written.
    """
    require_flint()
    jobs = _jobs(options)
    state = State(options.state or default_path(), fresh=options.fresh)
    out(setting())
    rows: list[Row] = []
    try:
        _measure(jobs, state, rows, out)
    except KeyboardInterrupt:
        if rows:
            _tell(options, rows, out)
        out(f"interrupted; {_command(options)} goes on from {state.path}")
        return _INTERRUPTED
    _tell(options, rows, out)
    return _EXCEEDS if any(verdict(row) in ("exceeds", "not fused") for row in rows) else 0


def _jobs(options: argparse.Namespace) -> list[Job]:
    engines = tuple(usable_engines(options.engine or []))
    return [
        Job(function, dtype, engines, options.stride, options.samples)
        for function in named(options.functions)
        for dtype in options.dtype or FORMATS
    ]


def _measure(jobs: list[Job], state: State, rows: list[Row], out: Out) -> None:
    """Measure all jobs; `rows` gets each row as soon as it is begun."""
    with Oracle() as oracle, Progress(len(jobs), out) as progress, _one_thread():
        for number, job in enumerate(jobs, start=1):
            row = None
            for row in measure(job, oracle, state.row):
                if not rows or rows[-1] is not row:
                    rows.append(row)
                    progress.begin(number, row)
                    continue
                state.keep(row)
                progress.advance(row)
            assert row is not None
            progress.line(_line(row))


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """PyTorch in one thread: calls are small, and all cores have other things to do."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _line(row: Row) -> str:
    found = ", ".join(f"{name} {tally.ulp:.3f}" for name, tally in row.tallies.items())
    found = found or "; ".join(f"{name}: {reason}" for name, reason in row.left.items())
    return f"{row.function} {row.dtype}: {found}; {verdict(row)}; {row.seconds:.1f} s"


def _tell(options: argparse.Namespace, rows: list[Row], out: Out) -> None:
    head, cells = table(rows)
    out(text_table(head, cells))
    command = _command(options)
    write(options.markdown, markdown(rows, command))
    write(options.json, data(rows, command))


def _command(options: argparse.Namespace) -> str:
    """The command line that measures the same, without the files it writes."""
    words = ["fusekit", "verify-math", *options.functions]
    for name in ("dtype", "engine"):
        words += [word for value in getattr(options, name) or () for word in (f"--{name}", value)]
    if options.stride != 1:
        words += ["--stride", str(options.stride)]
    if options.samples != 10_000_000:
        words += ["--samples", str(options.samples)]
    if options.state:
        words += ["--state", str(options.state)]
    return shlex.join(words)


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)
