"""Entries: what a function has prepared for one signature, and when that still holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from fusekit.errors import FusionDeclined
from fusekit.frontends.free import Free
from fusekit.frontends.scalars import is_same_value
from fusekit.runtime.differences import Described, Signature
from fusekit.runtime.history import Specialisation
from fusekit.runtime.plan import Plan
from fusekit.runtime.program import Program
from fusekit.runtime.recent import Run
from fusekit.runtime.recipe import Recipe
from fusekit.runtime.resize import Template
from fusekit.runtime.signature import is_still, leaf_key
from fusekit.specs import Decline, Reason

__all__ = ["Entry", "Generic", "conditions"]


@dataclasses.dataclass(frozen=True)
class Entry:
    """What is known about one signature.

    Attributes:
        plan: how it runs fused; None if it does not.
        decline: why it does not.
        program: what it would run, if capture got that far.
        pinned: argument leaves by index: the entry holds for these values only.
        guards: what the function reads from outside.
        differentiable: wraps the plan while gradients are recorded; None if not needed.
        outside: tensors that the function closes over, and what they have to look like.
        run: serves a call with the argument leaves; MISS if they are not of this signature.
        made: why it was prepared; None where nothing was.
        described: what it was prepared for; None where nothing was.
    """

    plan: Plan | None
    decline: Decline | None
    program: Program | None
    pinned: tuple[tuple[int, Any], ...] = ()
    guards: tuple[Free, ...] = ()
    differentiable: Callable[[Sequence[Any]], list[Any]] | None = None
    outside: tuple[tuple[Free, Hashable], ...] = ()
    run: Run | None = None
    made: Specialisation | None = None
    described: Described | None = None

    @property
    def signature(self) -> Signature | None:
        """What it was prepared for, for people; None where nothing was."""
        return None if self.described is None else self.described.signature

    def fits(self, leaves: Sequence[Any]) -> bool:
        """True if pinned values and guards still hold, and closed-over tensors look the same."""
        return (
            all(is_same_value(leaves[i], value) for i, value in self.pinned)
            and all(guard.holds() for guard in self.guards)
            and all(is_still(free, key) for free, key in self.outside)
        )

    def fused(self) -> tuple[Program, Plan]:
        """What runs, and how; FusionDeclined if it does not run fused."""
        if self.program is None or self.plan is None:
            raise FusionDeclined(self.decline or Decline(Reason.CAPTURE))
        return self.program, self.plan

    def captured(self) -> Program:
        """What would run; FusionDeclined if capture did not get that far."""
        if self.program is None:
            raise FusionDeclined(self.decline or Decline(Reason.CAPTURE))
        return self.program

    def shares_capture(self, other: Entry) -> bool:
        """True if both run what one trace found, be it at other sizes."""
        if self.program is None or other.program is None:
            return False
        return self.program.capture.obstacles is other.program.capture.obstacles


@dataclasses.dataclass(frozen=True)
class Generic:
    """A size-generic program.

    Attributes:
        entry: says for which arguments but for their sizes.
        template: the program.
        recipes: of the plans that were made of it.
    """

    entry: Entry
    template: Template
    recipes: list[Recipe] = dataclasses.field(default_factory=list, compare=False)


def conditions(
    program: Program, leaves: Sequence[Any]
) -> tuple[tuple[tuple[int, Any], ...], tuple[Free, ...], tuple[tuple[Free, Hashable], ...]]:
    """The pinned leaves, the guards, and the closed-over tensors, under which a program holds."""
    found = program.capture
    pinned = tuple((i, leaves[i]) for i in sorted(found.pinned) if i < len(leaves))
    frees = (source.free for source in found.sources if source.free is not None)
    return pinned, found.guards, tuple((x, leaf_key(x.value)) for x in frees)
