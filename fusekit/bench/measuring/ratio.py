"""The ratio of two contenders from paired samples: its median, an interval, and what follows.

Samples of one round were taken one right after the other, so whatever slows a machine down for a
while is in both and leaves their ratio alone. The interval goes between order statistics of the
ratios (the sign test turned around), which is exact for independent rounds whatever their
distribution: H. A. David, H. N. Nagaraja, Order Statistics, 3rd edition, section 7.1.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence
from typing import Literal

__all__ = ["EQUIVALENT", "LOOKS", "Outcome", "Ratio", "between", "decide", "is_settled", "ratio_of"]

Outcome = Literal["faster", "slower", "tie", "cannot tell"]

EQUIVALENT = 0.02
"""Ratios from 1 / 1.02 to 1.02 make no difference in practice."""

LOOKS = (10, 14, 20, 28, 40, 56, 80, 112, 160, 224)
"""Rounds after which it is asked whether a verdict can be given."""

_SHARP = 1.15
"""A ratio is known well enough if its interval's ends differ by no more than this factor."""

_ERROR = 0.05
"""The chance, over all looks together, that an interval misses the median."""


@dataclasses.dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as fast as the baseline: above 1 is faster.

    Attributes:
        median: of the rounds' ratios.
        low: the lower end of the interval; 0 if there are too few rounds for one.
        high: the upper end; infinite if there are too few.
        rounds: how many ratios there are.
    """

    median: float
    low: float
    high: float
    rounds: int

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends; None if there are too few rounds for one."""
        return (self.low, self.high) if math.isfinite(self.high) else None


def ratio_of(
    baseline: Sequence[float], other: Sequence[float], *, error: float = _ERROR / len(LOOKS)
) -> Ratio:
    """The ratio of paired samples, in seconds, of the baseline and of another contender.

    Args:
        baseline: one sample of each round.
        other: the other's, in the same order.
        error: the chance that the interval misses; the default is a look's share of 5 %, so that
            looking after every number of `LOOKS` and stopping when it suits keeps to 5 %.
    """
    ratios = sorted(b / max(o, 1e-12) for b, o in zip(baseline, other, strict=True))
    median = statistics.median(ratios)
    skipped = _outside(len(ratios), error)
    if skipped is None:
        return Ratio(median, 0.0, math.inf, len(ratios))
    return Ratio(median, ratios[skipped], ratios[-1 - skipped], len(ratios))


def _outside(count: int, error: float) -> int | None:
    """How many order statistics may be left out at either end; None if even all are too few."""
    chance, skipped = 0.0, -1
    while skipped + 1 <= count // 2:
        chance += math.comb(count, skipped + 1) / 2**count
        if 2 * chance > error:
            break
        skipped += 1
    return skipped if skipped >= 0 else None


def decide(
    ratio: Ratio, equivalent: float = EQUIVALENT
) -> Literal["faster", "slower", "tie"] | None:
    """The verdict if the interval lies on one side of a border; None while it lies on both."""
    slow, fast = 1 / (1 + equivalent), 1 + equivalent
    if ratio.low > fast:
        return "faster"
    if ratio.high < slow:
        return "slower"
    return "tie" if slow <= ratio.low and ratio.high <= fast else None


def is_settled(ratio: Ratio) -> bool:
    """True if there is a verdict, and the ratio is known well enough to be worth saying."""
    return decide(ratio) is not None and ratio.high <= _SHARP * ratio.low


def between(
    samples: Sequence[float], share: float = 0.5, *, error: float = _ERROR
) -> tuple[float, float]:
    """Where a quantile of what the samples were drawn from lies: two order statistics.

    Exact for independent samples whatever their distribution (David and Nagaraja, as above): as
    many of them lie below the quantile as a binomial draw says.

    Args:
        samples: in any order.
        share: of all that lies below the quantile: 0.5 is the median.
        error: the chance that it lies outside, half at either end.

    Returns:
        The ends; 0 or infinity where the samples are too few for one.
    """
    ordered, count = sorted(samples), len(samples)
    below, low, high = 0.0, 0.0, math.inf
    for rank in range(count + 1):
        if below >= 1 - error / 2:
            return low, ordered[rank - 1]
        below += math.exp(_log_binomial(count, rank, share))
        if below <= error / 2 and rank < count:
            low = ordered[rank]
    return low, high


def _log_binomial(count: int, drawn: int, share: float) -> float:
    """The logarithm of the chance of `drawn` out of `count`."""
    ways = math.lgamma(count + 1) - math.lgamma(drawn + 1) - math.lgamma(count - drawn + 1)
    return ways + drawn * math.log(share) + (count - drawn) * math.log1p(-share)
