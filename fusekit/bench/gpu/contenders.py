"""Who runs a workload on the GPU, each after its first call, or why it cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fusekit.bench.gpu.cupy_forms import cupy_fused
from fusekit.bench.gpu.workloads import Args, GpuWorkload
from fusekit.bench.ready import COMMON, Make, Ready, differs, prepared

__all__ = ["COMPILED", "CONTENDERS", "Ready", "prepare", "wrong"]


def _cupy(work: GpuWorkload, args: Args) -> Ready | str:
    made = cupy_fused(work.name, args)
    return made if isinstance(made, str) else Ready(made)


CONTENDERS: Mapping[str, Make] = {
    **{name: COMMON[name] for name in ("fused", "inductor", "autotuned", "legacy")},
    "cupy": _cupy,
    "eager": COMMON["eager"],
}
"""Name -> how it is made; a text instead of a `Ready` says why not."""

COMPILED = {"inductor": 1.0, "autotuned": 0.75}
"""Those that take seconds to compile, and the share of a run's time after which they stay out."""


def prepare(
    name: str, work: GpuWorkload, args: Args, synchronize: Callable[[], None]
) -> Ready | str:
    """The contender after its first call; a text says why there is none. Nothing is raised."""
    return prepared(CONTENDERS[name], work, args, synchronize)


def wrong(work: GpuWorkload, args: Args, call: Callable[[], Any], expected: Any) -> str:
    """What is wrong with what a contender computes; "" if nothing is. Nothing is raised."""
    return differs(work.check, args, call, expected)
