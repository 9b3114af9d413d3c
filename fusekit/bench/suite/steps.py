"""The steps of a run: each measures something and tells the races that come of it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch

from fusekit.bench.gpu import FULL as GPU_FULL
from fusekit.bench.gpu import GPU_WORKLOADS, GpuRow, GpuRun, measure_gpu
from fusekit.bench.gpu import QUICK as GPU_QUICK
from fusekit.bench.suite.contenders import ALL, field, why_no_legacy
from fusekit.bench.suite.processes import ENGINE_NAMES, compile_races, startup_races
from fusekit.bench.suite.results import Race
from fusekit.bench.suite.rounds import Rounds, take_rounds
from fusekit.bench.suite.sizes import sizes_race
from fusekit.bench.suite.workloads import TINY, CpuWorkload, planned_on_cpu

__all__ = ["Effort", "Step", "planned", "steps"]

Tell = Callable[[Race], object]
"""Told each race as soon as it is there."""


@dataclasses.dataclass(frozen=True)
class Effort:
    """How much to measure.

    Attributes:
        quick: fewer workloads, contenders and rounds.
        rounds: of a race on the CPU.
        largest: elements that no workload exceeds; for trials of the command itself.
        who: takes part on the CPU, as far as it can.
    """

    quick: bool = False
    rounds: Rounds = dataclasses.field(default_factory=Rounds)
    largest: int = 1 << 40
    who: tuple[str, ...] = ALL


@dataclasses.dataclass(frozen=True)
class Step:
    """One piece of work.

    Attributes:
        device: "cpu" or "cuda".
        names: row -> the races that come of it.
        run: measures them; what it raises is why the rest of them is missing.
    """

    device: str
    names: Mapping[str, tuple[str, ...]]
    run: Callable[[Tell], None]

    def is_asked(self, only: Sequence[str] | None) -> bool:
        """True if a row, a race or a workload of this step is among `only` (None: everything)."""
        if only is None:
            return True
        races = (name for names in self.names.values() for name in names)
        known = {*self.names, *(word for name in races for word in (name, name.split()[0]))}
        return not known.isdisjoint(only)


def steps(effort: Effort) -> list[Step]:
    """Everything, in the order in which it is measured: what needs a quiet process comes first."""
    quick = effort.quick
    startup = {"import": ("import",), "first": ("first", "later")}
    return [
        Step("cpu", startup, lambda tell: _each(startup_races(quick=quick), tell)),
        *(_compile_step(engine, quick=quick) for engine in ENGINE_NAMES),
        Step("cpu", {"call": ("call",)}, lambda tell: _cpu(TINY, effort, tell, "call")),
        Step("cpu", {"sizes": ("sizes",)}, lambda tell: _each([sizes_race(quick=quick)], tell)),
        *(_cpu_step(work, effort) for work in planned_on_cpu(quick=quick)),
        _gpu_step(quick=quick),
    ]


def planned(every: Sequence[Step]) -> dict[str, tuple[str, ...]]:
    """Row -> the names of all its races."""
    found: dict[str, tuple[str, ...]] = {}
    for step in every:
        for row, names in step.names.items():
            found[row] = found.get(row, ()) + names
    return found


def _each(races: Iterable[Race], tell: Tell) -> None:
    for race in races:
        tell(race)


def _compile_step(engine: str, *, quick: bool) -> Step:
    names = {"compile": (engine, f"{engine} cached")}
    device = "cuda" if engine == "cuda" and torch.cuda.is_available() else "cpu"
    return Step(device, names, lambda tell: _each(compile_races(engine, quick=quick), tell))


def _cpu_step(work: CpuWorkload, effort: Effort) -> Step:
    names = {work.row: (work.name,)}
    return Step("cpu", names, lambda tell: _cpu(work, effort, tell, work.name))


def _cpu(each: CpuWorkload, effort: Effort, tell: Tell, name: str) -> None:
    args = each.work.make_args(min(each.size, effort.largest))
    with torch.no_grad():
        nbytes = each.nbytes(args, each.work.function(*args)) if each is not TINY else 0
        found = field(each.work, args, effort.who, _refused(each, effort))
        copy = {"copy": _copy(nbytes)} if nbytes else {}
        taken = take_rounds({**found.calls, **copy}, effort.rounds)
    # guards of other workloads would cost the next one time
    torch._dynamo.reset()  # noqa: SLF001  no public spelling
    tell(
        Race(
            each.row,
            name,
            each.work.title,
            taken.samples,
            nbytes=nbytes,
            firsts=found.firsts,
            notes=found.notes,
            load=taken.load,
            lost=taken.lost,
        )
    )


def _refused(each: CpuWorkload, effort: Effort) -> Mapping[str, str]:
    """Who must not be tried; all workloads are looked at together, at the first question."""
    if "legacy" not in effort.who:
        return {}
    every = (TINY, *planned_on_cpu(quick=effort.quick))
    return {"legacy": why_no_legacy(tuple(one.work.name for one in every)).get(each.work.name, "")}


def _copy(nbytes: int) -> Callable[[], object]:
    """A copy that moves `nbytes`, half of them in and half of them out, into memory that is there.

    Floats: PyTorch copies bytes on one thread.
    """
    source = torch.zeros(max(1, nbytes // 8))
    target = torch.zeros_like(source)
    return lambda: target.copy_(source)


# on a GPU


def _gpu_step(*, quick: bool) -> Step:
    names = {"launch": ("launch",), "gpu": tuple(GPU_WORKLOADS)}

    def run(tell: Tell) -> None:
        settings = GPU_QUICK if quick else GPU_FULL

        def say(so_far: GpuRun) -> None:
            if so_far.rows:
                tell(_gpu_race(so_far.rows[-1]))
            elif so_far.host:
                tell(_launch_race(so_far))

        measure_gpu(math.isqrt(1 << 26), settings, say=say)

    return Step("cuda", names, run)


def _gpu_race(row: GpuRow) -> Race:
    """What of a row is right, as a race: samples at one place are of one round."""
    most = max((timing.runs for timing in row.timings.values()), default=0)
    return Race(
        "gpu",
        row.name,
        row.title,
        {
            name: timing.samples
            for name, timing in row.timings.items()
            if name not in row.wrong and timing.runs == most
        },
        nbytes=row.traffic.moved,
        firsts=row.firsts,
        counts={"kernels": float(len(row.kernels)), "compile": sum(row.kernels)},
        notes={("fused" if who == "row" else who): why for who, why in row.notes.items()},
    )


def _launch_race(run: GpuRun) -> Race:
    """What a call costs the host, by bursts."""
    prefix = "host, "
    pairs = [note.removeprefix(prefix).split(": ", 1) for note in run.notes if prefix in note]
    return Race(
        "launch",
        "launch",
        "host time of a call, 4 operations on 8 elements",
        {name: timing.samples for name, timing in run.host.items()},
        notes={pair[0]: pair[1] for pair in pairs if len(pair) == 2},
    )
