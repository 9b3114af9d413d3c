"""Times on a device: contenders in turns, caches written over between them.

The device's own events take the time, so a call's host cost must not show in it: before each
sample the device is kept busy for longer than any call takes to be enqueued.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

import torch

from fusekit.bench.measuring.timing import Timing, no_collection

__all__ = ["Clock", "DeviceClock", "measure_device", "measure_host", "said"]

_FLUSH_BYTES = 256 << 20
"""More than the last cache of any GPU so far."""

_LEAD_CYCLES = 600_000
"""A third of a millisecond for the host to run ahead in."""

_WARMUP = 3

_BURST = 100
"""Calls of one host sample: fewer launches than the queue takes (1,024), for four-launch calls too.
A full queue makes the host wait for the device, and the sample would show the device."""


class Clock(Protocol):
    """What takes the time of one call."""

    def sample(self, call: Callable[[], object]) -> Callable[[], float]:
        """Start the call; what comes back tells its seconds once `synchronize` has returned."""

    def synchronize(self) -> None:
        """Wait for everything started; raises what went wrong on the device."""


class DeviceClock:
    """CUDA events around a call, on the current stream of the current device."""

    def __init__(self) -> None:
        self._trash = torch.empty(_FLUSH_BYTES, dtype=torch.uint8, device="cuda")

    def sample(self, call: Callable[[], object]) -> Callable[[], float]:
        """Enqueue delay, flush, event, call, event."""
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        torch.cuda._sleep(_LEAD_CYCLES)  # type: ignore[no-untyped-call]  # noqa: SLF001  no public spelling
        self._trash.zero_()
        start.record()
        call()
        end.record()
        return lambda: start.elapsed_time(end) / 1e3

    def synchronize(self) -> None:
        """Wait for the device."""
        torch.cuda.synchronize()


def measure_device(
    calls: Mapping[str, Callable[[], object]], runs: int, clock: Clock
) -> tuple[dict[str, Timing], dict[str, str]]:
    """Time every call `runs` times, in turns; the second result says which failed, and how."""
    samples: dict[str, list[float]] = {name: [] for name in calls}
    failed: dict[str, str] = {}
    with no_collection():
        for turn in range(_WARMUP + runs):
            for name, seconds in _round(calls, failed, clock).items():
                if turn >= _WARMUP:
                    samples[name].append(seconds)
    timings = {
        name: Timing(name, tuple(taken), first=0.0)
        for name, taken in samples.items()
        if taken and name not in failed
    }
    return timings, failed


def _round(
    calls: Mapping[str, Callable[[], object]], failed: dict[str, str], clock: Clock
) -> dict[str, float]:
    started: dict[str, Callable[[], float]] = {}
    for name, call in calls.items():
        if name in failed:
            continue
        try:
            started[name] = clock.sample(call)
        except Exception as error:  # noqa: BLE001  whatever one contender raises, the others go on
            failed[name] = said(error)
    clock.synchronize()
    return {name: read() for name, read in started.items()}


def measure_host(
    calls: Mapping[str, Callable[[], object]], bursts: int, clock: Clock
) -> tuple[dict[str, Timing], dict[str, str]]:
    """Seconds that one call keeps the host busy, by bursts in turns; who raised, and what."""
    samples: dict[str, list[float]] = {name: [] for name in calls}
    failed: dict[str, str] = {}
    with no_collection():
        for turn in range(_WARMUP + bursts):
            for name in [name for name in calls if name not in failed]:
                try:
                    taken = _burst(calls[name]) / _BURST
                    clock.synchronize()
                except Exception as error:  # noqa: BLE001  whatever one raises, the others go on
                    failed[name] = said(error)
                    continue
                if turn >= _WARMUP:
                    samples[name].append(taken)
    timings = {
        name: Timing(name, tuple(taken), first=0.0, inner=_BURST)
        for name, taken in samples.items()
        if name not in failed
    }
    return timings, failed


def _burst(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    for _ in range(_BURST):
        call()
    return time.perf_counter() - start


def said(error: BaseException) -> str:
    """An exception in one line that is not too long."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:200].rstrip(": ")
