"""One call timed by several contenders, as values: rows, verdicts, plain data."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, TypedDict

import torch

from fusekit.bench.measuring.contenders import Skipped
from fusekit.bench.measuring.ratio import EQUIVALENT, Outcome
from fusekit.bench.measuring.timing import Settings, Timing
from fusekit.bench.report import comparison_table, comparison_text, seconds_text

__all__ = [
    "Comparison",
    "Label",
    "Row",
    "TimingDict",
    "TimingRowDict",
    "rounded",
]

_MOST_SAMPLES = 60
"""As many of a contender's samples are kept as plain data, the last ones."""

Label = Literal["", "baseline", "faster", "slower", "tie", "cannot tell"]


class TimingRowDict(TypedDict):
    """One row as plain data; the schema of views has the same."""

    name: str
    device: str
    seconds: float
    spread: float
    runs: int
    ratio: float | None
    outcome: Label
    samples: list[float]
    interval: list[float]
    cause: str


class TimingDict(TypedDict):
    """A comparison as plain data."""

    rows: list[TimingRowDict]
    method: str
    verdict: str


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One contender on one device.

    Attributes:
        name: "eager", "inductor", "fused"; "fused llvm" where several engines were asked for.
        device: "cpu" or "cuda".
        engine: what runs it; "" for what is not ours.
        timing: what was measured.
        ratio: the median of what the baseline takes over what this one takes in the same round:
            above 1 is faster.
        outcome: against the baseline: "faster", "slower", "tie", "cannot tell"; "baseline".
        reason: of the outcome, with numbers.
        declined: why PyTorch runs it although it was fused; "" if it does not.
        interval: where the true median ratio lies with 95 %; None if rounds were too few.
        cause: the kind of what kept a verdict from being given; "" if there is one.
    """

    name: str
    device: str
    engine: str
    timing: Timing
    ratio: float | None
    outcome: Label
    reason: str
    declined: str = ""
    interval: tuple[float, float] | None = None
    cause: str = ""

    @property
    def seconds(self) -> float:
        """The median."""
        return self.timing.median

    @property
    def spread(self) -> float:
        """The interquartile range."""
        return self.timing.spread


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What was measured, and what follows.

    Attributes:
        name: of the function.
        rows: for each device the baseline first, the others behind it.
        skipped: what could not be measured, and why.
        settings: how it was measured.
        threads: with how many it was measured; a worker's may differ from those of this process.
    """

    name: str
    rows: tuple[Row, ...]
    skipped: tuple[Skipped, ...]
    settings: Settings
    threads: int = dataclasses.field(default_factory=torch.get_num_threads)

    @property
    def verdict(self) -> str:
        """One sentence for each device; it begins with the outcome."""
        said = [self._verdict(row) for row in self.rows if row.name.startswith("fused")]
        return "; ".join(said) or "cannot tell: nothing of fusekit ran"

    @property
    def outcome(self) -> Outcome:
        """Of the first fused row."""
        fused = next((row for row in self.rows if row.name.startswith("fused")), None)
        if fused is None or fused.outcome == "" or fused.outcome == "baseline":  # noqa: PLR1714  mypy
            return "cannot tell"
        return fused.outcome

    @property
    def method(self) -> str:
        """How it was measured, in a sentence."""
        timings = [row.timing for row in self.rows]
        inner = sorted({timing.inner for timing in timings})
        calls = "one call" if inner in ([], [1]) else f"{inner[0]} to {inner[-1]} calls"
        flushed = "caches written over before each" if self.settings.flush else "caches warm"
        lost = max((timing.disturbed for timing in timings), default=0)
        dropped = f"; {lost} disturbed rounds dropped" if lost else ""
        first = ", ".join(f"{row.name} {seconds_text(row.timing.first)}" for row in self.rows)
        return (
            f"Medians of samples of {calls}, taken in rounds of all contenders, {flushed}; the "
            f"interval holds the true median ratio with 95 %; within {EQUIVALENT:.0%} is a tie; "
            f"{self.threads} threads{dropped}. First calls, apart: {first}."
        )

    def row(self, name: str, device: str | None = None) -> Row | None:
        """The row of a contender, if it was measured."""
        found = (r for r in self.rows if r.name == name and device in (None, r.device))
        return next(found, None)

    def as_timing(self) -> TimingDict:
        """The timing section of a view."""
        rows = [
            TimingRowDict(
                name=row.name,
                device=row.device,
                seconds=row.seconds,
                spread=row.spread,
                runs=row.timing.runs,
                ratio=row.ratio,
                outcome=row.outcome,
                samples=[rounded(sample) for sample in row.timing.samples[-_MOST_SAMPLES:]],
                interval=[rounded(end) for end in row.interval or ()],
                cause=row.cause,
            )
            for row in self.rows
        ]
        skipped = "".join(f" {item}." for item in self.skipped)
        return TimingDict(rows=rows, method=self.method + skipped, verdict=self.verdict)

    def __str__(self) -> str:
        """A table, the verdict, the method."""
        return comparison_text(self)

    def __rich__(self) -> Any:
        """The same, for rich.print."""
        return comparison_table(self)

    def _verdict(self, row: Row) -> str:
        where = f"{row.name} on {row.device}"
        if row.declined:
            return f"{where}: not fused, {row.declined}"
        times = f"{where} takes {seconds_text(row.seconds)}"
        if row.outcome in ("", "baseline"):
            return times
        return f"{row.outcome}: {times}, {row.reason}"


def rounded(number: float) -> float:
    """Four significant digits, which is more than any measurement has."""
    return float(f"{number:.4g}")
