"""The run: workload after workload, every contender in the same rounds.

Nothing that one contender or one workload does ends it: what fails becomes a note of its row. Each
row is told as soon as it is there.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from fusekit.bench.caches import fresh_caches
from fusekit.bench.gpu.contenders import COMPILED, CONTENDERS, Ready, prepare, wrong
from fusekit.bench.gpu.machine import this_machine
from fusekit.bench.gpu.results import GpuRow, GpuRun
from fusekit.bench.gpu.stopwatch import Clock, DeviceClock, measure_device, measure_host, said
from fusekit.bench.gpu.traffic import Traffic
from fusekit.bench.gpu.workloads import TINY, Args, GpuWorkload, chosen
from fusekit.config import options
from fusekit.errors import UsageError

__all__ = ["FULL", "QUICK", "GpuSettings", "demand_gpu", "measure_gpu"]

_COPY_BYTES = 256 << 20
_TINY_SIDE = 8


@dataclasses.dataclass(frozen=True, slots=True)
class GpuSettings:
    """How to measure.

    Attributes:
        runs: samples of each contender on the device.
        bursts: samples of each contender on the host.
        contenders: who takes part.
        seconds: after so many, contenders that compile for seconds stay out (see `COMPILED`).
    """

    runs: int = 50
    bursts: int = 60
    contenders: tuple[str, ...] = tuple(CONTENDERS)
    seconds: float = 300.0


FULL = GpuSettings()
"""All contenders; less than six minutes."""

QUICK = GpuSettings(
    runs=15,
    bursts=30,
    contenders=tuple(name for name in CONTENDERS if name != "autotuned"),
    seconds=60.0,
)
"""Without autotuning; less than a minute and a half."""


def measure_gpu(
    side: int = 8192,
    settings: GpuSettings = FULL,
    only: Sequence[str] | None = None,
    *,
    say: Callable[[GpuRun], object] = lambda _: None,
    device: str = "cuda",
    clock: Clock | None = None,
) -> GpuRun:
    """Measure the workloads.

    Args:
        side: their size parameter.
        settings: how.
        only: names of workloads; None for all.
        say: called with everything so far, first without rows, then after each row.
        device: where; another than "cuda" needs a clock.
        clock: takes the times.

    Raises:
        UsageError: there is no such workload, or no GPU.
    """
    works = chosen(only)
    with fresh_caches(), options(disk_cache=False), torch.no_grad():
        if clock is None:
            demand_gpu()
            clock = DeviceClock()
        race = _Race(side, settings, device, clock)
        run = GpuRun(this_machine(), side, settings.runs)
        for step in (race.copy, race.host, *(race.step(work) for work in works)):
            run = race.take(run, step)
            say(run)
    return run


def demand_gpu() -> None:
    """UsageError if there is no GPU that torch can use."""
    if not torch.cuda.is_available():
        build = (
            f"is built for CUDA {torch.version.cuda}" if torch.version.cuda else "is a CPU build"
        )
        raise UsageError(f"no GPU that torch can use (torch {torch.__version__} {build})")


class _Race:
    """What does not change during a run, and the clock."""

    def __init__(self, side: int, settings: GpuSettings, device: str, clock: Clock) -> None:
        self.side = side
        self.settings = settings
        self.device = device
        self.clock = clock
        self.begin = time.perf_counter()
        self.lost = ""

    def take(self, run: GpuRun, step: Callable[[GpuRun], GpuRun]) -> GpuRun:
        """The run after one step more; a step that fails leaves a note."""
        try:
            made = step(run)
        except Exception as error:  # noqa: BLE001  the other steps can be measured
            made = dataclasses.replace(run, notes=(*run.notes, said(error)))
            self._is_lost(said(error))
        return dataclasses.replace(made, seconds=time.perf_counter() - self.begin)

    def _is_lost(self, reason: str) -> bool:
        """An illegal access ends the device for the whole process: all that follows would fail."""
        try:
            self.clock.synchronize()
        except Exception:  # noqa: BLE001  whatever it is, the device is gone
            self.lost = self.lost or reason
        return bool(self.lost)

    def copy(self, run: GpuRun) -> GpuRun:
        """The copy bandwidth for its own sake."""
        size = min(_COPY_BYTES, 4 * self.side * self.side)
        timings, failed = measure_device(
            {"copy": self._copy(2 * size)}, self.settings.runs, self.clock
        )
        notes = tuple(f"copy failed: {reason}" for reason in failed.values())
        return dataclasses.replace(
            run, copy=timings.get("copy"), copy_bytes=size, notes=run.notes + notes
        )

    def host(self, run: GpuRun) -> GpuRun:
        """What a call costs the host: four operations on eight elements.

        It comes first, so that no row's first call pays for what the process imports once.
        """
        args = TINY.make_args(_TINY_SIDE, self.device)
        names = [name for name in self.settings.contenders if name != "autotuned"]
        made = self._prepare(TINY, args, names)
        calls = {name: one.call for name, one in made.items() if isinstance(one, Ready)}
        host, failed = measure_host(calls, self.settings.bursts, self.clock)
        failed |= {name: why for name, why in made.items() if isinstance(why, str)}
        notes = (*run.notes, *(f"host, {name}: {why}" for name, why in failed.items()))
        return dataclasses.replace(run, host=host, notes=notes)

    def step(self, work: GpuWorkload) -> Callable[[GpuRun], GpuRun]:
        """What adds the row of a workload."""

        def add(run: GpuRun) -> GpuRun:
            try:
                row = self._row(work)
            except Exception as error:  # noqa: BLE001  the other rows can be measured
                self._is_lost(said(error))
                row = _empty(work, said(error))
            if self.device == "cuda" and not self.lost:
                torch.cuda.empty_cache()
            return dataclasses.replace(run, rows=(*run.rows, row))

        return add

    def _row(self, work: GpuWorkload) -> GpuRow:
        if self.lost:
            return _empty(
                work, "not measured, the device was lost before: --only takes what is left"
            )
        args = work.make_args(self.side, self.device)
        expected = work.function(*args)
        moves = work.traffic(args, expected)
        made = self._prepare(work, args, self.settings.contenders)
        ready = {name: one for name, one in made.items() if isinstance(one, Ready)}
        notes = {name: one if isinstance(one, str) else one.note for name, one in made.items()}
        errors = {
            name: error
            for name, one in ready.items()
            if name != "eager" and (error := wrong(work, args, one.call, expected))
        }
        del expected
        timings, failed = self._times(ready, moves)
        notes |= {name: f"not eager's result: {error}" for name, error in errors.items()}
        notes |= {name: f"failed: {error}" for name, error in failed.items()}
        return GpuRow(
            work.name,
            work.title,
            moves,
            timings,
            {name: one.first for name, one in ready.items()},
            ready["fused"].kernels if "fused" in ready else (),
            {name: note for name, note in notes.items() if note},
            tuple(errors),
        )

    def _times(self, ready: Mapping[str, Ready], moves: Traffic) -> Any:
        calls = {"copy": self._copy(moves.moved), **{name: one.call for name, one in ready.items()}}
        return measure_device(calls, self.settings.runs, self.clock)

    def _copy(self, moved: int) -> Callable[[], object]:
        """A copy that moves `moved` bytes, half of them in and half of them out."""
        source = torch.zeros(max(1, moved // 2), dtype=torch.uint8, device=self.device)
        target = torch.zeros_like(source)
        return lambda: target.copy_(source)

    def _prepare(
        self, work: GpuWorkload, args: Args, names: Sequence[str]
    ) -> dict[str, Ready | str]:
        made: dict[str, Ready | str] = {}
        for name in names:
            limit = COMPILED.get(name, math.inf) * self.settings.seconds
            if time.perf_counter() - self.begin > limit:
                made[name] = "left out, time was used up"
                continue
            made[name] = one = prepare(name, work, args, self.clock.synchronize)
            if isinstance(one, str) and self._is_lost(one):
                raise RuntimeError(f"the device was lost: {name} {one}")
        return made


def _empty(work: GpuWorkload, reason: str) -> GpuRow:
    return GpuRow(work.name, work.title, Traffic(0, 0), {}, {}, (), {"row": reason})
