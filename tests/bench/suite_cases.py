"""Runs of the suite from numbers that were made up."""

from __future__ import annotations

import dataclasses

from fusekit.bench.suite.results import Machine, Race, SuiteRun
from fusekit.bench.suite.steps import Effort, planned, steps

MACHINE = Machine({"processor": "Some CPU", "cores": "2"}, {"torch": "2.13"}, {"load": "0.1"})

GOOD = {
    "import": 0.05,
    "first": 0.2,
    "later": 0.04,
    "llvm": 0.02,
    "cuda": 0.05,
    "cpp": 0.2,
    "llvm cached": 0.003,
    "cuda cached": 0.003,
    "cpp cached": 0.003,
    "call": 2e-6,
    "launch": 7e-6,
    "sizes": 1e-4,
}
"""Seconds that reach every goal; of a workload it is a millisecond."""


def about(seconds, count=25, width=0.01):
    """Samples whose median that is, on either side of it."""
    middle = count // 2
    return tuple(seconds * (1 + width * (i - middle) / count) for i in range(count))


def race(row, name, fused, **others):
    count = 500 if row == "sizes" else 25  # for the interval of a tail
    samples = {who: about(taken, count) for who, taken in {"fused": fused, **others}.items()}
    counts = {"kernels": 1.0} if row == "sizes" else {}
    return Race(row, name, name, samples, nbytes=1 << 20, counts=counts)


def good_run(effort=Effort()):  # noqa: B008  frozen
    """A run that reaches every goal."""
    names = planned(steps(effort))
    races = []
    for row, own in names.items():
        for name in own:
            if name in GOOD:
                eager = {"eager": 4 * GOOD[name]} if row in ("call", "launch") else {}
                races.append(race(row, name, GOOD[name], **eager))
            else:
                others = {"inductor": 4e-3, "eager": 8e-3, "copy": 0.99e-3}
                races.append(race(row, name, 1e-3, **others))
    return SuiteRun(MACHINE, "2026-01-31T12:00", "fusekit bench --all", names, races=tuple(races))


def changed(run, row, name, **scales):
    """The run with the samples of some contenders of a race scaled; None takes one away."""

    def scaled(each):
        samples = dict(each.samples)
        for who, factor in scales.items():
            taken = samples.pop(who)
            if factor is not None:
                samples[who] = tuple(factor * seconds for seconds in taken)
        return dataclasses.replace(each, samples=samples)

    races = tuple(scaled(r) if (r.row, r.name) == (row, name) else r for r in run.races)
    return dataclasses.replace(run, races=races)


def without(run, row, name, why="too large"):
    """The run where a race failed."""
    races = tuple(r for r in run.races if (r.row, r.name) != (row, name))
    return dataclasses.replace(run, races=races, missing={f"{row}: {name}": why})
