"""The counters survive their plans, and garbage collection at the worst moment."""

import gc

import torch

import fusekit
from fusekit.runtime.stats import CallCounter, Counters


def test_a_dead_plans_calls_still_count() -> None:
    gc.collect()  # what the pool has kept of others' results
    counters = Counters()
    counter = CallCounter(launches=2, opaque_calls=3)
    counters.add_plan(counter)
    for _ in range(5):
        counter.tick()
    before = counters.snapshot()
    assert (before.launches, before.opaque_calls, before.hits) == (10, 15, 4)
    del counter
    gc.collect()
    assert counters.snapshot() == before


def test_a_plan_may_die_while_the_counters_are_locked() -> None:
    counters = Counters()
    cycle: list[object] = [CallCounter(1, 0)]
    counters.add_plan(cycle[0])
    cycle.append(cycle)
    del cycle
    with counters._lock:
        gc.collect()  # a finalizer that wants the lock would never return
    assert counters.snapshot().launches == 0


def test_fused_functions_come_and_go() -> None:
    before = fusekit.stats().launches
    for n in range(20):
        fused = fusekit.fuse(lambda x: x * 2)
        fused(torch.ones(n + 2))
        fused(torch.ones(n + 2))
        del fused
    gc.collect()
    assert fusekit.stats().launches == before + 40
