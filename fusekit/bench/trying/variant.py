"""What a trial of one variant of a call found, as values."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch  # noqa: TC002  an annotation

from fusekit.bench.measuring.ratio import Outcome
from fusekit.bench.report import seconds_text
from fusekit.bench.trying.agreement import Agreement
from fusekit.bench.trying.targets import Figures
from fusekit.fusion import Plan
from fusekit.runtime.seams import bytes_text

__all__ = ["Change", "Race", "Side", "Variant"]


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """What a variant does otherwise; None for what stays.

    Attributes:
        change: of the plan in force, as `Plan.but` reads it.
        plan: in place of the plan in force.
        engine: who runs it.
        threads: how many of the CPU's.
        fast: whether compilers may contract, which changes rounding.
        dtype: of floating point arguments.
        shape: of the first tensor argument, or its first extent.
        layout: of the tensor arguments: see `fusekit.bench.trying.alteration.LAYOUTS`.
        target: the processor: "avx2", "avx512", "sm_90".
    """

    change: str = ""
    plan: Plan | None = None
    engine: str | None = None
    threads: int | None = None
    fast: bool | None = None
    dtype: str | torch.dtype | None = None
    shape: int | Sequence[int] | None = None
    layout: str | None = None
    target: str | None = None

    def __str__(self) -> str:
        """`mul_3 - g1, engine cpp, float16`; "nothing" if nothing changes."""
        said = [self.change.strip(), "another plan" if self.plan else ""]
        said += [f"engine {self.engine}" if self.engine else ""]
        if self.threads:
            said.append(f"{self.threads} thread{'' if self.threads == 1 else 's'}")
        said += ["" if self.fast is None else f"fast {'on' if self.fast else 'off'}"]
        said += ["" if self.dtype is None else str(self.dtype).removeprefix("torch.")]
        if self.shape is not None:
            extents = self.shape if isinstance(self.shape, int) else list(self.shape)
            said.append(f"shape {extents}")
        said += [self.layout or "", f"for {self.target}" if self.target else ""]
        return ", ".join(filter(None, said)) or "nothing"


@dataclasses.dataclass(frozen=True)
class Side:
    """What a call runs as, one way.

    Attributes:
        plan: its division.
        groups: the operators that each kernel computes, in order, with those it computes only for
            itself.
        launches: kernels, and operators that PyTorch runs.
        nbytes: that cross memory.
        figures: of the machine code, where a compiler for the target is here.
    """

    plan: Plan
    groups: tuple[tuple[str, ...], ...]
    launches: int
    nbytes: int
    figures: Figures | None = None

    @property
    def picture(self) -> str:
        """A line for each group: `g1: mul_1, add_1`."""
        return "\n".join(f"g{n}: {', '.join(names)}" for n, names in enumerate(self.groups, 1))

    def to_dict(self) -> dict[str, Any]:
        """All of it as values that JSON has."""
        return {
            "plan": self.plan.to_dict(),
            "groups": [list(names) for names in self.groups],
            "launches": self.launches,
            "bytes": self.nbytes,
            "figures": dataclasses.asdict(self.figures) if self.figures else None,
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Race:
    """How long a variant takes, beside one other, in turns.

    Attributes:
        against: "current" or "eager".
        seconds: the variant's median.
        baseline: the other's.
        spread: the variant's interquartile range, in seconds.
        ratio: the median of what the other takes over what the variant takes in the same round:
            above 1 is faster.
        interval: where the true median ratio lies with 95 %; None if rounds were too few.
        outcome: "faster", "slower", "tie" or "cannot tell".
        reason: with the numbers.
    """

    against: str
    seconds: float
    baseline: float
    spread: float
    ratio: float
    interval: tuple[float, float] | None
    outcome: Outcome
    reason: str


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way of running a call, tried.

    Attributes:
        name: of the function.
        change: what is otherwise.
        made: what it runs as.
        current: what the call runs as now.
        agreement: of its results with eager's; None if it was not run, or draws random numbers.
        races: against the current one, and against eager at the variant's arguments; none where
            it was not run.
        note: what could not be done, and why; "" if nothing.
    """

    name: str
    change: Change
    made: Side
    current: Side
    agreement: Agreement | None = None
    races: tuple[Race, ...] = ()
    note: str = ""

    @property
    def plan(self) -> Plan:
        """Its division, to keep or to replay: `fusekit.fuse(fn, plan=variant.plan)`."""
        return self.made.plan

    @property
    def was_run(self) -> bool:
        """False for a target that is not here."""
        return bool(self.races)

    def __repr__(self) -> str:
        """The same on every machine: no times."""
        return f"Variant({self.name}: {self.change}; {len(self.made.groups)} groups)"

    def __str__(self) -> str:
        """What changed and what came of it, in a few lines, with times."""
        made, current = self.made, self.current
        lines = [f"{self.name}: {self.change}"]
        lines += [f"  {line}" for line in made.picture.splitlines()]
        lines.append(f"  launches {current.launches} -> {made.launches}")
        lines.append(f"  bytes {bytes_text(current.nbytes)} -> {bytes_text(made.nbytes)}")
        for race in self.races:
            took = f"{seconds_text(race.seconds)}, {race.against} {seconds_text(race.baseline)}"
            lines.append(f"  against {race.against}: {race.outcome}, {took} ({race.reason})")
        if self.agreement is not None:
            said = "at most " if self.agreement.holds else "too much: "
            lines.append(f"  differs from eager by {said}{self.agreement}")
        for title, side in (("current", current), ("variant", made)):
            if side.figures is not None:
                lines.append(f"  code of {title} {side.figures}")
        return "\n".join([*lines, *([f"  {self.note}"] if self.note else [])])

    def to_dict(self) -> dict[str, Any]:
        """All of it as values that JSON has."""
        change = {k: v for k, v in dataclasses.asdict(self.change).items() if v not in (None, "")}
        change.pop("plan", None)
        if "dtype" in change:
            change["dtype"] = str(change["dtype"]).removeprefix("torch.")
        return {
            "name": self.name,
            "what": str(self.change),
            "change": change,
            "made": self.made.to_dict(),
            "current": self.current.to_dict(),
            "ulp": self.agreement.ulp if self.agreement else None,
            "agrees": self.agreement.holds if self.agreement else None,
            "races": [dataclasses.asdict(race) for race in self.races],
            "note": self.note,
        }
