"""Measures a step of the ladder: its division as a plan, compiled, in turns with the final one."""

from __future__ import annotations

import dataclasses
from typing import Any

from fusekit.api import FusedFunction
from fusekit.bench import Variant, what_if
from fusekit.bench.trying.variant import Race
from fusekit.config import current
from fusekit.errors import UsageError
from fusekit.fusion import Plan
from fusekit.fusion.decisions import decisions, division_after
from fusekit.runtime.counterfactual import argument_limit
from fusekit.runtime.plans import plan_with
from fusekit.runtime.program import rules_of
from fusekit.viz.collect.ladder import joins_in_a_rung
from fusekit.viz.model.schema import Model
from fusekit.viz.words import bytes_text, plural, ratio_text, seconds_text

__all__ = ["MeasuredStep", "measure_step", "step_plan"]

_FLAG = 2
"""An estimate that is off by more than this factor is said to be."""


@dataclasses.dataclass(frozen=True)
class MeasuredStep:
    """A step of the ladder, run.

    Attributes:
        step: its number.
        variant: what was compiled, checked and timed.
    """

    step: int
    variant: Variant

    @property
    def estimate(self) -> float:
        """Time over that of the plan in force, if bytes were all that counts."""
        made, now = self.variant.made, self.variant.current
        return made.nbytes / now.nbytes if now.nbytes else 1.0

    @property
    def measured(self) -> float | None:
        """Time over that of the plan in force, in the same rounds; None if it was not run."""
        race = self._race()
        return 1 / race.ratio if race else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where `measured` truly lies with 95 %; None if it was not run, or too few times."""
        race = self._race()
        if race is None or race.interval is None:
            return None
        low, high = race.interval
        return 1 / high, 1 / low

    @property
    def measured_text(self) -> str:
        """`1.8× (1.7× to 1.9×)`; without the interval if there is none; "not run"."""
        if self.measured is None:
            return "not run"
        between = " to ".join(map(ratio_text, self.interval or ()))
        return f"{ratio_text(self.measured)} ({between})" if between else ratio_text(self.measured)

    @property
    def disagrees(self) -> bool:
        """True if estimate and measurement differ by more than a factor of 2."""
        found = self.measured
        return found is not None and max(found / self.estimate, self.estimate / found) > _FLAG

    def to_dict(self) -> dict[str, Any]:
        """All of it as values that JSON has."""
        return {
            "step": self.step,
            "estimate": self.estimate,
            "measured": self.measured,
            "interval": self.interval,
            "disagrees": self.disagrees,
            "variant": self.variant.to_dict(),
        }

    def __repr__(self) -> str:
        """The same on every machine: no times."""
        made = self.variant.made
        launches = plural(made.launches, "launch")
        return f"MeasuredStep({self.step}: {launches}, {bytes_text(made.nbytes)})"

    def __str__(self) -> str:
        """With times: `step 2: 4 launches, ...`."""
        made, race = self.variant.made, self._race()
        lines = [
            f"step {self.step}: {plural(made.launches, 'launch')}, {bytes_text(made.nbytes)}",
            f"  estimated {ratio_text(self.estimate)} the time of the plan in force, by bytes",
        ]
        if race:
            took = f"{seconds_text(race.seconds)}, the plan {seconds_text(race.baseline)}"
            lines.append(f"  measured {self.measured_text}: {took}")
        if self.disagrees:
            lines.append("  the two disagree by more than a factor of 2: bytes are not what counts")
        return "\n".join(lines)

    def _race(self) -> Race | None:
        return next((race for race in self.variant.races if race.against == "current"), None)


def step_plan(
    fused: FusedFunction, args: tuple[Any, ...], kwargs: dict[str, Any], model: Model, step: int
) -> Plan:
    """The division after so many steps, as `fusekit.fuse(fn, plan=...)` takes it.

    The first steps, "eager" among them, are a kernel for each operator; the last is the plan in
    force: what fusekit does of itself, or what the function was fused with.

    Raises:
        UsageError: there is no such step.
        FusionDeclined: the call is not fused.
    """
    rungs = model["ladder"]
    if not 0 <= step < len(rungs):
        raise UsageError(f"no step {step} in the ladder; there are 0 to {len(rungs) - 1}")
    program = fused.entry(args, kwargs).captured()
    limit = argument_limit(program, current().max_arguments)
    graph = program.graph
    rules = rules_of(program.capture, graph, fused.planned)
    each = joins_in_a_rung(decisions(graph, limit, rules))
    if step == len(rungs) - 1:
        return fused.plan(*args, **kwargs)
    joined = sum(rung["kind"] == "join" for rung in rungs[: step + 1])
    made = plan_with(program, division_after(graph, limit, joined * each, rules))
    own = fused.planned
    if own is None:
        return made
    # what must be together is not yet; what must not be, or is PyTorch's, holds at every step
    return dataclasses.replace(made, apart=own.apart, alone=own.alone, opaque=own.opaque)


def measure_step(
    fused: FusedFunction,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    model: Model,
    number: int,
    **options: Any,
) -> MeasuredStep:
    """Compile and time the plan after so many steps; options are those of `what_if`."""
    plan = step_plan(fused, args, kwargs, model, number)
    return MeasuredStep(number, what_if(fused, args, kwargs, plan=plan, **options))
