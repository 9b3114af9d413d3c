"""What happened to a function at run time: calls that PyTorch ran whole, and captures made anew."""

from __future__ import annotations

import collections
import dataclasses
import functools
from typing import Any, NamedTuple

from fusekit import events
from fusekit.frontends.lines import user_line
from fusekit.ir import Loc
from fusekit.locks import lock
from fusekit.runtime.differences import Described, differences
from fusekit.specs import Decline

__all__ = ["LIMIT", "Fallback", "History", "Recorder", "Specialisation"]

LIMIT = 64
"""How many kinds of fallbacks, and how many of the latest specialisations, a function keeps."""


@dataclasses.dataclass(frozen=True, slots=True)
class Fallback:
    """Calls that PyTorch ran whole, for one reason.

    Attributes:
        function: whose calls: the function's own name, or that of its backward.
        decline: why.
        count: how many calls.
        caller: the user's line that made the first of them, if known.
    """

    function: str
    decline: Decline
    count: int
    caller: Loc | None

    def to_dict(self) -> dict[str, object]:
        """All of it as values that JSON has."""
        return {
            "function": self.function,
            **self.decline.to_dict(),
            "count": self.count,
            "caller": str(self.caller) if self.caller else None,
        }


class _Earlier(NamedTuple):
    """What is compared of an earlier specialisation."""

    function: str
    number: int
    captured: bool
    described: Described


@dataclasses.dataclass(frozen=True)
class Specialisation:
    """One time that a call found nothing prepared for it.

    What it differs in is found out when somebody asks: new sizes come by the thousand.

    Attributes:
        function: the function's own name, or that of its backward.
        number: counted from 1, over all of them.
        captured: the function was traced; False if a size-generic program served the new sizes.
        groups: kernels it takes.
        decline: why it runs no kernels; None if it does.
        described: what it was made for.
        earlier: the ones before it that were still kept.
    """

    function: str
    number: int
    captured: bool
    groups: int
    decline: Decline | None
    described: Described = dataclasses.field(repr=False, compare=False)
    earlier: tuple[_Earlier, ...] = dataclasses.field(repr=False, compare=False)

    @property
    def nearest(self) -> int | None:
        """Number of the earlier one that differs least; None if there is none."""
        return self._nearest[0]

    @property
    def changes(self) -> tuple[str, ...]:
        """In what it differs from that; empty for a first one, or where nothing is known to."""
        return self._nearest[1]

    @functools.cached_property
    def _nearest(self) -> tuple[int | None, tuple[str, ...]]:
        """The one that differs least, a captured one before others, and in what."""
        found: tuple[int | None, tuple[str, ...]] = (None, ())
        least = (0, False)
        for known in reversed(self.earlier):
            if known.function == self.function:
                changes = differences(known.described.signature, self.described.signature)
                distance = (len(changes), not known.captured)
                if found[0] is None or distance < least:
                    found, least = (known.number, changes), distance
        return found

    @property
    def cause(self) -> str:
        """What differed, in one line."""
        if self.nearest is None:
            return "first call"
        return "; ".join(self.changes) or "an earlier one was forgotten"

    def __str__(self) -> str:
        """One line: number, what was done, what differed, what came of it."""
        done = "captured" if self.captured else "resized, not captured"
        result = f"[{self.decline.code}]" if self.decline else f"{self.groups} kernels"
        if self.groups == 1 and not self.decline:
            result = "1 kernel"
        return f"{self.number}  {self.function}: {done}: {self.cause}: {result}"

    def to_dict(self) -> dict[str, object]:
        """All of it as values that JSON has."""
        return {
            "function": self.function,
            "number": self.number,
            "captured": self.captured,
            "nearest": self.nearest,
            "changes": list(self.changes),
            "groups": self.groups,
            "code": self.decline.code if self.decline else None,
        }


