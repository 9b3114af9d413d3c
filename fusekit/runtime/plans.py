"""Plans of programs: the one in force, whether another is legal, and the capture it takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence

from fusekit.config import current
from fusekit.errors import PlanRefused, UsageError
from fusekit.frontends.fx import Capture
from fusekit.fusion import Plan, check_fits, operators_of
from fusekit.fusion.partition import Partition
from fusekit.ir import Graph
from fusekit.runtime.program import Program, divide
from fusekit.specs import Decline

__all__ = ["Verdict", "captured_for", "judge_plan", "members", "plan_of", "plan_with"]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Whether a plan is legal, before anything is compiled.

    Attributes:
        decline: the first rule that forbids it, with the operators; None if it is legal.
        plan: with the division that follows; without one if it is illegal.
    """

    decline: Decline | None
    plan: Plan

    @property
    def legal(self) -> bool:
        """True if the plan can be carried out."""
        return self.decline is None

    def __str__(self) -> str:
        """`legal: 2 groups`, or `not legal: [FK0105] ...`."""
        if self.decline is not None:
            return f"not legal: {self.decline}"
        count = len(self.plan.groups or ())
        return f"legal: {count} group{'' if count == 1 else 's'}"


def plan_of(program: Program, constraints: Plan | None = None) -> Plan:
    """The whole division of a program; `constraints` are those that led to it."""
    base = constraints or Plan(tuple(operators_of(program.capture.graph).values()))
    return _divided(base, program.capture, program.partition)


def judge_plan(program: Program, plan: Plan) -> Verdict:
    """Whether a program may be divided so; takes a partition, and compiles nothing.

    An operator that the plan leaves to PyTorch, and that the program computes, counts as alone:
    the division that it leads to is the same but for that.

    Raises:
        UsageError: the plan is for another function.
    """
    outside = {node.site for node in program.capture.graph.nodes if node.op == "call"}
    sites = tuple(operators_of(program.capture.graph))
    check_fits(plan, program.capture.graph)
    left = [name for name in plan.opaque if sites[plan.position(name)] not in outside]
    judged = dataclasses.replace(plan, alone=(*plan.alone, *left), opaque=())
    try:
        found = divide(program.capture, program.graph, current().max_arguments, judged)
    except PlanRefused as refused:
        return Verdict(refused.decline, plan.undivided())
    divided = _divided(plan.undivided(), program.capture, found)
    return Verdict(None, _without(divided, left))


def captured_for(plan: Plan | None, capture: Callable[[Collection[int]], Capture]) -> Capture:
    """The capture with the operators that a plan leaves to PyTorch as calls.

    Args:
        plan: what is asked for.
        capture: traces, with the operators at these sites as calls.

    Raises:
        UsageError: the plan is for another function, or what it leaves to PyTorch cannot be left.
    """
    found = capture(())
    if plan is None:
        return found
    check_fits(plan, found.graph)
    operators = operators_of(found.graph)
    sites = tuple(operators)
    wanted = {sites[plan.position(name)]: name for name in plan.opaque}
    if not wanted:
        return found
    made = capture(wanted)
    if operators_of(made.graph) != operators:
        raise UsageError("without these operators in kernels the function is captured otherwise")
    calls = {node.site for node in made.graph.nodes if node.op == "call"}
    stays = [name for site, name in wanted.items() if site not in calls]
    if stays:
        raise UsageError(
            f"{stays[0]} cannot be left to PyTorch: its result is a view, or no tensor"
        )
    return made


def plan_with(program: Program, units: Sequence[tuple[int, ...]]) -> Plan:
    """A plan whose groups compute these values of the program's graph, and store what others read.

    A group is held together by a constraint, or it might be left to its readers to compute; of an
    operator that is divided among groups, parts still may.
    """
    operators = operators_of(program.capture.graph)
    base = Plan(tuple(operators.values()))
    held = dataclasses.replace(program.partition, units=tuple(units))
    found = _divided(base, program.capture, held)
    groups = tuple(group for group in (*(found.groups or ()), *found.recomputed) if group)
    whole = tuple(group for group in groups if not any("." in name for name in group))
    return dataclasses.replace(base, groups=groups, together=whole)


def _divided(plan: Plan, capture: Capture, partition: Partition) -> Plan:
    """A plan with the division of a partition."""
    position = {site: n for n, site in enumerate(operators_of(capture.graph))}
    producers = partition.graph.producers
    order: dict[int, list[int]] = {}
    for value in sorted(value for unit in partition.units for value in unit):
        order.setdefault(producers[value].site, []).append(value)
    owner = {value: number for number, unit in enumerate(partition.units) for value in unit}
    named = [_names(plan, position, order, partition, unit) for unit in partition.units]
    numbers = [owner[group.outputs[0]] for group in partition.groups]
    gone = [number for number in range(len(named)) if number not in numbers and named[number]]
    return dataclasses.replace(
        plan,
        groups=tuple(named[number] for number in numbers),
        recomputed=tuple(named[number] for number in gone),
    )


def _names(
    plan: Plan,
    position: Mapping[int, int],
    order: Mapping[int, list[int]],
    partition: Partition,
    unit: tuple[int, ...],
) -> tuple[str, ...]:
    """The operators of a unit, or the parts of them that are in it."""
    members = set(unit)
    sites = {partition.graph.producers[value].site for value in unit}
    found: list[str] = []
    for site in sorted(sites & position.keys()):
        name = plan.names[position[site]]
        if members.issuperset(order[site]):
            found.append(name)
        else:
            found += [f"{name}.{n}" for n, value in enumerate(order[site]) if value in members]
    return tuple(found)


def _without(plan: Plan, left: Collection[str]) -> Plan:
    """A plan whose division has no groups of what PyTorch is to run."""
    names = {plan.resolved(name) for name in left}
    groups = tuple(
        group
        for group in plan.groups or ()
        if not all(name.partition(".")[0] in names for name in group)
    )
    return dataclasses.replace(plan, groups=groups)


def members(program: Program) -> tuple[tuple[str, ...], ...]:
    """The operators that each kernel computes, in order, with those that it computes for itself.

    What follows from numbers alone is left out, as it is in plans.
    """
    operators = operators_of(program.capture.graph)
    names = dict(zip(operators, Plan(tuple(operators.values())).names, strict=True))
    numbers = _numbers(program.graph)
    found = []
    for call in program.kernels:
        sites = {node.site for node in call.group.nodes if node.output not in numbers}
        found.append(tuple(names[site] for site in operators if site in sites))
    return tuple(found)


def _numbers(graph: Graph) -> set[int]:
    """Values that no tensor in memory leads to."""
    found = set(graph.scalar_inputs)
    for node in graph.nodes:
        if node.op == "index" or (node.is_pointwise and found.issuperset(node.inputs)):
            found.update(node.outputs)
    return found
