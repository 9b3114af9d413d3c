"""What a run of the suite found, as values that JSON can hold and give back."""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from fusekit.bench.measuring.ratio import Ratio, between, ratio_of
from fusekit.errors import UsageError

__all__ = ["SCHEMA", "Machine", "Race", "SuiteRun", "load_run"]

SCHEMA = 1
"""The version of the JSON; a change that a reader must know of makes it one more."""

_ERROR = 0.05
"""Every interval misses with this chance."""


@dataclasses.dataclass(frozen=True)
class Machine:
    """Where a run took place.

    Attributes:
        hardware: what must be the same for two runs to be compared.
        software: versions; two runs may differ in them.
        conditions: what was the case when the run began.
    """

    hardware: Mapping[str, str]
    software: Mapping[str, str]
    conditions: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        """All of it in one line."""
        every = {**self.hardware, **self.software, **self.conditions}
        return ", ".join(f"{name} {value}" for name, value in every.items())


@dataclasses.dataclass(frozen=True)
class Race:
    """One thing that was measured, of every contender that could take part.

    Attributes:
        row: of the table of goals.
        name: unique within the row.
        title: one line for people.
        samples: contender -> seconds of one call in each round; "copy" moves `nbytes`.
        paired: True if the samples at one place are of one round.
        nbytes: that a call must move, read and written; 0 where that does not matter.
        firsts: contender -> seconds of its first call, compiling included.
        counts: what was counted, by name.
        notes: contender -> why it is missing, or what to know of it.
        load: share of all cores that other programs took meanwhile; None if unknown.
        lost: rounds that were dropped because a contender had lost its core.
    """

    row: str
    name: str
    title: str
    samples: Mapping[str, tuple[float, ...]]
    paired: bool = True
    nbytes: int = 0
    firsts: Mapping[str, float] = dataclasses.field(default_factory=dict)
    counts: Mapping[str, float] = dataclasses.field(default_factory=dict)
    notes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    load: float | None = None
    lost: int = 0

    def median(self, who: str = "fused") -> float | None:
        """Seconds; None if it was not measured."""
        taken = self.samples.get(who)
        return statistics.median(taken) if taken else None

    def interval(self, who: str = "fused", share: float = 0.5) -> tuple[float, float]:
        """Where the median (or another quantile) lies with 95 %."""
        return between(self.samples[who], share, error=_ERROR)

    def over(self, other: str, who: str = "fused") -> Ratio | None:
        """Time of one contender over another's, round by round; None if either is missing."""
        mine, theirs = self.samples.get(who), self.samples.get(other)
        if not mine or not theirs or not self.paired:
            return None
        return ratio_of(mine, theirs, error=_ERROR)


@dataclasses.dataclass(frozen=True)
class SuiteRun:
    """All of it.

    Attributes:
        machine: where.
        date: when, in UTC.
        command: what was asked for.
        planned: row -> the names of its races in such a run, whether or not they were asked for.
        ceilings: device -> bytes a second of a copy, as the machine gave them in this run.
        races: what was measured.
        missing: row, or row and race -> why it was not measured.
        seconds: what the run took.
    """

    machine: Machine
    date: str
    command: str
    planned: Mapping[str, tuple[str, ...]]
    ceilings: Mapping[str, float] = dataclasses.field(default_factory=dict)
    races: tuple[Race, ...] = ()
    missing: Mapping[str, str] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0

    def of(self, row: str) -> list[Race]:
        """The races of a row that were measured."""
        return [race for race in self.races if race.row == row]

    def race(self, row: str, name: str) -> Race | None:
        """One of them."""
        return next((race for race in self.of(row) if race.name == name), None)

    def why_missing(self, row: str, name: str) -> str:
        """Why there is no such race; "" if there is one, or nobody asked for it."""
        return self.missing.get(f"{row}: {name}") or self.missing.get(row, "")

    def data(self) -> dict[str, Any]:
        """The run as plain data, samples to five digits."""
        made = {"schema": SCHEMA, **dataclasses.asdict(self)}
        for race in made["races"]:
            race["samples"] = {
                who: [_rounded(taken) for taken in samples]
                for who, samples in race["samples"].items()
            }
        return made


def _rounded(number: float) -> float:
    return float(f"{number:.5g}")


def load_run(text: str, name: str = "") -> SuiteRun:
    """A run from its JSON.

    Raises:
        UsageError: it is none, or of another schema.
    """
    try:
        data = json.loads(text)
        schema = data.get("schema")
        if schema != SCHEMA:
            raise UsageError(
                f"{name or 'the file'} has schema {schema}, this fusekit reads {SCHEMA}: "
                f"it is not of `fusekit bench --all`, or of another version"
            )
        return _run(data)
    except (json.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        raise UsageError(f"{name or 'the file'} is no result of `fusekit bench --all`") from error


def _run(data: Mapping[str, Any]) -> SuiteRun:
    return SuiteRun(
        machine=Machine(**data["machine"]),
        date=data["date"],
        command=data["command"],
        planned={row: tuple(names) for row, names in data["planned"].items()},
        ceilings=data["ceilings"],
        races=tuple(_race(each) for each in data["races"]),
        missing=data["missing"],
        seconds=data["seconds"],
    )


def _race(data: Mapping[str, Any]) -> Race:
    samples = {who: _finite(taken) for who, taken in data["samples"].items()}
    return Race(**{**data, "samples": samples})


def _finite(samples: Sequence[Any]) -> tuple[float, ...]:
    if not all(isinstance(taken, int | float) and math.isfinite(taken) for taken in samples):
        raise TypeError("a sample is no number")
    return tuple(map(float, samples))
