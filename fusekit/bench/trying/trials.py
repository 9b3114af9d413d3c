"""What if: one variant of a call, compiled, checked against eager, timed against the current one.

What changes is the plan (which operators share kernels), who runs it (engine, threads, `fast`), the
arguments (dtype, shape, layout), or the processor; of one that is not here, kernels are compiled
and their instructions counted, and nothing is run.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from fusekit.api import FusedFunction, fuse
from fusekit.bench.accuracy import reference
from fusekit.bench.measuring.contenders import device_of, move
from fusekit.bench.measuring.stopwatch import Taken, take, told
from fusekit.bench.measuring.timing import Settings
from fusekit.bench.trying.agreement import Agreement, agreement
from fusekit.bench.trying.alteration import altered
from fusekit.bench.trying.targets import HOST, figures
from fusekit.bench.trying.variant import Change, Race, Side, Variant
from fusekit.config import options
from fusekit.errors import UsageError
from fusekit.fusion import Plan, as_plan
from fusekit.runtime.plans import members
from fusekit.runtime.program import Program
from fusekit.runtime.traffic import total_traffic

__all__ = ["called", "what_if"]

_QUICK = Settings(seconds=1.5)

_BASELINES = ("current", "eager")


def called(
    fused: FusedFunction, args: tuple[Any, ...], kwargs: dict[str, Any], change: str
) -> Variant:
    """`what_if` with its options among the named arguments of the call."""
    named = dict(kwargs)
    fields = {field.name for field in dataclasses.fields(Change)} | {"settings"}
    given = {key: named.pop(key) for key in list(named) if key in fields}
    return what_if(fused, args, named, change=change, **given)


def what_if(
    fused: FusedFunction,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any] | None = None,
    *,
    change: str = "",
    plan: Plan | Mapping[str, Any] | str | Path | None = None,
    settings: Settings | None = None,
    step: Callable[[str], object] = lambda _: None,
    **others: Any,
) -> Variant:
    """Try one variant of a call.

    Args:
        fused: the function as it is now.
        args: positional arguments of the call; the variant and eager work on copies.
        kwargs: named ones.
        change: of the plan in force, as `Plan.but` reads it.
        plan: in place of the plan in force, as `fusekit.fuse` takes it.
        settings: how to measure.
        step: told in words what is done next; what it raises ends the trial.
        **others: the other attributes of `Change`.

    Raises:
        PlanRefused: the plan is illegal.
        FusionDeclined: the call, or the variant, would not be fused.
        EngineUnavailableError: the engine or target asked for cannot work here.
        UsageError: an option makes no sense.
    """
    try:
        wanted = Change(change=change, plan=as_plan(plan), **others)
    except TypeError:
        unknown = sorted(others.keys() - {field.name for field in dataclasses.fields(Change)})
        raise UsageError(f"what_if has no option {unknown[0]!r}") from None
    trial = _Trial(fused, args, dict(kwargs or {}), wanted, settings=settings or _QUICK, step=step)
    return trial.run()


class _Trial:
    """One variant being tried."""

    def __init__(
        self,
        fused: FusedFunction,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        change: Change,
        *,
        settings: Settings,
        step: Callable[[str], object],
    ) -> None:
        self.fused = fused
        self.call = args, kwargs
        self.change = change
        self.settings = settings
        self.step = step
        self.altered = altered(
            args, kwargs, dtype=change.dtype, shape=change.shape, layout=change.layout
        )
        base = change.plan or fused.planned
        if change.change:
            held = (
                change.plan if change.plan and change.plan.groups else fused.plan(*args, **kwargs)
            )
            base = held.but(change.change)
        elif base is not None and (change.shape or change.dtype or change.layout):
            base = base.undivided()  # other arguments may be divided otherwise
        self.variant = fuse(
            fused.function,
            engine=change.engine or fused.engine,
            name=fused.name,
            dynamic=fused.dynamic,
            plan=base,
        )

    def run(self) -> Variant:
        """Compile, check, time; the generator of random numbers is as before."""
        device = device_of(self.call)
        with torch.random.fork_rng(devices=[device] if device == "cuda" else []):
            return self._run()

    def _run(self) -> Variant:
        self.step("dividing")
        now, _ = self.fused.entry(*self.call).fused()
        context = self._context()
        made, _ = context.run(self.variant.entry, *self.altered).fused()
        target = self.change.target
        self.step("counting instructions")
        sides = (
            context.run(self._side, made, self.variant, self.altered, target or HOST),
            self._side(now, self.fused, self.call, self._target_of_current(target)),
        )
        found = Variant(self.fused.name, self.change, *sides)
        if target is not None:
            return dataclasses.replace(found, note=f"not run here: compiled for {target} only")
        self.step("checking against eager")
        checked, note = context.run(self._check, made)
        self.step("timing")
        return dataclasses.replace(
            found, agreement=checked, races=tuple(self._races(context)), note=note
        )

    def _context(self) -> contextvars.Context:
        """Where the variant's options hold."""
        made = contextvars.copy_context()
        if self.change.fast is not None:
            made.run(options(fast=self.change.fast).__enter__)
        return made

    def _target_of_current(self, target: str | None) -> str:
        """A GPU is compared with itself, a CPU with this one."""
        return target if target is not None and target.startswith("sm_") else HOST

    def _side(self, program: Program, function: FusedFunction, call: Any, target: str) -> Side:
        args, kwargs = call
        moved, plan = total_traffic(program), function.entry(args, kwargs).plan
        assert plan is not None
        taken = figures(program, target, plan.engine)
        division = function.plan(*args, **kwargs)
        return Side(division, members(program), moved.launches, moved.fused, taken)

    def _check(self, program: Program) -> tuple[Agreement | None, str]:
        """One call each way, on copies."""
        if any(node.op == "philox" for node in program.graph.nodes):
            return None, "not compared with eager: it draws random numbers"
        args, kwargs = self.altered
        device = program.capture.device.type
        made = []
        for function in (self.variant, self.fused.function):
            torch.manual_seed(0)
            given = move(args, device), move(kwargs, device)
            with torch.no_grad():
                made.append([function(*given[0], **given[1]), given])
        wide = None
        if not program.writes:
            with contextlib.suppress(Exception):  # some functions take no float64
                wide = [reference(self.fused.function, args, kwargs), self.altered]
        return agreement(made[0], made[1], wide), ""

    def _races(self, context: contextvars.Context) -> Iterator[Race]:
        device = device_of(self.call)
        threads = torch.get_num_threads()
        try:
            taken = take(
                {
                    "current": self._contender(
                        self.fused, self.call, contextvars.copy_context(), threads
                    ),
                    "eager": self._contender(
                        self.fused.function, self.altered, contextvars.copy_context(), threads
                    ),
                    "variant": self._contender(
                        self.variant, self.altered, context, self.change.threads or threads
                    ),
                },
                self.settings,
                pairs=[(name, "variant") for name in _BASELINES],
                synchronize=torch.cuda.synchronize if device == "cuda" else None,
            )
        finally:
            torch.set_num_threads(threads)
        for name in _BASELINES:
            yield _race(taken, name)

    def _contender(
        self, function: Callable[..., Any], call: Any, context: contextvars.Context, threads: int
    ) -> Callable[[], object]:
        """A call, in its context; all of them set the threads if one of them does."""
        args, kwargs = (move(each, device_of(call)) for each in call)
        if self.change.threads is None:
            return lambda: context.run(function, *args, **kwargs)

        def threaded() -> object:
            torch.set_num_threads(threads)
            return context.run(function, *args, **kwargs)

        return threaded


def _race(taken: Taken, against: str) -> Race:
    said = told(taken, against, "variant")
    mine = taken.timings["variant"]
    return Race(
        against=against,
        seconds=mine.median,
        baseline=taken.timings[against].median,
        spread=mine.spread,
        ratio=said.ratio.median,
        interval=said.ratio.interval,
        outcome=said.outcome,
        reason=said.sentence,
    )
