"""What `fusekit demo` measures: real functions, their errors and their times."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import torch

from fusekit import events
from fusekit.api import FusedFunction, fuse
from fusekit.bench.accuracy import Distance, distance, reference
from fusekit.bench.measuring.comparing import compare
from fusekit.bench.measuring.comparison import Comparison
from fusekit.bench.measuring.contenders import Skipped, why_no_inductor
from fusekit.bench.measuring.timing import Settings
from fusekit.bench.workloads import WORKLOADS, Args, Workload

__all__ = ["Shown", "demonstrate"]

_QUICK_SIZE = 1 << 18


@dataclasses.dataclass(frozen=True)
class Shown:
    """One function of the demo.

    Attributes:
        workload: which.
        fused: the function, fused.
        args: what it was called with.
        engine: what runs it; "PyTorch" if it was declined.
        error: of fused, against float64.
        eager_error: of eager, against float64.
        compile_seconds: what generating and compiling its kernels took.
        cached: True if they came from the disk cache.
        comparison: what was measured.
    """

    workload: Workload
    fused: FusedFunction
    args: Args
    engine: str
    error: Distance
    eager_error: Distance
    compile_seconds: float
    cached: bool
    comparison: Comparison


def demonstrate(
    names: Sequence[str] | None = None,
    *,
    quick: bool = False,
    inductor: bool = True,
    inductor_seconds: float = 20.0,
) -> Iterator[Shown]:
    """Run the workloads, one after the other.

    Args:
        names: which; None for all.
        quick: small tensors and little time.
        inductor: measure Inductor too, where it works.
        inductor_seconds: what its compilations may take in all; the rest goes without.
    """
    left = inductor_seconds
    for name in names or WORKLOADS:
        reason = _no_inductor(left, inductor_seconds, wanted=inductor)
        shown = _show(WORKLOADS[name], _settings(quick=quick), reason, quick=quick)
        rows = [row for row in shown.comparison.rows if row.name == "inductor"]
        left -= sum(row.timing.first for row in rows)
        yield shown


def _settings(*, quick: bool) -> Settings:
    return Settings(seconds=0.3, warmup=1) if quick else Settings(seconds=0.8)


def _no_inductor(left: float, budget: float, *, wanted: bool) -> str | None:
    if not wanted:
        return "not asked for"
    missing = why_no_inductor("cpu")
    if missing is None and left <= 0:
        return f"its compilations have used their {budget:.0f} s"
    return missing


def _show(work: Workload, settings: Settings, no_inductor: str | None, *, quick: bool) -> Shown:
    args = work.make_args(_QUICK_SIZE if quick else work.size)
    fused = fuse(work.function)
    with events.listening() as heard, torch.no_grad():
        result = fused(*args)
    exact = reference(work.reference or work.function, args, {})
    error, eager_error = distance(result, exact), distance(work.function(*args), exact)
    del result, exact
    against = ("eager",) if no_inductor else ("eager", "inductor")
    found = compare(fused, *args, against=against, settings=settings)
    if no_inductor:
        skipped = Skipped("inductor", "cpu", no_inductor)
        found = dataclasses.replace(found, skipped=(*found.skipped, skipped))
    compiled = [event for event in heard if isinstance(event, events.Compiled)]
    row = found.row("fused")
    return Shown(
        work,
        fused,
        args,
        (row.engine if row else "") or "PyTorch",
        error,
        eager_error,
        sum(event.seconds for event in compiled),
        any(event.cached for event in compiled),
        found,
    )
