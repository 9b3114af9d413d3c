"""Plans: how a function is to be divided into kernels, as a value that can be written and read.

Operators are named by what they are and which of that name they are, in the order of the capture:
`mul_3` is the third multiplication. A plan holds the names of all operators, so that it fits one
function and is refused by another. What it says of them are *constraints*, which leave the rest to
fusekit, and the *division* that came of it, which leaves nothing.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from fusekit.errors import UsageError

__all__ = ["Plan", "as_plan"]

_SCHEMA = "fusekit-plan"
_VERSION = 1

Names = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Plan:
    """Which operators of a function are to share kernels.

    `f.plan(*args)` gives the one in force, `plan.but("mul_3 - g1")` another, and
    `fusekit.fuse(fn, plan=...)` takes it, also as a dict or as the path of a file.

    Attributes:
        operators: what the function runs, in order: "aten.mul.Tensor".
        apart: pairs that no kernel may both compute.
        alone: operators that share no kernel with any other.
        together: operators that one kernel has to compute, with whatever lies between them.
        opaque: operators that PyTorch has to run.
        groups: the whole division, one group for each kernel, in order; None leaves it to fusekit.
            `gelu_1.2` is a part of an operator of which not all is in one group.
        recomputed: groups without a kernel of their own, because all who read them compute them.
    """

    operators: Names
    apart: tuple[tuple[str, str], ...] = ()
    alone: Names = ()
    together: tuple[Names, ...] = ()
    opaque: Names = ()
    groups: tuple[Names, ...] | None = None
    recomputed: tuple[Names, ...] = ()

    def __post_init__(self) -> None:
        """Check that each name is that of an operator.

        Raises:
            UsageError: one is not.
        """
        for name in (*self._constrained(), *self._divided()):
            self.position(name)

    @functools.cached_property
    def names(self) -> Names:
        """The operators' names, in order."""
        seen: collections.Counter[str] = collections.Counter()
        found = []
        for operator in self.operators:
            label = label_of(operator)
            seen[label] += 1
            found.append(f"{label}_{seen[label]}")
        return tuple(found)

    @functools.cached_property
    def _positions(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self.names)}

    def position(self, name: str) -> int:
        """Where among the operators one stands, by its name, or by that of a part of it.

        Raises:
            UsageError: the function has no such operator.
        """
        whole = name.partition(".")[0]
        found = self._positions.get(whole, self._positions.get(f"{whole}_1"))
        if found is None or (whole not in self._positions and f"{whole}_2" in self._positions):
            like = [n for n in self.names if n.startswith(whole.rpartition("_")[0] or whole)]
            known = ", ".join((like or list(self.names))[:12]) or "none"
            raise UsageError(f"no operator {name!r} in the plan's function; there are {known}")
        return found

    def resolved(self, name: str) -> str:
        """An operator's full name: `mul` is `mul_1` where there is only one."""
        return self.names[self.position(name)]

    def undivided(self) -> Plan:
        """The constraints alone."""
        return dataclasses.replace(self, groups=None, recomputed=())

    def but(
        self,
        text: str = "",
        *,
        apart: Iterable[tuple[str, str]] = (),
        alone: Iterable[str] = (),
        together: Iterable[Iterable[str]] = (),
        opaque: Iterable[str] = (),
    ) -> Plan:
        """The plan with further constraints, which prevail over earlier ones; without a division.

        Args:
            text: constraints in words, with semicolons between them: `a + b` one kernel for both,
                `a + g2` for a and what group 2 computes, `a - g1` a out of its group, `a - b` no
                kernel for both, `~a` left to PyTorch. Groups are those of the plan's division.
            apart: pairs of names, as in the attribute.
            alone: names.
            together: collections of names.
            opaque: names.

        Raises:
            UsageError: the text cannot be read, or there is no such operator or group.
        """
        from fusekit.fusion.plantext import read  # noqa: PLC0415  it makes edits of this plan

        edits = [*read(self, text)] if text else []
        edits += [("apart", (a, b)) for a, b in apart]
        edits += [("alone", (name,)) for name in alone]
        edits += [("together", tuple(names)) for names in together]
        edits += [("opaque", (name,)) for name in opaque]
        made = self.undivided()
        for kind, names in edits:
            made = _edited(made, kind, tuple(self.resolved(name) for name in names))
        return made

    # the file format

    def to_dict(self) -> dict[str, Any]:
        """All of it as values that JSON has."""
        fields = dataclasses.asdict(self)
        return {"schema": _SCHEMA, "version": _VERSION, **_as_lists(fields)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """What `to_dict` gave.

        Raises:
            UsageError: it is no plan.
        """
        if data.get("schema") != _SCHEMA:
            raise UsageError(f'not a fusekit plan (no "schema": "{_SCHEMA}")')
        if data.get("version") != _VERSION:
            raise UsageError(f"version {data.get('version')!r} of plans; this fusekit reads 1")
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(data.keys() - known - {"schema", "version"})
        if unknown or not isinstance(data.get("operators"), list):
            wrong = f"unknown key {unknown[0]!r}" if unknown else 'no list "operators"'
            raise UsageError(f"not a fusekit plan: {wrong}")
        return cls(**{key: _as_tuples(key, data[key]) for key in data.keys() & known})

    def save(self, path: str | Path) -> Path:
        """Write it to `path`, usually `x.plan.json`."""
        target = Path(path)
        target.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")
        return target

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Raises:
            UsageError: it cannot be read, or is no plan.
        """
        return cls.from_dict(_parsed(_text_at(path), str(path)))

    # in words

    def constraints(self) -> list[str]:
        """Each constraint in words."""
        return [
            *(f"{a} apart from {b}" for a, b in self.apart),
            *(f"{name} alone" for name in self.alone),
            *(f"{', '.join(names)} together" for names in self.together),
            *(f"{name} left to PyTorch" for name in self.opaque),
        ]

    def picture(self) -> str:
        """The groups, a line for each; "" without a division."""
        lines = [f"g{n}: {', '.join(group)}" for n, group in enumerate(self.groups or (), start=1)]
        lines += [f"in its readers: {', '.join(group)}" for group in self.recomputed]
        return "\n".join(lines)

    def __str__(self) -> str:
        """What it says, in a few lines."""
        lines = [f"plan of {len(self.operators)} operators"]
        lines += [f"  {line}" for line in (*self.constraints(), *self.picture().splitlines())]
        return "\n".join(lines)

    # helpers

    def _constrained(self) -> Iterable[str]:
        pairs = (*self.apart, *self.together, self.alone, self.opaque)
        return (name for names in pairs for name in names)

    def _divided(self) -> Iterable[str]:
        return (name for group in (*(self.groups or ()), *self.recomputed) for name in group)


def _edited(plan: Plan, kind: str, names: Names) -> Plan:
    """One constraint more, and none of those that it contradicts."""
    told = set(names)
    forces = kind == "together"
    apart = [pair for pair in plan.apart if not (forces and told.issuperset(pair))]
    alone = [name for name in plan.alone if not (forces and name in told)]
    opaque = [name for name in plan.opaque if name not in told]
    splits = 2 if kind == "apart" else 1
    together = [
        group for group in plan.together if forces or len(told.intersection(group)) < splits
    ]
    made: dict[str, list[Any]] = {
        "apart": apart,
        "alone": alone,
        "together": together,
        "opaque": opaque,
    }
    added = names if kind in ("apart", "together") else names[0]
    if added not in made[kind]:
        made[kind].append(added)
    return dataclasses.replace(plan, **{key: tuple(found) for key, found in made.items()})


def label_of(operator: str) -> str:
    """The operator alone: gelu for aten.gelu.default, add for aten.add_.Tensor."""
    parts = operator.split(".")
    return (parts[1] if len(parts) > 1 else operator).rstrip("_")


DECK = "fusekit-deck"
"""The schema of several plans that were tried: a list of cards, each with a plan."""


def as_plan(given: Plan | Mapping[str, Any] | str | Path | None) -> Plan | None:
    """A plan, from a dict, from a text in JSON, or from the file at a path.

    Of a deck of cards, it is the only one, or the only one with a star.

    Raises:
        UsageError: it is none of these.
    """
    if given is None or isinstance(given, Plan):
        return given
    if isinstance(given, Mapping):
        return _chosen(given) if given.get("schema") == DECK else Plan.from_dict(given)
    if isinstance(given, str) and given.lstrip().startswith("{"):
        return as_plan(_parsed(given, "the text"))
    if isinstance(given, str | Path):
        return as_plan(_parsed(_text_at(given), str(given)))
    raise UsageError(f"plan takes a Plan, a dict or a path, got {type(given).__name__}")


def _text_at(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read as a fusekit plan: {error}") from error


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{where}: cannot be read as a fusekit plan: {error}") from error
    if not isinstance(data, dict):
        raise UsageError(f"{where}: not a fusekit plan, but a {type(data).__name__}")
    return data


def _chosen(deck: Mapping[str, Any]) -> Plan:
    """The plan of the card that is meant."""
    cards = [card for card in deck.get("cards") or () if isinstance(card, Mapping)]
    starred = [card for card in cards if card.get("starred")] or cards
    if len(starred) != 1:
        raise UsageError(
            f"a deck of {len(cards)} cards: give one of them a star, or pass the plan of one"
        )
    return Plan.from_dict(starred[0].get("plan") or {})


def _as_lists(item: Any) -> Any:
    if isinstance(item, dict):
        return {key: _as_lists(value) for key, value in item.items()}
    return [_as_lists(each) for each in item] if isinstance(item, tuple) else item


_DEPTHS = {"apart": 2, "together": 2, "groups": 2, "recomputed": 2}
"""How deep lists lie in one another; the others are lists of names."""


def _as_tuples(key: str, item: Any) -> Any:
    """A field of a file, checked."""
    if key == "groups" and item is None:
        return None
    depth = _DEPTHS.get(key, 1)
    if not _is_nested(item, depth) or (key == "apart" and any(len(pair) != 2 for pair in item)):
        what = "pairs of names" if key == "apart" else "lists of names" if depth == 2 else "names"
        raise UsageError(f"not a fusekit plan: {key!r} is a list of {what}")
    return tuple(tuple(each) if depth == 2 else each for each in item)


def _is_nested(item: Any, depth: int) -> bool:
    if not depth:
        return isinstance(item, str)
    return (
        isinstance(item, Collection)
        and not isinstance(item, str | Mapping)
        and all(_is_nested(each, depth - 1) for each in item)
    )
