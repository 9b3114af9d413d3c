"""The timing section: `compare`, as the model has it."""

from __future__ import annotations

from typing import Any

from fusekit.api import FusedFunction
from fusekit.bench import compare
from fusekit.viz.model import Timing

__all__ = ["timing_of"]


def timing_of(fused: FusedFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Timing | None:
    """Fused against eager, measured now; None where running twice would change the arguments."""
    entry = fused.entry(args, kwargs)
    if entry.plan is None or entry.plan.program.writes:
        return None
    return compare(fused, *args, **kwargs).as_timing()
