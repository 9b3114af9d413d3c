"""Two runs of the suite on one machine: what became slower, or faster, by more than noise.

A figure has changed if its intervals do not overlap and its value moved by more than 5 %. A race
where eager PyTorch ran in the same rounds must have changed so twice: in its time, and in its time
over eager's. Then neither a machine that was slower as a whole nor an eager that got faster counts.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any, Literal

from fusekit.bench.report import rich_table, seconds_text, text_table
from fusekit.bench.suite.goals import GOALS, ROWS, TOO_BUSY, Goal, estimate
from fusekit.bench.suite.results import Race, SuiteRun
from fusekit.errors import UsageError

__all__ = ["Change", "Changes", "changes", "differences"]

LEAST = 0.05
"""A change of less makes no difference in practice, and days differ by as much."""

Kind = Literal["regression", "gain", "same", "cannot tell"]


@dataclasses.dataclass(frozen=True, slots=True)
class Value:
    """A number and where it lies."""

    value: float
    low: float
    high: float

    def over(self, old: Value) -> float:
        """This one over an older one; infinite over nothing."""
        return self.value / old.value if old.value else math.inf if self.value else 1.0

    def is_above(self, old: Value, least: float) -> bool:
        """True if it is larger by more than noise and by more than a share of `least`."""
        return self.low > old.high and self.value > (1 + least) * old.value


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """One figure, or one race, in both runs.

    Attributes:
        name: what.
        kind: which way it went.
        old: what it was, in words.
        new: what it is.
        factor: new over old; None if one of them is missing.
        note: what to know of it.
    """

    name: str
    kind: Kind
    old: str
    new: str
    factor: float | None
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Changes:
    """All of them.

    Attributes:
        found: figures first, races behind them.
        machines: in what the machines differ, if that was let pass.
        versions: in what the software differs.
    """

    found: tuple[Change, ...]
    machines: tuple[str, ...]
    versions: tuple[str, ...]

    @property
    def regressions(self) -> list[Change]:
        """What became slower."""
        return [change for change in self.found if change.kind == "regression"]

    def __str__(self) -> str:
        """What changed, then what to know of the machines, then the verdict."""
        rows = self._rows()
        table = [text_table(_HEAD, rows)] if rows else []
        return "\n".join([*table, *self._notes()])

    def __rich__(self) -> Any:
        """The same for rich.print."""
        from rich.console import Group  # noqa: PLC0415  optional
        from rich.text import Text  # noqa: PLC0415  optional

        rows = self._rows()
        table = [rich_table("Changes", _HEAD, rows)] if rows else []
        return Group(*table, *map(Text, self._notes()))

    def _rows(self) -> list[tuple[str, ...]]:
        order = ("regression", "gain", "cannot tell")
        told = sorted(
            (change for change in self.found if change.kind in order),
            key=lambda change: order.index(change.kind),
        )
        return [
            (
                change.name,
                change.old,
                change.new,
                "" if change.factor is None else f"×{change.factor:.3g}",
                change.kind.upper() if change.kind == "regression" else change.kind,
                change.note,
            )
            for change in told
        ]

    def _notes(self) -> list[str]:
        counts = [
            f"{sum(change.kind == kind for change in self.found)} {word}"
            for kind, word in (("regression", "slower"), ("gain", "faster"), ("same", "the same"))
        ]
        said = [f"different machines: {each}" for each in self.machines]
        said += [f"versions: {each}" for each in self.versions]
        return [*said, f"{len(self.found)} compared: {', '.join(counts)}"]


_HEAD = ("what", "old", "new", "new / old", "", "note")


def differences(old: SuiteRun, new: SuiteRun) -> tuple[list[str], list[str]]:
    """In what hardware and settings two runs differ, and in what software."""
    return (
        _differences(dict(old.machine.hardware), dict(new.machine.hardware)),
        _differences(dict(old.machine.software), dict(new.machine.software)),
    )


def _differences(old: dict[str, str], new: dict[str, str]) -> list[str]:
    names = dict.fromkeys([*old, *new])
    return [
        f"{name} {old.get(name, 'none')} → {new.get(name, 'none')}"
        for name in names
        if old.get(name) != new.get(name)
    ]


def changes(old: SuiteRun, new: SuiteRun, *, force: bool = False) -> Changes:
    """What changed from one run to the other.

    Args:
        old: what is compared with.
        new: what is judged.
        force: compare runs of different machines, too.

    Raises:
        UsageError: the machines differ, or the runs have nothing in common.
    """
    machines, versions = differences(old, new)
    if machines and not force:
        raise UsageError(f"not the same machine ({'; '.join(machines)}): --force compares anyway")
    found = (*_figures(old, new), *_races(old, new))
    if not found:
        raise UsageError("the runs have nothing in common")
    return Changes(found, tuple(machines), tuple(versions))


def _figures(old: SuiteRun, new: SuiteRun) -> Iterator[Change]:
    """Goals, but those that reduce races, which are compared one by one."""
    for goal in GOALS:
        before, after = _value(goal, old), _value(goal, new)
        races = [race for run in (old, new) for race in run.of(goal.row)]
        if before and after and not any("eager" in race.samples for race in races):
            yield _change(goal, before, after)


def _value(goal: Goal, run: SuiteRun) -> Value | None:
    found = estimate(goal, run)
    return None if found.value is None else Value(found.value, found.low, found.high)


def _change(goal: Goal, old: Value, new: Value) -> Change:
    name = f"{ROWS[goal.row]}: {goal.title}"
    kind = _kind(old, new)
    return Change(name, kind, goal.text(old.value), goal.text(new.value), new.over(old))


def _kind(old: Value, new: Value, least: float = LEAST) -> Kind:
    """For what is better when it is smaller, as all that is compared here."""
    if new.is_above(old, least):
        return "regression"
    return "gain" if old.is_above(new, least) else "same"


def _races(old: SuiteRun, new: SuiteRun) -> Iterator[Change]:
    for race in new.races:
        before = old.race(race.row, race.name)
        if before is not None and ("eager" in race.samples or "eager" in before.samples):
            made = _race(before, race)
            if made is not None:
                yield made


def _race(old: Race, new: Race) -> Change | None:
    name = f"{ROWS.get(new.row, new.row)}: {new.name}"
    before, after = old.median(), new.median()
    if before is None:
        return None
    if after is None:
        why = new.notes.get("fused", "not measured")
        return Change(name, "regression", seconds_text(before), "-", None, why)
    kinds = {_kind(*pair) for pair in ((_time(old), _time(new)), (_over(old), _over(new)))}
    kind: Kind = kinds.pop() if len(kinds) == 1 else "same"
    over = old.over("eager"), new.over("eager")
    parts = [f"{ratio.median:.3g}" for ratio in over if ratio]
    note = f"{' → '.join(parts)} of eager's" if len(parts) == 2 else ""
    declined = new.notes.get("fused", "")
    if declined.startswith("not fused") and not old.notes.get("fused", "").startswith("not fused"):
        kind, note = "regression", declined
    busy = max(old.load or 0.0, new.load or 0.0)
    if kind != "same" and busy > TOO_BUSY:
        kind, note = "cannot tell", f"other programs took {busy:.0%} of the processor"
    return Change(name, kind, seconds_text(before), seconds_text(after), after / before, note)


def _time(race: Race) -> Value:
    return Value(race.median() or 0.0, *race.interval())


def _over(race: Race) -> Value:
    ratio = race.over("eager")
    return Value(ratio.median, ratio.low, ratio.high) if ratio else _time(race)
