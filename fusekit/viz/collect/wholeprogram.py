"""`fusekit.explore` of what torch.compile returned: a call, timed, and its live view."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fusekit.viz.collect.joined import Looked, look
from fusekit.viz.collect.machine import this_machine
from fusekit.viz.collect.programtime import program_timing_of
from fusekit.viz.live.program import ProgramSession
from fusekit.viz.view import FusionView

__all__ = ["collect_compiled", "explore_compiled"]


def explore_compiled(
    program: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> FusionView:
    """The view of one call of what torch.compile returned; the call is made, and timed.

    Raises:
        UsageError: torch.compile did not return `program`, or the backend is another one.
    """
    return collect_compiled(program, args, kwargs, timing=True)


def collect_compiled(
    program: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], *, timing: bool
) -> FusionView:
    """Like `explore_compiled`; without `timing` the call is made once."""

    def looked(of: Callable[..., Any]) -> Looked:
        found = look(of, args, kwargs)
        if timing:
            found.model["timing"] = program_timing_of(found, args, kwargs)
            found.model["machine"] = this_machine()
        return found

    found = looked(program)
    return FusionView(found.model, ProgramSession(program, args, kwargs, looked, found))
