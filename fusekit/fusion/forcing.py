"""Groups that a plan demands, made before all others; the first rule that forbids one is named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fusekit.errors import PlanRefused, UsageError
from fusekit.fusion.kernels import Kernels
from fusekit.fusion.rules import Rules
from fusekit.fusion.units import Units
from fusekit.specs import Reason

__all__ = ["divide", "force", "scattered"]


def divide(units: Units, rules: Rules) -> None:
    """Join exactly what a plan's division says.

    Raises:
        UsageError: the division leaves operators out, names them twice, or parts that are not.
        PlanRefused: a group is illegal.
    """
    among: dict[int, list[int]] = {}
    for i in units.groups:
        among.setdefault(units.flow.nodes[i].site, []).append(i)
    left = set(units.groups)
    for group in (*(rules.plan.groups or ()), *rules.plan.recomputed):
        nodes = [i for name in group for i in rules.part(name, among)]
        twice = [i for i in nodes if i not in left]
        if twice or len(set(nodes)) < len(nodes):
            name = rules.name_of((twice or nodes)[0])
            raise UsageError(f"the plan's groups name {name} twice")
        left.difference_update(nodes)
        _join_all(units, rules, nodes)
    if left:
        missing = ", ".join(dict.fromkeys(rules.name_of(i) for i in sorted(left)))
        raise UsageError(f"the plan's groups leave out {missing}")


def force(units: Units, rules: Rules) -> None:
    """Make one group of each set of operators that belongs together, with what lies between.

    Raises:
        PlanRefused: it is illegal; the decline says by which rule.
    """
    for names in rules.plan.together:
        found = [rules.operator(name) for name in names]
        outside = next((operator for operator in found if operator.call is not None), None)
        if outside is not None:
            raise rules.refusal_of_call(outside)
        nodes = [i for operator in found for i in operator.nodes if i in units.reads]
        _join_all(units, rules, nodes, with_between=True)


def scattered(kernels: Kernels, rules: Rules) -> tuple[tuple[str, ...], PlanRefused] | None:
    """The first set of operators that no one kernel computes, and what to say of it."""
    for names in rules.plan.together:
        nodes = [i for name in names for i in rules.operator(name).nodes]
        if not any(kernel.nodes.issuperset(nodes) for kernel in kernels.groups.values()):
            shapes = {rules.name_of(i): list(kernels.flow.shape(i)) for i in nodes}
            said = ", ".join(f"{name} computes {shape}" for name, shape in shapes.items())
            site = kernels.flow.nodes[nodes[0]].site
            return names, rules.refusal(Reason.ITERATION_SPACE, said, site)
    return None


def _join_all(
    units: Units,
    rules: Rules,
    nodes: Iterable[int],
    *,
    with_between: bool = False,
) -> None:
    """One unit of these nodes.

    In the order of data flow no join of what may be one in the end fails on the way, but that the
    tensors may be more than in the end.
    """
    members = {units.of(i) for i in nodes}
    if not members:
        return
    if with_between:
        _check_shapes(units, rules, members)
        between = units.order.between(members)
        _check_between(units, rules, members, between)
        members |= between
    first, *others = units.order.in_line(members)
    unit = first
    for other in others:
        if not units.force(unit, other):
            raise _refusal(units, rules, (first, other), unit)
        unit = units.of(other)
    count = units.n_tensors(unit)
    most = units.max_arguments
    if count > most:
        detail = f"the group takes {count} tensors, the option max_arguments allows {most}"
        raise rules.refusal(Reason.ARGUMENT_LIMIT, detail, units.flow.nodes[first].site)


def _check_shapes(units: Units, rules: Rules, members: Iterable[int]) -> None:
    first, *others = units.order.in_line(members)
    for other in others:
        if units.groups[first].shape != units.groups[other].shape:
            raise _refusal(units, rules, (first, other), first)


def _check_between(units: Units, rules: Rules, members: set[int], between: set[int]) -> None:
    """Refuse where a path between the members leads through what no kernel computes."""
    outside = [unit for unit in units.order.in_line(between) if unit not in units.groups]
    if not outside:
        return
    nodes = units.flow.nodes
    culprit = next((unit for unit in outside if nodes[unit].op == "call"), outside[0])
    ends = units.order.in_line(members)
    first, last = (rules.name_of(unit) for unit in (ends[0], ends[-1]))
    name = rules.name_of(culprit)
    if nodes[culprit].op == "view":
        detail = f"{name} is a view of a value between {first} and {last}"
        raise rules.refusal(Reason.VIEW_OF_INTERMEDIATE, detail, nodes[culprit].site)
    detail = f"{name} stands between {first} and {last}"
    raise rules.refusal(Reason.CYCLE, detail, nodes[culprit].site)


def _refusal(units: Units, rules: Rules, pair: Sequence[int], joined: int) -> PlanRefused:
    """Why the second of a pair cannot join the unit that holds the first."""
    reason = units.why_not(joined, pair[1]) or Reason.CYCLE
    first, second = (rules.name_of(unit) for unit in pair)
    site = units.flow.nodes[pair[1]].site
    if reason is Reason.ITERATION_SPACE:
        one, other = (list(units.flow.shape(unit)) for unit in pair)
        return rules.refusal(reason, f"{first} computes {one}, {second} {other}", site)
    if reason is Reason.PLAN:
        detail = f"{second} has to be in another kernel than {first}, or what is with it"
        return rules.refusal(reason, detail, site)
    return rules.refusal(reason, f"{first} and {second} would wait for each other", site)
