"""The timing section: the stopwatch's result, as the model has it, and as an object of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fusekit.api import FusedFunction
from fusekit.bench.measuring.comparing import race
from fusekit.bench.measuring.stopwatch import Tell
from fusekit.bench.measuring.timing import Settings
from fusekit.errors import UsageError
from fusekit.viz.model.schema import Timing

__all__ = ["measured", "timing_of"]


def timing_of(fused: FusedFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Timing | None:
    """Fused against eager, measured now; None where running twice would change the arguments."""
    if _writes(fused, args, kwargs):
        return None
    return race(fused, args, kwargs, settings=Settings(flush=True)).as_timing()


def measured(
    fused: FusedFunction,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    against: Sequence[str] = ("eager",),
    seconds: float = 3.0,
    flush: bool = True,
    tell: Tell | None = None,
) -> Timing:
    """The same with choices.

    Args:
        fused: the function.
        args: positional arguments of the call.
        kwargs: named ones.
        against: of "eager" and "inductor"; the first is the baseline.
        seconds: the most time for the rounds on one device; compiling comes on top.
        flush: write over the caches before each sample, which is then one call; else samples are
            half a millisecond of calls with warm caches.
        tell: told how far it is; it stops by raising.

    Raises:
        UsageError: running it twice would change the arguments, or it is not fused at all.
    """
    if _writes(fused, args, kwargs):
        raise UsageError(
            "this call is not timed: it is not fused, or it writes into its arguments, so that "
            "each run would start from other values"
        )
    how = Settings(seconds=seconds, flush=flush)
    return race(fused, args, kwargs, against=against, settings=how, tell=tell).as_timing()


def _writes(fused: FusedFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    entry = fused.entry(args, kwargs)
    return entry.plan is None or bool(entry.plan.program.writes)