@dataclasses.dataclass(frozen=True)
class History:
    """A snapshot of what happened to one function and its backwards.

    Attributes:
        name: of the function.
        specialisations: the latest `LIMIT`, in order.
        fallbacks: the first `LIMIT` kinds, in the order in which they were met.
        forgotten: specialisations that are no longer kept.
        other_fallbacks: calls that fell back for reasons that found no more room.
    """

    name: str
    specialisations: tuple[Specialisation, ...] = ()
    fallbacks: tuple[Fallback, ...] = ()
    forgotten: int = 0
    other_fallbacks: int = 0

    def __str__(self) -> str:
        """Everything, a line for each."""
        n_special = len(self.specialisations) + self.forgotten
        n_fallen = sum(each.count for each in self.fallbacks) + self.other_fallbacks
        lines = [f"{self.name}: {n_special} specialised, {n_fallen} fell back to PyTorch"]
        if self.forgotten:
            lines.append(f"  ... {self.forgotten} earlier ones")
        lines += [f"  {each}" for each in self.specialisations]
        for each in self.fallbacks:
            lines += fallback_lines(each, self.name)
        if self.other_fallbacks:
            lines.append(f"  {self.other_fallbacks} x for other reasons")
        return "\n".join(lines)

    def __rich__(self) -> str:
        """For rich.print; markup is escaped."""
        head, *rest = str(self).replace("[", "\\[").splitlines()
        return "\n".join((f"[bold]{head}[/bold]", *rest))

    def to_dict(self) -> dict[str, object]:
        """All of it as values that JSON has."""
        return {
            "name": self.name,
            "specialisations": [each.to_dict() for each in self.specialisations],
            "fallbacks": [each.to_dict() for each in self.fallbacks],
            "forgotten": self.forgotten,
            "other_fallbacks": self.other_fallbacks,
        }


def fallback_lines(each: Fallback, name: str) -> list[str]:
    """A fallback in two lines; whose it is, where it is not `name`'s."""
    whose = "" if each.function == name else f"{each.function}: "
    called = f", called at {each.caller}" if each.caller else ""
    return [
        f"  {each.count} x {whose}{each.decline}{called}",
        f"      hint: {each.decline.hint} ({each.decline.page})",
    ]


class Recorder:
    """Keeps the history of one function and its backwards; used by several threads."""

    def __init__(self, name: str) -> None:
        """Nothing happened yet."""
        self.name = name
        self._lock = lock()
        self._special: collections.deque[Specialisation] = collections.deque(maxlen=LIMIT)
        self._signatures: collections.deque[_Earlier] = collections.deque(maxlen=LIMIT)
        self._made = 0
        self._fallen: dict[tuple[str, Decline], list[Any]] = {}
        self._other = 0

    def fell_back(self, function: str, decline: Decline) -> None:
        """Count a call that PyTorch runs whole."""
        key = (function, decline)
        with self._lock:
            known = self._fallen.get(key)
            if known is not None:
                known[0] += 1
            elif len(self._fallen) < LIMIT:
                self._fallen[key] = [1, user_line()]
            else:
                self._other += 1

    def specialised(
        self,
        function: str,
        described: Described,
        *,
        captured: bool,
        groups: int,
        decline: Decline | None,
    ) -> Specialisation:
        """Note that something was prepared, and tell who listens, but for the first one."""
        with self._lock:
            self._made += 1
            earlier = tuple(self._signatures)
            made = Specialisation(
                *(function, self._made, captured, groups, decline, described, earlier)
            )
            self._special.append(made)
            self._signatures.append(_Earlier(function, self._made, captured, described))
        if events.are_heard() and made.nearest is not None:
            events.emit(events.Specialised(function, made.number, captured, made.changes))
        return made

    def snapshot(self) -> History:
        """The history as it is now."""
        with self._lock:
            return History(
                self.name,
                tuple(self._special),
                tuple(
                    Fallback(function, decline, count, caller)
                    for (function, decline), (count, caller) in self._fallen.items()
                ),
                self._made - len(self._special),
                self._other,
            )
