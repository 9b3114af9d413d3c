"""Measure one model in this process, whose caches have to be empty."""

from __future__ import annotations

import collections
import dataclasses
import time
import warnings
from collections.abc import Callable, Mapping

import torch

import fusekit
from fusekit.bench.measuring.contenders import why_no_inductor
from fusekit.bench.measuring.timing import Settings, measure
from fusekit.bench.models.contenders import Contender, warm_up
from fusekit.bench.models.results import ModelRow, Task, Time
from fusekit.bench.models.sizes import BENCH
from fusekit.bench.models.zoo import ZOO
from fusekit.runtime.compiled import watching
from fusekit.runtime.explanation import Explanation

__all__ = ["BATCH", "measure_model"]

BATCH = 4
"""Sequences or images in a batch."""

_SETTINGS = Settings(runs=15, seconds=6.0, warmup=2)
_QUICK = Settings(runs=5, seconds=1.0, warmup=1)


def measure_model(name: str, *, quick: bool = False) -> ModelRow:
    """The row of one model; `quick` takes fewer samples and leaves Inductor out."""
    began = time.perf_counter()
    entry = ZOO[name]
    torch.manual_seed(0)
    built = entry.build(entry.measured(BENCH))
    inputs = built.inputs(BATCH)
    notes: dict[str, str] = {}
    racers = {"eager": Contender(built, inputs, None)}
    for backend in ("fusekit",) if quick else ("fusekit", "inductor"):
        reason = why_no_inductor("cpu") if backend == "inductor" else None
        if reason is not None:
            notes[backend] = reason
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warm_up(backend)
        racers[backend] = Contender(built, inputs, backend)
    how = _QUICK if quick else _SETTINGS
    tasks = {
        task: _task({who: getattr(racer, task) for who, racer in racers.items()}, how, notes)
        for task in ("forward", "step")
    }
    return ModelRow(
        name,
        entry.title,
        parameters=sum(p.numel() for p in built.module.parameters()),
        tasks=tasks,
        notes=notes,
        seconds=time.perf_counter() - began,
    )


def _task(
    calls: dict[str, Callable[[], torch.Tensor]], how: Settings, notes: dict[str, str]
) -> Task:
    before = fusekit.stats()
    firsts, results = _firsts(calls, notes)
    after = fusekit.stats()
    with watching() as graphs:
        calls["fusekit"]()
    timings = measure({who: calls[who] for who in firsts}, how, firsts=firsts)
    times = {
        who: Time(timing.first, timing.median, timing.spread, timing.runs)
        for who, timing in timings.items()
    }
    found = _inside(graphs)
    return dataclasses.replace(
        found,
        times=times,
        kernels=after.kernels - before.kernels,
        difference=_difference(results["fusekit"], results["eager"]),
    )


def _firsts(
    calls: Mapping[str, Callable[[], torch.Tensor]], notes: dict[str, str]
) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """Seconds and result of each first call; a contender that fails is noted."""
    seconds, results = {}, {}
    for who, call in calls.items():
        if who in notes:
            continue
        start = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                results[who] = call()
        except Exception as error:
            if who in ("eager", "fusekit"):
                raise
            notes[who] = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            continue
        seconds[who] = time.perf_counter() - start
    return seconds, results


def _inside(graphs: list[Explanation]) -> Task:
    """What ran in kernels, and what did not."""
    opaque = [decline for graph in graphs if graph.fused for decline in graph.declined]
    whole = [graph.declined[0] for graph in graphs if not graph.fused]
    return Task(
        times={},
        graphs=len(graphs),
        groups=sum(len(graph.groups) for graph in graphs if graph.fused),
        kernels=0,
        fused=sum(g.launches_unfused for graph in graphs for g in graph.groups if graph.fused),
        opaque=dict(collections.Counter(decline.op for decline in opaque).most_common()),
        reasons=dict(collections.Counter(decline.code for decline in opaque).most_common()),
        whole=dict(collections.Counter(decline.code for decline in whole).most_common()),
        difference=0.0,
    )


def _difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    scale = theirs.abs().max().clamp_min(torch.finfo(theirs.dtype).tiny)
    return float((ours - theirs).abs().max() / scale)
