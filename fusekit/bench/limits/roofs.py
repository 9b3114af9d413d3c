"""`roofline`: each kernel of a call against what the machine can do, and what its seams cost it."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Sequence
from typing import Any, Literal

from torch.utils import _pytree as pytree

from fusekit.api import FusedFunction, fuse
from fusekit.bench.limits.ceilings import Ceilings, ceilings, measured_alone
from fusekit.bench.limits.groups import calls_alone
from fusekit.bench.limits.operations import operations_of
from fusekit.bench.measuring.stopwatch import Tell
from fusekit.bench.measuring.timing import Timing
from fusekit.bench.report import seconds_text, text_table
from fusekit.errors import UsageError
from fusekit.fusion import Group
from fusekit.runtime.plan import Plan
from fusekit.runtime.program import KernelCall, Program
from fusekit.runtime.seams import SeamInfo, bytes_text, seams_of

__all__ = [
    "RoofGroup",
    "RoofSeam",
    "Roofline",
    "roofline",
    "roofline_of",
    "roofline_of_plans",
]

_PLOT = "fusekit.viz.measured.roofplot"
"""Imported when a notebook shows a roofline."""

_NEAR = 0.25
"""Share of the ceiling below which neither bytes nor arithmetic are what a kernel waits for."""

_VARIES = 2.0
"""Quartiles further apart than this factor show the machine, not the kernel."""

Bound = Literal["bytes", "arithmetic", "start", "unclear"]


@dataclasses.dataclass(frozen=True, slots=True)
class RoofSeam:
    """The cheapest seam of a kernel: one that a known change removes, if there is one.

    Attributes:
        code: why it is there.
        sentence: the same in words.
        nbytes: what this kernel moves because of it.
        hint: the change that removes it; "" if none is known.
    """

    code: str
    sentence: str
    nbytes: int
    hint: str


@dataclasses.dataclass(frozen=True, slots=True)
class RoofGroup:
    """One kernel.

    Attributes:
        name: "group 1", as views call it.
        index: its number, from 0.
        nbytes: what it reads and writes, by the ledger.
        operations: counted, in additions.
        seconds: the median of one run with cold caches.
        low: the lower quartile.
        high: the upper quartile.
        least: the time in which the machine's ceilings would let it run.
        seam: its cheapest seam; None if it has none.
        without: `least` without that seam.
    """

    name: str
    index: int
    nbytes: int
    operations: int
    seconds: float
    low: float
    high: float
    least: float
    seam: RoofSeam | None
    without: float

    @property
    def intensity(self) -> float:
        """Operations a byte."""
        return self.operations / max(self.nbytes, 1)

    @property
    def share(self) -> float:
        """How much of the ceiling it reaches, 0 to 1 (a little more where caches helped)."""
        return self.least / self.seconds

    @property
    def at_stake(self) -> float:
        """Seconds that removing the seam would save, at the same share of the ceiling."""
        return self.seconds * (1 - self.without / self.least) if self.least else 0.0


@dataclasses.dataclass(frozen=True, repr=False)
class Roofline:
    """The kernels of one call against the ceilings of the machine.

    Attributes:
        name: of the function.
        ceilings: of the device it runs on.
        groups: one for each kernel, in order.
    """

    name: str
    ceilings: Ceilings
    groups: tuple[RoofGroup, ...]

    def bound(self, group: RoofGroup) -> Bound:
        """What a kernel waits for: bytes, arithmetic, to be started; or its times vary too much."""
        if group.high > _VARIES * group.low:
            return "unclear"
        if group.share < _NEAR:
            return "start"
        return "bytes" if group.intensity < self.ceilings.ridge else "arithmetic"

    @property
    def queue(self) -> tuple[RoofGroup, ...]:
        """Kernels with a seam and times to go by, the one with the most time at stake first."""
        found = (g for g in self.groups if g.seam and self.bound(g) != "unclear")
        return tuple(sorted(found, key=lambda group: -group.at_stake))

    def to_dict(self) -> dict[str, Any]:
        """All of it as values that JSON has."""
        groups = [
            dataclasses.asdict(group)
            | {
                "intensity": group.intensity,
                "share": group.share,
                "bound": self.bound(group),
                "at_stake": group.at_stake,
            }
            for group in self.groups
        ]
        return {"name": self.name, "ceilings": dataclasses.asdict(self.ceilings), "groups": groups}

    def __repr__(self) -> str:
        """What is counted, not what is measured: the same on every machine."""
        said = [
            f"{group.name}: {bytes_text(group.nbytes)}, {group.operations:,} operations"
            + (f", seam {group.seam.code}" if group.seam else "")
            for group in self.groups
        ]
        return f"Roofline({self.name})  {'; '.join(said) or 'no kernels'}"

    __str__ = __repr__

    def text(self) -> str:
        """With what was measured, for a terminal."""
        head = ("kernel", "bytes", "ops/byte", "time", "of the ceiling", "waits for", "at stake")
        rows = [
            (
                group.name,
                bytes_text(group.nbytes),
                f"{group.intensity:.3g}",
                seconds_text(group.seconds),
                f"{group.share:.0%}",
                self.bound(group),
                f"{seconds_text(group.at_stake)} ({group.seam.code})" if group.seam else "",
            )
            for group in self.groups
        ]
        return "\n".join([repr(self), text_table(head, rows), f"{self.ceilings.how}."])

    def _repr_html_(self) -> str:
        """The plot and its table."""
        return str(importlib.import_module(_PLOT).shown(self))


def roofline(fn: Callable[..., Any], *args: Any, seconds: float = 5.0, **kwargs: Any) -> Roofline:
    """Time every kernel of one call alone, and hold it against the machine's ceilings.

    Args:
        fn: a function over tensors, or a `FusedFunction`.
        *args: as for the call, which is made once; kernels work on copies.
        seconds: the most time for the kernels; the ceilings take another second, once.
        **kwargs: as for the call.

    Raises:
        FusionDeclined: the call is not fused; the decline says why.
        UsageError: the engine has no kernels to time (the reference).
    """
    fused = fn if isinstance(fn, FusedFunction) else fuse(fn)
    return roofline_of(fused, args, kwargs, seconds=seconds)


def roofline_of(
    fused: FusedFunction,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    seconds: float = 5.0,
    tell: Tell | None = None,
) -> Roofline:
    """The same with progress."""
    _, plan = fused.entry(args, kwargs).fused()
    leaves = pytree.tree_leaves((args, kwargs))
    return roofline_of_plans(fused.name, [(plan, leaves)], seconds=seconds, tell=tell)


def roofline_of_plans(
    name: str,
    plans: Sequence[tuple[Plan, Sequence[Any]]],
    *,
    seconds: float = 5.0,
    tell: Tell | None = None,
) -> Roofline:
    """The kernels of several plans of one device, numbered through, each with its arguments.

    Raises:
        UsageError: an engine has no kernels to time (the reference), or there is no plan.
    """
    for plan, _ in plans:
        if not plan.engine.compiler:
            raise UsageError(f"the engine {plan.engine.name} has no kernels to time")
    if not plans:
        raise UsageError("no kernel runs, so there is none to time")
    device = plans[0][0].program.capture.device.type
    if tell is not None:
        tell(0, 1, "measuring the ceilings")
    limits = ceilings(device)
    runs: dict[str, Callable[[], object]] = {}
    live: dict[str, tuple[Program, int, KernelCall]] = {}
    before = 0
    for plan, leaves in plans:
        kernels = plan.program.kernels
        numbered = [(before + i, call) for i, call in enumerate(kernels) if call.binding.numel]
        before += len(kernels)
        for (i, call), run in zip(numbered, calls_alone(plan, leaves), strict=True):
            runs[f"group {i + 1}"] = run
            live[f"group {i + 1}"] = plan.program, i, call
    timings = measured_alone(runs, device, seconds=seconds, tell=tell)
    groups = [_group(*live[each], timings[each], limits) for each in live if each in timings]
    return Roofline(name, limits, tuple(groups))


def _group(
    program: Program, index: int, call: KernelCall, timing: Timing, limits: Ceilings
) -> RoofGroup:
    nbytes = sum(moved for _, moved in call.traffic())
    operations = operations_of(call.spec.graph) * call.binding.numel
    seam = _cheapest(program, call)
    left = max(nbytes - (seam.nbytes if seam else 0), 0)
    low, high = timing.quartiles
    return RoofGroup(
        name=f"group {index + 1}",
        index=index,
        nbytes=nbytes,
        operations=operations,
        seconds=timing.median,
        low=low,
        high=high,
        least=limits.seconds(nbytes, operations),
        seam=seam,
        without=limits.seconds(left, operations),
    )


def _cheapest(program: Program, call: KernelCall) -> RoofSeam | None:
    """Of the seams at either side, one with a known change, else the one with most bytes."""
    steps: Sequence[Any] = program.partition.steps
    found: list[SeamInfo] = [
        info
        for seam, info in zip(program.partition.seams, seams_of(program), strict=True)
        if any(
            isinstance(steps[end], Group) and steps[end].index == call.group.index
            for end in (seam.producer, seam.consumer)
        )
    ]
    if not found:
        return None
    best = max(found, key=lambda info: (bool(info.decline.hint), info.nbytes))
    decline = best.decline
    return RoofSeam(decline.code, decline.reason.sentence, best.nbytes, decline.hint)
