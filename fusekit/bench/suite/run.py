"""The run: step after step. What fails is named, and what was measured before Ctrl-C is kept."""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
from collections.abc import Callable, Sequence

import torch

from fusekit.bench.caches import fresh_caches
from fusekit.bench.gpu.stopwatch import said
from fusekit.bench.limits.ceilings import ceilings
from fusekit.bench.measuring.observer import Observer
from fusekit.bench.suite.contenders import ALL
from fusekit.bench.suite.goals import ROWS
from fusekit.bench.suite.machine import this_machine
from fusekit.bench.suite.results import Race, SuiteRun
from fusekit.bench.suite.rounds import Rounds
from fusekit.bench.suite.steps import Effort, Step, planned, steps
from fusekit.config import options
from fusekit.errors import FusekitError, UsageError

__all__ = ["FULL", "QUICK", "Interrupted", "measure_suite"]

FULL = Effort()
"""Everything; less than a quarter of an hour on two cores."""

QUICK = Effort(
    quick=True,
    rounds=Rounds(most=11, least=7, seconds=1.5),
    who=tuple(name for name in ALL if name != "autotuned"),
)
"""Some of each row, without autotuning; less than two minutes on two cores that are idle."""

Say = Callable[[SuiteRun, str], object]
"""Told after every step what there is so far, and before it, in a line, what comes."""


class Interrupted(KeyboardInterrupt):
    """The user has enough; `run` has what was measured."""

    def __init__(self, run: SuiteRun) -> None:
        super().__init__("interrupted")
        self.run = run


def measure_suite(
    effort: Effort = FULL,
    *,
    device: str | None = None,
    only: Sequence[str] | None = None,
    command: str = "fusekit bench --all",
    say: Say = lambda _run, _line: None,
) -> SuiteRun:
    """Measure what belongs to a device, or to all that are here.

    Args:
        effort: `FULL` or `QUICK`.
        device: "cpu", "cuda", or None for the CPU and for the GPU if there is one.
        only: rows (see `ROWS`), races, or workloads by name; None for all.
        command: what the user typed, for the record.
        say: progress.

    Raises:
        UsageError: there is no such row or workload.
        Interrupted: Ctrl-C.
    """
    every = steps(effort)
    _check(every, only)
    run = SuiteRun(
        machine=this_machine(),
        date=dt.datetime.now(dt.UTC).isoformat(timespec="minutes"),
        command=command,
        planned=planned(every),
    )
    return _Course(run, say).through(every, device, only)


def _check(every: Sequence[Step], only: Sequence[str] | None) -> None:
    unknown = [name for name in only or () if not any(step.is_asked([name]) for step in every)]
    if unknown:
        rows = ", ".join(ROWS)
        raise UsageError(f"nothing is called {unknown[0]!r}; there are {rows}, and workloads")


class _Course:
    """What there is so far, and since when."""

    def __init__(self, run: SuiteRun, say: Say) -> None:
        self.run = run
        self.say = say
        self.begin = time.perf_counter()

    def through(
        self, every: Sequence[Step], device: str | None, only: Sequence[str] | None
    ) -> SuiteRun:
        """All steps; those that are not taken are named."""
        left = [(step, _why_not(step, device, only)) for step in every]
        chosen = [step for step, why in left if not why]
        for step, why in left:
            if why:
                self._lack(step, why)
        try:
            with fresh_caches(), options(disk_cache=False):
                self._measure_ceilings({step.device for step in chosen})
                for number, step in enumerate(chosen, 1):
                    self._take(step, f"[{number}/{len(chosen)}, {self._spent():.0f} s]")
        except KeyboardInterrupt:
            for step in chosen:
                self._lack(step, "interrupted")
            raise Interrupted(self._now()) from None
        return self._now()

    def _take(self, step: Step, where: str) -> None:
        names = [name for row in step.names.values() for name in row]
        title = ROWS[next(iter(step.names))]
        shown = ", ".join(names) if len(names) < 4 else f"{len(names)} workloads"
        self.say(self.run, f"{where} {title}: {shown}")
        observer, before = Observer(), len(self.run.races)
        try:
            step.run(self._tell)
            self._lack(step, "it gave no result")
        except FusekitError as error:
            self._lack(step, str(error))
        except Exception as error:  # noqa: BLE001  the other steps can be measured
            self._lack(step, f"failed: {said(error)}")
        self._note_load(before, observer.surroundings(0, 0).others)
        self.say(self._now(), "")

    def _note_load(self, before: int, load: float | None) -> None:
        """What others did during a step is said of its races that did not look for themselves."""
        races = [
            dataclasses.replace(race, load=load) if race.load is None else race
            for race in self.run.races[before:]
        ]
        self.run = dataclasses.replace(self.run, races=(*self.run.races[:before], *races))

    def _tell(self, race: Race) -> None:
        self.run = dataclasses.replace(self.run, races=(*self.run.races, race))

    def _lack(self, step: Step, why: str) -> None:
        """What of a step is not there is missing for that reason."""
        have = {(race.row, race.name) for race in self.run.races}
        lacking = {
            f"{row}: {name}": why
            for row, names in step.names.items()
            for name in names
            if (row, name) not in have
        }
        self.run = dataclasses.replace(self.run, missing={**lacking, **self.run.missing})

    def _measure_ceilings(self, devices: set[str]) -> None:
        found = {name: ceilings(name).bandwidth for name in sorted(devices)}
        self.run = dataclasses.replace(self.run, ceilings=found)

    def _now(self) -> SuiteRun:
        self.run = dataclasses.replace(self.run, seconds=self._spent())
        return self.run

    def _spent(self) -> float:
        return time.perf_counter() - self.begin


def _why_not(step: Step, device: str | None, only: Sequence[str] | None) -> str:
    """Why a step is left out; "" if it is not."""
    if device not in (None, step.device):
        return f"not asked for: --device {device}"
    if step.device == "cuda" and not torch.cuda.is_available():
        return "no GPU that torch can use"
    return "" if step.is_asked(only) else "not asked for: --only"
