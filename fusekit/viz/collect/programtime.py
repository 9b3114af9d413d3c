"""The stopwatch for whole programs: what torch.compile returned, against what it was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch.utils import _pytree as pytree

from fusekit.bench.limits.roofs import Roofline, roofline_of_plans
from fusekit.bench.measuring.comparing import race
from fusekit.bench.measuring.contenders import Compiled
from fusekit.bench.measuring.stopwatch import Tell
from fusekit.bench.measuring.timing import Settings
from fusekit.errors import UsageError
from fusekit.viz.collect.joined import Looked
from fusekit.viz.model.schema import Timing

__all__ = ["measured_program", "program_timing_of", "roofline_of_program"]


def program_timing_of(
    looked: Looked, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Timing | None:
    """A whole program fused against eager, measured now; None as for `timing_of`."""
    return None if _obstacle(looked) else measured_program(looked, args, kwargs)


def measured_program(
    looked: Looked,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    *,
    against: Sequence[str] = ("eager",),
    seconds: float = 3.0,
    flush: bool = True,
    tell: Tell | None = None,
) -> Timing:
    """The same with choices, as for `measured`.

    What a module holds is not copied: all contenders read the same parameters.

    Raises:
        UsageError: running it twice would change something, or it runs on several devices.
    """
    obstacle = _obstacle(looked)
    if obstacle:
        raise UsageError(f"this program is not timed: {obstacle}")
    found = race(
        Compiled(looked.program, looked.original),
        *(args, kwargs),
        against=against,
        settings=Settings(seconds=seconds, flush=flush),
        devices=looked.devices,
        tell=tell,
    )
    return found.as_timing()


def roofline_of_program(
    looked: Looked, *, seconds: float = 5.0, tell: Tell | None = None
) -> Roofline:
    """The kernels of all its graphs against the ceilings, numbered as in the view.

    Raises:
        UsageError: no kernel runs, or the engine has none to time.
    """
    plans = [
        (run.entry.plan, pytree.tree_leaves(run.args))
        for run in looked.graphs
        if run.entry is not None and run.entry.plan is not None
    ]
    return roofline_of_plans(looked.model["name"], plans, seconds=seconds, tell=tell)


def _obstacle(looked: Looked) -> str:
    """Why a program cannot be timed; "" if it can."""
    if looked.wrote:
        return "it writes into its arguments or its buffers, so each run would start from others"
    if len(looked.devices) != 1:
        return f"its tensors are on {' and '.join(looked.devices) or 'no device'}"
    return ""
