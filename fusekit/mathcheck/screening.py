"""Float32 results by the billion: screened against float64, and the worst judged by exact values.

Two float64 results bear witness. The first is eager PyTorch's. Its special functions are wrong in
places (near zeros, or for large arguments), so what it accuses is judged by exact values; where it
accuses too many for that, those at random, and of the others those that the second witness, the
kernel in float64, accuses too. What both overlook is left to the audits: random inputs that are
judged without any witness.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from fusekit.api import fuse
from fusekit.mathcheck.contenders import Contender
from fusekit.mathcheck.exact import exact_values
from fusekit.mathcheck.formats import FORMATS, SLACK, Floats, errors
from fusekit.mathcheck.tally import Tally

__all__ = ["Screen", "distance"]

_LIMIT = 2.0**128
_TOLERANCE, _NOISE = 1 + 1e-6, 1e-3
_FEW = 512
_MANY = 1 << 13
_BATCH = 16
_SAMPLE = 32


def distance(got: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """`formats.errors` for float32 results beside float64 references, in torch.

    The power of two of the reference's binade is Rump's (S. M. Rump, "Ultimately fast accurate
    summation", SIAM J. Sci. Comput. 31 (2009), algorithm 3.5), which takes no bits apart.
    """
    wide = got.double().clamp(-_LIMIT, _LIMIT)
    value = reference.clamp(-_LIMIT, _LIMIT)
    scaled = value * (2.0**52 + 1)
    binade = (scaled - scaled * (1 - 2.0**-53)).abs().clamp(2.0**-126, 2.0**127)
    error = (wide - value).abs() / binade * 2.0**23
    overflows = reference.abs() >= _LIMIT - 2.0**103
    differs = (got.isinf() != overflows) & (error > SLACK)
    alike = (got == 0) & (reference.abs() <= 2.0**-150) | (got.isinf() & overflows)
    differs = differs | (alike & (got.signbit() != reference.signbit()))
    differs = differs | (got.isnan() != reference.isnan())
    error = torch.where(reference.isnan(), 0.0, error).clamp(max=1e38)
    return torch.where(differs, float("inf"), error).float()


@functools.cache
def _fused_distance() -> Callable[..., torch.Tensor]:
    """One pass over memory instead of twenty; it is checked in each process before it is used."""
    fused = fuse(distance)
    values = torch.randn(4096, dtype=torch.float64) * torch.logspace(-50, 50, 4096)
    got = (values * (1 + 1e-7)).float()
    got[::7], values[::5] = torch.nan, torch.inf
    return fused if torch.equal(fused(got, values), distance(got, values)) else distance


class Screen:
    """Looks for the worst float32 results of contenders that share a device."""

    def __init__(self, name: str, contenders: Sequence[Contender]) -> None:
        """For the function of that name; eager is the first contender."""
        self.name = name
        self.contenders = contenders
        self._first = contenders[0].call
        self._second = contenders[-1].call
        self._distance = _fused_distance()

    def chunk(self, columns: Sequence[torch.Tensor], tallies: Mapping[str, Tally]) -> None:
        """Compute a chunk with each contender and look for results worse than its tally says."""
        reference = self._first(*(column.double() for column in columns))
        for contender in self.contenders:
            got = contender.call(*columns)
            error = self._distance(got, reference)
            tally = tallies[contender.name]
            if error.max().item() > _known(tally):
                suspicion = _Suspicion(
                    self, tally, columns, got=got, reference=reference, error=error
                )
                suspicion.clear()

    def second_opinion(self, columns: Sequence[torch.Tensor], got: torch.Tensor) -> torch.Tensor:
        """The distance from the kernel in float64."""
        return self._distance(got, self._second(*(column.double() for column in columns)))

    def audit(self, columns: Sequence[torch.Tensor], tallies: Mapping[str, Tally]) -> None:
        """Judge all results of a few inputs."""
        reference = self._first(*(column.double() for column in columns))
        for contender in self.contenders:
            tally = tallies[contender.name]
            got = contender.call(*columns)
            error = self._distance(got, reference)
            suspicion = _Suspicion(self, tally, columns, got=got, reference=reference, error=error)
            # what the witness accuses, too, is counted where it is met
            suspicion.judge_all(torch.nonzero(error != torch.inf).flatten())
            tally.audited += len(got)


class _Suspicion:
    """The results of one contender in one chunk, with errors that await judgement."""

    def __init__(
        self,
        screen: Screen,
        tally: Tally,
        columns: Sequence[torch.Tensor],
        *,
        got: torch.Tensor,
        reference: torch.Tensor,
        error: torch.Tensor,
    ) -> None:
        self.screen, self.tally = screen, tally
        self.columns, self.got, self.reference, self.error = columns, got, reference, error

    def clear(self) -> None:
        """Judge until nothing is left that may be worse than the worst known."""
        self._special()
        self._finite()

    def judge(self, index: torch.Tensor) -> Floats:
        """The true errors at some places, which the tally learns; special values are infinite."""
        columns = [_numpy(column[index]) for column in self.columns]
        got = _numpy(self.got[index])
        exact = exact_values(self.screen.name, columns)
        exact = exact.following(_numpy(self.reference[index]), got)
        error = errors(FORMATS["float32"], got, exact)
        self.tally.judge(columns, got, error)
        return error

    def judge_all(self, index: torch.Tensor) -> Floats:
        """The same; special values that only the judge sees are counted."""
        error = self.judge(index)
        hidden = np.flatnonzero(np.isinf(error))
        if len(hidden):
            columns = [_numpy(column[index]) for column in self.columns]
            self.tally.see_special(len(hidden), columns, _numpy(self.got[index]), int(hidden[0]))
        return error

    def _special(self) -> None:
        accused = torch.nonzero(self.error == torch.inf).flatten()
        if not len(accused):
            return
        guilty = self._tried(accused)
        first = guilty[:1]
        if len(first):
            columns = [_numpy(column[first]) for column in self.columns]
            self.tally.see_special(len(guilty), columns, _numpy(self.got[first]), 0)
        self.error[accused] = 0.0

    def _tried(self, accused: torch.Tensor) -> torch.Tensor:
        """Those of the accused special values that really differ."""
        if len(accused) <= _FEW:
            return accused[_mask(self.judge(accused) == np.inf, accused)]
        if (self.judge(_spread(accused, _SAMPLE)) == np.inf).all():
            return accused
        other = self.screen.second_opinion(self.columns, self.got)
        return accused[(other[accused] == torch.inf)]

    def _finite(self) -> None:
        """The largest first: each that is confirmed spares judging those below it."""
        false, asked = 0, False
        while len(accused := self._accused()):
            if false > _MANY:
                self.tally.unjudged += len(accused)
                return
            if false >= _BATCH and len(accused) > _FEW and not asked:
                self._ask_the_second(accused)
                asked = True
                continue
            size = min(len(accused), _BATCH if not false else _FEW)
            worst = accused[self.error[accused].topk(size).indices]
            confirmed = self.judge_all(worst) >= 0.99 * _numpy(self.error[worst])
            false += int(np.count_nonzero(~confirmed))
            self.error[worst] = 0.0

    def _accused(self) -> torch.Tensor:
        return torch.nonzero(self.error > _known(self.tally)).flatten()

    def _ask_the_second(self, accused: torch.Tensor) -> None:
        """Too many false alarms to judge: some at random, and what both witnesses accuse."""
        self.judge(_spread(accused, _SAMPLE))
        other = self.screen.second_opinion(self.columns, self.got)
        self.error = torch.minimum(self.error, other)


def _known(tally: Tally) -> float:
    """What the witnesses, float64 with errors of its own, must say to accuse."""
    return max(tally.ulp * _TOLERANCE, _NOISE)


def _spread(index: torch.Tensor, count: int) -> torch.Tensor:
    """Some of many places, evenly."""
    return index[:: max(len(index) // count, 1)][:count]


def _mask(values: np.ndarray[Any, Any], like: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(values).to(like.device)


def _numpy(values: torch.Tensor) -> Floats:
    found: Floats = values.detach().double().cpu().numpy()
    return found
