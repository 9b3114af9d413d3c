"""What can be done with an operator of a call, and whether that is legal: nothing is compiled."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from fusekit.fusion import Plan, operators_of
from fusekit.runtime.plans import Verdict, judge_plan, members
from fusekit.runtime.program import Program

__all__ = ["Operator", "Option", "operators", "options_for"]

_MOST = 8
"""So many groups to join, and neighbours to part from, are offered; others can be typed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Operator:
    """A torch operator of a call that a kernel computes, or PyTorch runs.

    Attributes:
        name: in plans: "mul_3".
        line: the user's, if known.
        values: what it makes, as a view numbers values.
        groups: numbers of the kernels that compute it, from 1; none if PyTorch runs it.
        neighbours: names of those that read what it makes, or make what it reads.
    """

    name: str
    line: int | None
    values: tuple[int, ...]
    groups: tuple[int, ...]
    neighbours: tuple[str, ...]

    @property
    def place(self) -> str:
        """Where it is, in words."""
        if not self.groups:
            return "run by PyTorch"
        plural = "" if len(self.groups) == 1 else "s"
        return f"in group{plural} {' and '.join(map(str, self.groups))}"


@dataclasses.dataclass(frozen=True, slots=True)
class Option:
    """A change of the plan, and whether it is legal.

    Attributes:
        said: what it does.
        change: as `Plan.but` reads it.
        verdict: legal or not, and why.
    """

    said: str
    change: str
    verdict: Verdict

    def to_dict(self) -> dict[str, object]:
        """All of it as values that JSON has."""
        decline = self.verdict.decline
        return {
            "said": self.said,
            "change": self.change,
            "legal": self.verdict.legal,
            "decline": decline.to_dict() if decline else None,
        }


def operators(program: Program) -> list[Operator]:
    """All operators of a program but views, in order."""
    sites = operators_of(program.capture.graph)
    names = dict(zip(sites, Plan(tuple(sites.values())).names, strict=True))
    kernels = members(program)
    graph = program.graph
    made: dict[int, list[int]] = {}
    touching: dict[int, set[int]] = {}
    lines: dict[int, int | None] = {}
    for node in graph.nodes:
        if node.op in ("view", "index") or node.site not in names:
            continue
        lines[node.site] = node.loc.line if node.loc else None
        made.setdefault(node.site, []).extend(node.outputs)
        for operand in node.inputs:
            other = _maker(program, operand)
            if other is not None and other != node.site:
                touching.setdefault(node.site, set()).add(other)
                touching.setdefault(other, set()).add(node.site)
    return [
        Operator(
            name=names[site],
            line=lines[site],
            values=tuple(made[site]),
            groups=tuple(n for n, group in enumerate(kernels, 1) if names[site] in group),
            neighbours=tuple(names[s] for s in sorted(touching.get(site, ())) if s in lines),
        )
        for site in sorted(made)
        if _is_work(program, made[site], names[site], kernels)
    ]


def options_for(program: Program, plan: Plan, found: Sequence[Operator]) -> list[Option]:
    """What can be done with one operator, or with several that are meant together.

    `plan` is the division of `program`.
    """
    if not found:
        return []
    if len(found) == 1:
        changes = _changes_of_one(members(program), found[0])
    else:
        changes = _changes_of_many(found)
    return [Option(said, change, judge_plan(program, plan.but(change))) for said, change in changes]


def _changes_of_one(
    kernels: Sequence[Sequence[str]], operator: Operator
) -> Iterable[tuple[str, str]]:
    name = operator.name
    if not operator.groups:
        return
    company = {other for n in operator.groups for other in kernels[n - 1]} - {name}
    if company:
        yield f"take {name} out of its group", f"{name} - g{operator.groups[0]}"
    others = [n for n in range(1, len(kernels) + 1) if n not in operator.groups]
    for number in others[:_MOST]:
        yield f"put {name} into group {number}", f"{name} + g{number}"
    near = [other for other in operator.neighbours if other in company]
    for neighbour in near[:_MOST]:
        yield f"keep {name} apart from {neighbour}", f"{name} - {neighbour}"
    yield f"leave {name} to PyTorch", f"~{name}"


def _changes_of_many(found: Sequence[Operator]) -> Iterable[tuple[str, str]]:
    names = [operator.name for operator in found]
    yield f"put {', '.join(names)} into one group", " + ".join(names)
    if len(names) == 2:
        yield f"keep {names[0]} apart from {names[1]}", " - ".join(names)


def _maker(program: Program, value: int) -> int | None:
    """The operator that makes a value, or what the value is a view of."""
    node = program.graph.producers.get(program.graph.viewed(value))
    return None if node is None else node.site


def _is_work(
    program: Program, values: Iterable[int], name: str, kernels: Iterable[Sequence[str]]
) -> bool:
    producers = program.graph.producers
    is_call = any(producers[value].op == "call" for value in values)
    return is_call or any(name in group for group in kernels)
