"""Constraints in words: `mul_3 + g2`, `mul_3 - g1`, `mul_3 - add_1`, `~erf_1`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fusekit.errors import UsageError
from fusekit.fusion.plan import Plan

__all__ = ["read"]

_NAME = r"[A-Za-z_]\w*"
_JOIN = re.compile(rf"{_NAME}(?:\s*\+\s*{_NAME})+")
_SPLIT = re.compile(rf"({_NAME})\s*-\s*({_NAME})")
_LEAVE = re.compile(rf"~\s*({_NAME})")
_GROUP = re.compile(r"g(\d+)")

_HELP = "write a + b, a + g2, a - g1, a - b or ~a, with ; between several"


def read(plan: Plan, text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(kind of constraint, operators), in order; groups are those of the plan's division.

    Raises:
        UsageError: the text cannot be read, or there is no such operator or group.
    """
    clauses = [clause.strip() for clause in text.split(";") if clause.strip()]
    if not clauses:
        raise UsageError(f"a change of the plan is missing: {_HELP}")
    for clause in clauses:
        if _JOIN.fullmatch(clause):
            terms = [term.strip() for term in clause.split("+")]
            members = dict.fromkeys(name for term in terms for name in _members(plan, term))
            yield "together", tuple(members)
        elif found := _SPLIT.fullmatch(clause):
            yield _split(plan, *found.groups())
        elif found := _LEAVE.fullmatch(clause):
            yield "opaque", (plan.resolved(found[1]),)
        else:
            raise UsageError(f"{clause!r} is no change of a plan: {_HELP}")


def _split(plan: Plan, name: str, other: str) -> tuple[str, tuple[str, ...]]:
    """Out of a group, or apart from an operator."""
    operator = plan.resolved(name)
    if not _GROUP.fullmatch(other):
        return "apart", (operator, plan.resolved(other))
    _members(plan, other)  # there is that group; it may compute the operator without storing it
    return "alone", (operator,)


def _members(plan: Plan, term: str) -> tuple[str, ...]:
    """The operators of a group, or the one of that name."""
    found = _GROUP.fullmatch(term)
    if not found:
        return (plan.resolved(term),)
    groups = plan.groups or ()
    number = int(found[1])
    if not 1 <= number <= len(groups):
        known = f"g1 to g{len(groups)}" if groups else "none: the plan holds no division"
        raise UsageError(f"no group {term!r}; there are {known}")
    return tuple(dict.fromkeys(plan.resolved(name) for name in groups[number - 1]))
