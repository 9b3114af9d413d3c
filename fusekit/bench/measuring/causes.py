"""Why no verdict could be given: the first thing found that disturbs, or hides, a difference."""

from __future__ import annotations

import dataclasses
from typing import Literal

from fusekit.bench.measuring.ratio import EQUIVALENT, LOOKS, Ratio
from fusekit.bench.report import seconds_text

__all__ = ["Cause", "CauseKind", "Surroundings", "cause_of", "is_too_busy"]

CauseKind = Literal[
    "", "first-run compile", "other load", "clock", "too short", "launch-bound", "noise"
]

_LOAD = 0.15
"""Share of the processor that others may take before it is they who are seen."""

_TOO_MUCH = 0.5
"""Share from which no verdict says anything about the machine as it is at other times."""

_LOST = 0.25
"""Share of rounds that may be lost to the scheduler."""

_DRIFT = 0.05
"""How far the time of a fixed piece of work may move from the first rounds to the last."""

_HOST = 0.9
"""Share of a call that starting its kernels takes, from which the GPU no longer matters."""


@dataclasses.dataclass(frozen=True, slots=True)
class Surroundings:
    """What else happened while samples were taken.

    Attributes:
        rounds: that count.
        lost: rounds dropped because the scheduler took the core.
        compiles: kernels compiled meanwhile.
        others: share of all cores that other processes took, 0 to 1; None if unknown.
        drift: relative change of the time of a fixed piece of work, first rounds to last.
        sample: seconds of the shortest sample.
        step: seconds between two readings of the clock that differ.
        host: share of the calls in which the CPU was starting kernels; 0 on a CPU.
    """

    rounds: int
    lost: int = 0
    compiles: int = 0
    others: float | None = None
    drift: float = 0.0
    sample: float = 1.0
    step: float = 0.0
    host: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Cause:
    """A kind, which is the same on every machine, and a sentence with the numbers."""

    kind: CauseKind
    sentence: str


def is_too_busy(around: Surroundings) -> bool:
    """True if others left so little of the CPU that no verdict on it would last."""
    if not around.rounds:
        return True  # no round was undisturbed
    return (around.others or 0.0) > _TOO_MUCH and not around.host


def cause_of(around: Surroundings, ratio: Ratio) -> Cause:
    """Why `ratio` could not be decided. What would have helped most comes first."""
    total = around.rounds + around.lost
    others = around.others or 0.0
    suspects: tuple[tuple[bool, CauseKind, str], ...] = (
        (
            around.compiles > 0,
            "first-run compile",
            "something was compiled while it was measured",
        ),
        (
            others > _LOAD,
            "other load",
            f"other programs took {others:.0%} of the processor",
        ),
        (
            around.lost > _LOST * total,
            "other load",
            f"{around.lost} of {total} rounds lost their core to something else",
        ),
        (
            abs(around.drift) > _DRIFT,
            "clock",
            f"the processor's speed changed by {abs(around.drift):.0%} meanwhile",
        ),
        (
            around.sample * EQUIVALENT < around.step,
            "too short",
            f"a sample takes {seconds_text(around.sample)}, too short for this clock",
        ),
        (
            around.rounds < LOOKS[0],
            "too short",
            f"only {around.rounds} rounds in the time that was given",
        ),
        (
            around.host > _HOST,
            "launch-bound",
            "the CPU takes as long to start the kernels as the GPU to run them",
        ),
    )
    for applies, kind, sentence in suspects:
        if applies:
            return Cause(kind, sentence)
    said = f"the noise is wider than the difference: {ratio.low:.3g}× to {ratio.high:.3g}×"
    return Cause("noise", said)
