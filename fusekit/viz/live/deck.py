"""A deck of variants that were tried: kept, compared, written as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fusekit.bench import Variant
from fusekit.errors import UsageError
from fusekit.fusion.plan import DECK

__all__ = ["CURRENT", "Card", "Deck", "Difference"]

_VERSION = 1

CURRENT = 0
"""In place of a card's number: the call as it is."""

_Groups = tuple[tuple[str, ...], ...]


@dataclasses.dataclass(frozen=True)
class Card:
    """One variant in a deck.

    Attributes:
        number: from 1, in the order in which they were tried; never used again.
        variant: what was tried.
        at: the call that it is a variant of: engine and shapes.
        starred: True if the user wants to keep it in mind.
    """

    number: int
    variant: Variant
    at: str = ""
    starred: bool = False

    def to_dict(self) -> dict[str, Any]:
        """All of it as values that JSON has; "plan" is what `fusekit.fuse` takes."""
        return {
            "number": self.number,
            "at": self.at,
            "starred": self.starred,
            "plan": self.variant.plan.to_dict(),
            "variant": self.variant.to_dict(),
        }


@dataclasses.dataclass(frozen=True)
class Difference:
    """In which kernels two cards differ.

    Attributes:
        names: what the two are called.
        same: groups that both have.
        first: groups of the first alone.
        second: groups of the second alone.
        launches: of each.
        nbytes: that each moves.
    """

    names: tuple[str, str]
    same: _Groups
    first: _Groups
    second: _Groups
    launches: tuple[int, int]
    nbytes: tuple[int, int]

    def __str__(self) -> str:
        """A line for each group: " " both, "-" the first alone, "+" the second alone."""
        lines = [f"- {self.names[0]}", f"+ {self.names[1]}"]
        marked = ((" ", self.same), ("-", self.first), ("+", self.second))
        return "\n".join([*lines, *(f"{m} {', '.join(g)}" for m, groups in marked for g in groups)])

    def to_dict(self) -> dict[str, Any]:
        """All of it as values that JSON has."""
        return dataclasses.asdict(self)


class Deck:
    """Cards, in the order in which they were added."""

    def __init__(self) -> None:
        """Start with none."""
        self._cards: dict[int, Card] = {}
        self._last = CURRENT

    def __iter__(self) -> Iterator[Card]:
        return iter(tuple(self._cards.values()))

    def __len__(self) -> int:
        return len(self._cards)

    def __repr__(self) -> str:
        """`Deck(2 cards)`."""
        return f"Deck({len(self)} card{'' if len(self) == 1 else 's'})"

    def __str__(self) -> str:
        """A line for each card, without times."""
        return "\n".join(f"{c.number}{'*' if c.starred else ' '} {c.variant!r}" for c in self)

    def __getitem__(self, number: int) -> Card:
        """The card of that number; UsageError if there is none."""
        if number not in self._cards:
            known = ", ".join(map(str, self._cards)) or "none"
            raise UsageError(f"no card {number} in the deck; there are {known}")
        return self._cards[number]

    def add(self, variant: Variant, at: str = "") -> Card:
        """Put a variant on a card of its own."""
        self._last += 1
        self._cards[self._last] = made = Card(self._last, variant, at)
        return made

    def star(self, number: int) -> Card:
        """Give a card a star, or take it away."""
        card = self[number]
        self._cards[number] = made = dataclasses.replace(card, starred=not card.starred)
        return made

    def remove(self, number: int) -> None:
        """Take a card out."""
        del self._cards[self[number].number]

    def compare(self, first: int, second: int) -> Difference:
        """In which kernels two cards differ; `CURRENT` stands for the call as it is.

        Raises:
            UsageError: there is no such card, or both are the current call.
        """
        if first == second == CURRENT:
            raise UsageError("the current call differs in nothing from itself")
        of_current = self[second or first].variant.current
        sides = [self[n].variant.made if n else of_current for n in (first, second)]
        one, other = ({frozenset(group): group for group in side.groups} for side in sides)
        return Difference(
            (self._name(first), self._name(second)),
            tuple(group for key, group in one.items() if key in other),
            tuple(group for key, group in one.items() if key not in other),
            tuple(group for key, group in other.items() if key not in one),
            (sides[0].launches, sides[1].launches),
            (sides[0].nbytes, sides[1].nbytes),
        )

    def to_dict(self) -> dict[str, Any]:
        """All of it as values that JSON has; `fusekit.fuse(fn, plan=...)` takes it, too."""
        cards: Sequence[Card] = tuple(self)
        return {"schema": DECK, "version": _VERSION, "cards": [card.to_dict() for card in cards]}

    def dumps(self) -> str:
        """The same as a text in JSON."""
        return json.dumps(self.to_dict(), indent=1) + "\n"

    def save(self, path: str | Path) -> Path:
        """Write it to `path`, usually `x.deck.json`."""
        target = Path(path)
        target.write_text(self.dumps(), encoding="utf-8")
        return target

    def _name(self, number: int) -> str:
        return f"{number}: {self[number].variant.change}" if number else "current"
