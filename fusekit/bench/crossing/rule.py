"""A rule when to leave a call to eager PyTorch, found in what was measured, as code that runs.

The rule is an "or" of a few clauses; a clause is a condition on dtype and layout, one on size, or
both. Starting from none, a clause is added, exchanged or dropped, whichever sets most samples right
or says the same in fewer words, until nothing does.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch

__all__ = ["Rule", "Sample", "find_rule"]

_MOST_CLAUSES = 4


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """One measured call: what the first tensor was like, and who was faster.

    Attributes:
        numel: its elements.
        dtype: its dtype, as torch spells it: "float32".
        contiguous: what `is_contiguous()` says.
        eager: True if eager PyTorch was faster, or the only one that could.
    """

    numel: int
    dtype: str
    contiguous: bool
    eager: bool


@dataclasses.dataclass(frozen=True, slots=True)
class _Clause:
    """Numbers of elements from `at_least` to below `below`, in a dtype, in a layout."""

    dtype: str | None = None
    contiguous: bool | None = None
    below: int | None = None
    at_least: int | None = None

    def holds(self, sample: Sample) -> bool:
        return (
            self.dtype in (None, sample.dtype)
            and self.contiguous in (None, sample.contiguous)
            and (self.below is None or sample.numel < self.below)
            and (self.at_least is None or sample.numel >= self.at_least)
        )

    @property
    def words(self) -> list[str]:
        words = []
        if self.below is not None:
            words.append(f"x.numel() < {self.below:_}")
        if self.at_least is not None:
            words.append(f"x.numel() >= {self.at_least:_}")
        if self.dtype is not None:
            words.append(f"x.dtype is torch.{self.dtype}")
        if self.contiguous is not None:
            words.append("x.is_contiguous()" if self.contiguous else "not x.is_contiguous()")
        return words


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """When eager PyTorch is the better choice.

    Attributes:
        condition: a Python expression of `x`, the first tensor: "x.numel() < 16_384".
        samples: how many measured calls it was found in; ties and unclear ones are not among them.
        wrong: for how many of them it chooses the slower one.
    """

    condition: str
    samples: int
    wrong: int

    @property
    def code(self) -> str:
        """The rule as an expression that makes a function: `lambda x: ...`."""
        return f"lambda x: {self.condition}"

    @property
    def error(self) -> float:
        """The share of samples for which it chooses the slower one."""
        return self.wrong / self.samples if self.samples else 0.0

    def function(self) -> Callable[[torch.Tensor], bool]:
        """The rule as a function of the first tensor: True where eager PyTorch should run."""
        return eval(self.code, {"torch": torch})  # type: ignore[no-any-return]  # noqa: S307  made here


def find_rule(samples: Sequence[Sample]) -> Rule:
    """The rule for these samples."""
    clauses = list(_clauses(samples))
    # sets of samples as the bits of an integer
    covers = [_bits(map(clause.holds, samples)) for clause in clauses]
    eager = _bits(sample.eager for sample in samples)

    def price(chosen: Sequence[int]) -> tuple[int, int, tuple[int, ...]]:
        covered = functools.reduce(operator.or_, (covers[i] for i in chosen), 0)
        words = sum(len(clauses[i].words) + 1 for i in chosen)
        return (covered ^ eager).bit_count(), words, tuple(chosen)

    best = price(())
    while (found := min(map(price, _moves(best[2], len(clauses))), default=best)) < best:
        best = found
    return Rule(_condition([clauses[i] for i in best[2]]), len(samples), best[0])


def _bits(flags: Iterable[bool]) -> int:
    return sum(1 << place for place, flag in enumerate(flags) if flag)


def _moves(chosen: tuple[int, ...], count: int) -> Iterator[tuple[int, ...]]:
    """One clause more, one fewer, one in place of another."""
    rests = [chosen[:place] + chosen[place + 1 :] for place in range(len(chosen))]
    yield from rests
    bases = [*rests, chosen] if len(chosen) < _MOST_CLAUSES else rests
    for base, clause in itertools.product(bases, range(count)):
        if clause not in base:
            yield (*base, clause)


def _clauses(samples: Sequence[Sample]) -> Iterator[_Clause]:
    """All that can tell these samples apart."""
    sizes = sorted({sample.numel for sample in samples})
    dtypes = sorted({sample.dtype for sample in samples})
    layouts = sorted({sample.contiguous for sample in samples})
    ranges = [(None, None), *((None, size) for size in sizes[1:]), *((s, None) for s in sizes[1:])]
    for dtype, contiguous, (at_least, below) in itertools.product(
        [None, *(dtypes if len(dtypes) > 1 else [])],
        [None, *(layouts if len(layouts) > 1 else [])],
        ranges,
    ):
        yield _Clause(dtype, contiguous, below, at_least)


def _condition(chosen: Sequence[_Clause]) -> str:
    if not chosen:
        return "False"
    parts = []
    for clause in chosen:
        words = clause.words or ["True"]
        text = " and ".join(words)
        parts.append(f"({text})" if len(words) > 1 and len(chosen) > 1 else text)
    return " or ".join(parts)
