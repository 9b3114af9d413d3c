"""Functions that are divided into kernels as a user's plan says."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from fusekit.frontends.fx import Capture, capture
from fusekit.fusion import Plan
from fusekit.runtime.dispatch import Dispatcher
from fusekit.runtime.plans import Verdict, captured_for, judge_plan, plan_of

__all__ = ["Planned"]


class Planned(Dispatcher):
    """A function, its plan if it was given one, and the plans that its calls follow."""

    def __init__(
        self,
        function: Callable[..., Any],
        engine: str,
        name: str,
        *,
        dynamic: bool,
        plan: Plan | None = None,
    ) -> None:
        """Prepare nothing yet; without a plan, fusekit divides the function."""
        super().__init__(
            function, engine, name, dynamic=dynamic, capture=self._captured if plan else None
        )
        self.planned = plan

    def plan(self, *args: Any, **kwargs: Any) -> Plan:
        """How a call with these arguments is divided into kernels, as a value to keep and replay.

        `fusekit.fuse(fn, plan=...)` takes it, also from the file that `Plan.save` writes;
        `Plan.but` gives another.

        Args:
            *args: as for the call, which is not made.
            **kwargs: as for the call.

        Raises:
            FusionDeclined: the call would not be fused; the decline says why.
            EngineUnavailableError: the engine asked for by name cannot run here.
        """
        return plan_of(self.entry(args, kwargs).captured(), self.planned)

    def legality(self, *args: Any, change: str, **kwargs: Any) -> Verdict:
        """Whether a change of the plan would be legal; nothing is compiled for it.

        Args:
            *args: as for the call, which is not made.
            change: as `Plan.but` reads it: "mul_3 + g2".
            **kwargs: as for the call.

        Raises:
            FusionDeclined: the call would not be fused; the decline says why.
            UsageError: the change cannot be read, or names what is not there.
        """
        division = self.plan(*args, **kwargs)
        return judge_plan(self.entry(args, kwargs).captured(), division.but(change))

    def _captured(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Capture:
        """With the operators that the plan leaves to PyTorch as calls."""
        trace = functools.partial(
            capture, self.function, args, kwargs, name=self.name, dynamic=self.dynamic
        )
        return captured_for(self.planned, lambda sites: trace(opaque=sites))
