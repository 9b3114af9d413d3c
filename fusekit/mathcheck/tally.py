"""What has been found of one contender so far; sums up over slices and goes through JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fusekit.mathcheck.formats import Floats

__all__ = ["Tally"]


@dataclasses.dataclass
class Tally:
    """The errors of one contender.

    Attributes:
        ulp: the largest, judged by exact values.
        at: the arguments where it is, as text that Python reads back.
        result: what was computed there.
        special: inputs where a NaN, an infinity or the sign of a zero is not what it must be.
        special_at: the first such input.
        special_result: what was computed there.
        unjudged: inputs that may be worse than `ulp`, but were too many to judge.
        audited: inputs that were judged by exact values at random.
        not_nearest: halves that are not the exact result rounded; -1 if not counted.
        rounded_twice: halves that are not the same engine's float32 result rounded.
    """

    ulp: float = 0.0
    at: list[str] = dataclasses.field(default_factory=list)
    result: str = ""
    special: int = 0
    special_at: list[str] = dataclasses.field(default_factory=list)
    special_result: str = ""
    unjudged: int = 0
    audited: int = 0
    not_nearest: int = -1
    rounded_twice: int = 0

    @classmethod
    def read(cls, saved: Mapping[str, Any]) -> Tally:
        """From what `dataclasses.asdict` gave."""
        return cls(**saved)

    def merge(self, later: Tally) -> None:
        """Take in what was found by itself in later inputs, from what was known here."""
        if later.ulp > self.ulp:
            self.ulp, self.at, self.result = later.ulp, later.at, later.result
        if later.special and not self.special:
            self.special_at, self.special_result = later.special_at, later.special_result
        self.special += later.special
        self.unjudged += later.unjudged

    def judge(self, columns: Sequence[Floats], got: Floats, error: Floats) -> None:
        """Take the largest of judged errors; infinite ones are special values and not meant."""
        finite = np.where(np.isinf(error), 0.0, error)
        if not finite.size:
            return
        index = int(np.argmax(finite))
        if finite[index] > self.ulp:
            self.ulp = float(finite[index])
            self.at = _texts(columns, index)
            self.result = repr(float(got[index]))

    def see_special(self, count: int, columns: Sequence[Floats], got: Floats, index: int) -> None:
        """Count special values that differ; `index` is where the first of them is."""
        if count and not self.special:
            self.special_at = _texts(columns, index)
            self.special_result = repr(float(got[index]))
        self.special += count


def _texts(columns: Sequence[Floats], index: int) -> list[str]:
    return [repr(float(column[index])) for column in columns]
