"""Why two kernels are two: every check that joining them has to pass, with what it looked at.

`partition` stops at the first check that fails. Here all that can be made are made, in the same
order and by the same code, so that it is known what is left when one of them is removed.
"""

from __future__ import annotations

import dataclasses

from fusekit.fusion.partition import Group, Partition, Seam, Step, joined, single_units
from fusekit.fusion.rules import Rules
from fusekit.fusion.units import Units
from fusekit.ir import Graph, Node
from fusekit.specs import Reason

__all__ = ["Check", "Verdicts", "ends_of", "operator_of"]


@dataclasses.dataclass(frozen=True)
class Check:
    """One question about two steps.

    Attributes:
        reason: what it means if it fails.
        holds: True if it stands in the way of nothing.
        operands: what was compared, with names and sizes.
    """

    reason: Reason
    holds: bool
    operands: str


_PLANNED = "a constraint, or the plan's division, keeps the two apart"


class Verdicts:
    """A partition's units as they are when nothing joins any more."""

    def __init__(
        self, partition: Partition, max_arguments: int, rules: Rules | None = None
    ) -> None:
        """Divide the graph of `partition` once more; with what it was divided by then."""
        self.graph: Graph = partition.graph
        self.steps = partition.steps
        self.max_arguments = max_arguments
        self.units = joined(single_units(self.graph, max_arguments, Units, rules))

    def of_seam(self, seam: Seam) -> list[Check]:
        """What keeps the two ends of a seam apart, and what does not."""
        is_view = seam.reason is Reason.VIEW_OF_INTERMEDIATE
        ends = self.steps[seam.producer], self.steps[seam.consumer]
        maker, reader = ends_of(self.graph, seam, ends[1])
        checks = self._checks(*ends, (maker, reader), seam.value if is_view else None)
        if seam.reason is Reason.PLAN and all(check.holds for check in checks):
            checks.append(Check(Reason.PLAN, False, _PLANNED))  # noqa: FBT003
        return checks

    def of_pair(self, one: Step, other: Step) -> list[Check]:
        """The same for any two steps."""
        ends = (
            one.nodes[-1] if isinstance(one, Group) else one,
            other.nodes[-1] if isinstance(other, Group) else other,
        )
        return self._checks(one, other, ends, None)

    def shares(self, one: Group, other: Group) -> bool:
        """True if joining the two would save a load or a store."""
        mine, theirs = ({*step.inputs, *step.outputs} - self._free for step in (one, other))
        base = self.units.flow.base
        return not {base[i] for i in mine}.isdisjoint(base[i] for i in theirs)

    @property
    def _free(self) -> set[int]:
        return self.units.flow.scalars

    def _checks(
        self, one: Step, other: Step, ends: tuple[Node, Node], viewed: int | None
    ) -> list[Check]:
        outside = [step for step in (one, other) if isinstance(step, Node)]
        if outside:
            return [Check(Reason.OPAQUE_OP, False, "; ".join(map(_outside, outside)))]  # noqa: FBT003
        assert isinstance(one, Group)
        assert isinstance(other, Group)
        names = " and ".join(dict.fromkeys(map(operator_of, ends)))
        checks = [Check(Reason.OPAQUE_OP, True, f"{names}: computed by kernels")]  # noqa: FBT003
        if viewed is not None:
            checks.append(self._view(viewed))
        checks.append(_shapes(one, other, ends))
        if checks[-1].holds:
            if self.units.rules:
                checks.append(self._plan(one, other))
            checks += [self._order(one, other), self._arguments(one, other)]
        return checks

    def _plan(self, one: Group, other: Group) -> Check:
        apart = self.units.why_not(self._unit(one), self._unit(other)) is Reason.PLAN
        return Check(Reason.PLAN, not apart, _PLANNED if apart else "no constraint between the two")

    def _view(self, value: int) -> Check:
        graph = self.graph
        views = [node for node in graph.users[value] if node.op == "view"]
        seen = " and ".join(dict.fromkeys(operator_of(node) for node in views)) or "a view"
        plain = [node for node in graph.users[value] if node.op != "view"]
        users = ", ".join(dict.fromkeys(operator_of(node) for node in plain))
        whole = "; nobody reads it as it is, but the view needs that memory"
        if users or value in graph.outputs:
            whole = f", and {users} reads it whole" if users else ", and the function returns it"
        operands = f"{seen} of what {operator_of(graph.producers[value])} computes{whole}"
        return Check(Reason.VIEW_OF_INTERMEDIATE, False, operands)  # noqa: FBT003

    def _order(self, one: Group, other: Group) -> Check:
        first, second = self._unit(one), self._unit(other)
        around = self.units.order.leads_around(first, second)
        told = "a path leads through other steps" if around else "no path through another step"
        between = self._between(first, second) if around else ""
        return Check(Reason.CYCLE, not around, f"{told}{between}")

    def _between(self, first: int, second: int) -> str:
        """The operators that follow one unit directly, and lead to the other."""
        after = self.units.order.after
        nodes = self.units.flow.nodes
        for start, end in ((first, second), (second, first)):
            for middle in sorted(after[start] - {end}):
                pending, seen = [middle], {middle}
                while pending:
                    unit = pending.pop()
                    if end in after[unit]:
                        return f": {operator_of(nodes[middle])} stands between"
                    fresh = after[unit] - seen
                    seen |= fresh
                    pending += fresh
        return ""

    def _arguments(self, one: Group, other: Group) -> Check:
        """Tensors that a kernel of both would take."""
        first, second = (self.units.groups[self._unit(step)] for step in (one, other))
        loads, stores = {*first.loads, *second.loads}, {*first.stores, *second.stores}
        count = len(loads - stores) + len(stores)
        fits = self.units.why_not(self._unit(one), self._unit(other)) is not Reason.ARGUMENT_LIMIT
        sign = "at most" if fits else "more than"
        operands = f"up to {count} tensors, {sign} max_arguments={self.max_arguments}"
        return Check(Reason.ARGUMENT_LIMIT, fits, operands)

    def _unit(self, step: Group) -> int:
        return self.units.of(self.units.flow.makers[step.outputs[0]])


def ends_of(graph: Graph, seam: Seam, consumer: Step) -> tuple[Node, Node]:
    """The operator that makes the value of a seam, and the first that reads it, or a view of it."""
    seen = {seam.value}
    nodes = consumer.nodes if isinstance(consumer, Group) else (consumer,)
    inside = {id(node) for node in nodes}
    for node in graph.nodes:
        if seen.isdisjoint(node.inputs):
            continue
        if id(node) in inside:
            return graph.producers[seam.value], node
        if node.op in ("view", "cat"):
            seen.update(node.outputs)
    return graph.producers[seam.value], nodes[-1]


def operator_of(node: Node) -> str:
    """Its torch operator in a word."""
    parts = (node.origin or node.op).split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def _outside(node: Node) -> str:
    """Why no kernel has a step."""
    does = "lays its operands side by side in memory" if node.op == "cat" else "is run by PyTorch"
    return f"{operator_of(node)} {does}"


def _shapes(one: Group, other: Group, ends: tuple[Node, Node]) -> Check:
    left, right = (
        f"{operator_of(node)}.shape=({', '.join(map(str, step.shape))})"
        for node, step in zip(ends, (one, other), strict=True)
    )
    sign = "and" if one.shape == other.shape else "vs"
    return Check(Reason.ITERATION_SPACE, one.shape == other.shape, f"{left} {sign} {right}")
