"""Guards in words: what an entry asks of a call, fact by fact, and the first that a call breaks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from fusekit.frontends.scalars import is_same_value
from fusekit.ir.graph import contiguous_strides
from fusekit.runtime.differences import Signature, value_text
from fusekit.runtime.entry import Entry
from fusekit.runtime.signature import CONTEXT, TENSOR, is_still, is_tensor_key, leaf_key

__all__ = ["Broken", "Guard", "broken_by", "guards_of", "outside_now"]

Fact = tuple[str, str]
"""A subject, such as an argument's name, and what is asked of it."""

_ABSENT = "not given"


@dataclasses.dataclass(frozen=True, slots=True)
class Guard:
    """One thing that an entry asks of a call.

    Attributes:
        subject: an argument's name; "arguments" for how they are put together; "closed-over scale";
            "context" for torch's modes, options and switches.
        fact: of the subject: "dtype", "shape", "strides", "value", "grad mode" ...
        value: what it has to be, in words.
    """

    subject: str
    fact: str
    value: str

    def to_dict(self) -> dict[str, object]:
        """All of it as values that JSON has."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, slots=True)
class Broken:
    """A guard that a call does not meet.

    Attributes:
        subject: see `Guard`.
        fact: likewise.
        wanted: what the entry was prepared for.
        given: what the call has.
    """

    subject: str
    fact: str
    wanted: str
    given: str

    def __str__(self) -> str:
        """`x: dtype float32, given float16`."""
        return f"{self.subject}: {self.fact} {self.wanted}, given {self.given}"

    def to_dict(self) -> dict[str, object]:
        """All of it as values that JSON has."""
        return dataclasses.asdict(self)


def guards_of(signature: Signature) -> tuple[Guard, ...]:
    """Every guard of what was prepared for a signature, in the order in which they are looked at.

    Strides stand only where a tensor is not contiguous, and identity only where two arguments are
    one tensor: what a reader takes for granted.
    """
    facts = _facts(signature, signature.pinned)
    return tuple(
        Guard(subject, fact, _text(facts, (subject, fact)))
        for subject, fact in facts
        if not _is_granted(signature, subject, fact)
    )


def broken_by(entry: Entry, asked: Signature) -> tuple[Broken, ...]:
    """The guards of an entry that a call breaks, in the order in which they are looked at."""
    assert entry.signature is not None
    wanted = _facts(entry.signature, entry.signature.pinned)
    given = _facts(asked, entry.signature.pinned)
    still = {f"closed-over {free.name}" for free in entry.guards if free.holds()}
    still |= {f"closed-over {free.name}" for free, key in entry.outside if is_still(free, key)}
    return tuple(
        Broken(*fact, _text(wanted, fact), _text(given, fact))
        for fact in dict.fromkeys((*wanted, *given))
        if fact[0] not in still and _differs(wanted, given, fact)
    )


def outside_now(entry: Entry) -> Mapping[str, Any]:
    """What the function would read from outside at a call now, as `Signature.outside` has it."""
    found: dict[str, Any] = {}
    for free in (*entry.guards, *(free for free, _ in entry.outside)):
        try:
            now = free.fetch()
        except (LookupError, AttributeError, ValueError):
            now = "gone"
        found[free.name] = leaf_key(now) if free.is_tensor else now
    return found


def _facts(signature: Signature, pinned: frozenset[str]) -> dict[Fact, Any]:
    """Every fact by subject; of numbers, the values of those that are pinned."""
    facts: dict[Fact, Any] = {("arguments", "form"): signature.form}
    for name, key in signature.leaves.items():
        facts |= _leaf_facts(name, key)
        if name in pinned and name in signature.numbers:
            facts[name, "value"] = signature.numbers[name]
    for name, other in signature.aliases.items():
        facts[name, "identity"] = "its own" if other == name else f"the same tensor as {other}"
    for name, value in signature.outside.items():
        facts |= _leaf_facts(f"closed-over {name}", value)
    facts |= {("context", name): x for name, x in zip(CONTEXT, signature.context, strict=True)}
    return facts


def _leaf_facts(name: str, key: Any) -> dict[Fact, Any]:
    if is_tensor_key(key):
        return {(name, fact): value for fact, value in zip(TENSOR, key, strict=True)}
    if isinstance(key, type):
        return {(name, "type"): key}
    is_pair = isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], type)
    return {(name, "value"): key[1] if is_pair else key}


def _is_granted(signature: Signature, subject: str, fact: str) -> bool:
    key = signature.leaves.get(subject, signature.outside.get(subject.removeprefix("closed-over ")))
    if fact == "identity":
        return signature.aliases[subject] == subject
    if not is_tensor_key(key):
        return False
    facts = dict(zip(TENSOR, key, strict=True))
    if fact == "strides":
        shape, strides = tuple(facts["shape"]), facts["strides"]
        return bool(strides is not None and tuple(strides) == contiguous_strides(shape))
    return fact == "layout" or (fact == "type" and facts["type"].__name__ == "Tensor")


def _differs(wanted: Mapping[Fact, Any], given: Mapping[Fact, Any], fact: Fact) -> bool:
    if (fact in wanted) != (fact in given):
        # a value of another kind is told by its type or its value, not by what a tensor has
        return fact[1] in ("dtype", "type", "value")
    before, after = wanted[fact], given[fact]
    if fact[1] == "strides" and wanted.get((fact[0], "shape")) != given.get((fact[0], "shape")):
        return False
    if isinstance(before, bool | int | float | str | bytes | tuple):
        return not is_same_value(before, after)
    return before is not after and bool(before != after)


def _text(facts: Mapping[Fact, Any], fact: Fact) -> str:
    if fact not in facts:
        return _ABSENT
    value = facts[fact]
    return str(value) if fact[1] in ("form", "identity") else value_text(value)
