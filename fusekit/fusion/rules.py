"""A plan's constraints on the nodes of one graph.

An operator's *own* nodes are those that stem from it and take a tensor from memory, however far
back: what follows from numbers alone is computed wherever it is read, and belongs to nobody.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Collection, Iterable, Mapping

from fusekit.errors import PlanRefused, UsageError
from fusekit.fusion.flow import Flow
from fusekit.fusion.plan import Plan
from fusekit.fusion.repeated import find_uniform
from fusekit.ir import Graph, Node
from fusekit.specs import Decline, Reason

__all__ = ["Rules", "check_fits", "operators_of"]


def operators_of(graph: Graph) -> dict[int, str]:
    """Site -> what a captured graph runs there ("aten.mul.Tensor"), in order."""
    return {node.site: node.origin for node in graph.nodes if node.site >= 0}


def check_fits(plan: Plan, graph: Graph) -> None:
    """UsageError unless a captured graph runs the operators that a plan is for."""
    found = operators_of(graph)
    if tuple(found.values()) == plan.operators:
        return
    where = {node.site: node.loc for node in graph.nodes}
    for number, (site, operator) in enumerate(found.items()):
        wanted = plan.operators[number] if number < len(plan.operators) else "nothing more"
        if operator != wanted:
            at = f" at {where[site]}" if where[site] else ""
            raise UsageError(
                f"the plan is for another function: its operator {number + 1} is {wanted}, "
                f"{graph.name} has {operator} there{at}"
            )
    raise UsageError(
        f"the plan is for another function: it has {len(plan.operators)} operators, {graph.name} "
        f"ends after {len(found)}; the next would be {plan.operators[len(found)]}"
    )


@dataclasses.dataclass(frozen=True)
class _Operator:
    """One of those that constraints name, in a graph.

    Attributes:
        name: in the plan.
        site: in the capture.
        nodes: its own nodes; none if it has no place in any kernel.
        call: the node that PyTorch runs, if it does.
    """

    name: str
    site: int
    nodes: tuple[int, ...]
    call: Node | None


class Rules:
    """What a plan allows.

    Attributes:
        plan: the plan.
        held: nodes that no reader may compute for itself.
        kept: sites whose values stay where they are computed.
    """

    def __init__(
        self, plan: Plan, captured: Graph, flow: Flow, obstacles: Mapping[int, Decline]
    ) -> None:
        """Look a plan's operators up.

        Args:
            plan: fits `captured`.
            captured: the graph whose sites its operators are.
            flow: the simplified graph that is to be divided.
            obstacles: why PyTorch runs an operator, by its site.

        Raises:
            PlanRefused: a constraint is about an operator that no kernel computes.
        """
        self.plan = plan
        self.flow = flow
        self._obstacles = obstacles
        self._sites = tuple(operators_of(captured))
        self._uniform = find_uniform(flow)
        self._own: dict[int, list[int]] = {}
        self._others: dict[int, Node] = {}
        for i, node in enumerate(flow.nodes):
            if not node.is_pointwise:
                self._others.setdefault(node.site, node)
            elif i not in self._uniform:
                self._own.setdefault(node.site, []).append(i)
        self._alone = {self.operator(name).site for name in plan.alone}
        self._apart: dict[int, set[int]] = collections.defaultdict(set)
        for a, b in plan.apart:
            one, other = self.operator(a).site, self.operator(b).site
            self._apart[one].add(other)
            self._apart[other].add(one)
        joined = {self.operator(name).site for names in plan.together for name in names}
        self.kept = self._alone | joined
        self.held = self._find_held()

    def forbid(self, one: Collection[int], other: Collection[int]) -> bool:
        """True if no kernel may compute the operators of both collections of sites."""
        if not (self._alone or self._apart) or not one or not other:
            return False
        if not self._alone.isdisjoint(one) or not self._alone.isdisjoint(other):
            return {*one, *other} != {next(iter(one))}
        small, large = sorted((one, other), key=len)
        return any(not self._apart[site].isdisjoint(large) for site in small if site in self._apart)

    def site_of(self, i: int) -> int | None:
        """The operator that a node belongs to; None if it belongs to nobody."""
        site = self.flow.nodes[i].site
        return None if i in self._uniform or site < 0 else site

    def sites_of(self, nodes: Iterable[int]) -> set[int]:
        """The operators that these nodes belong to."""
        return {site for i in nodes if (site := self.site_of(i)) is not None}

    def keeps(self, value: int) -> bool:
        """True for a value that only the group that has it may compute."""
        return self.flow.nodes[self.flow.makers[value]].site in self.kept

    def operator(self, name: str) -> _Operator:
        """What a name stands for.

        Raises:
            PlanRefused: no kernel computes it, and PyTorch does not run it either.
        """
        site = self._sites[self.plan.position(name)]
        nodes = tuple(self._own.get(site, ()))
        other = self._others.get(site)
        call = other if other is not None and other.op == "call" else None
        if not nodes and call is None:
            raise self.refusal(Reason.PLAN, f"{name} {_why_nowhere(other)}", site)
        return _Operator(name, site, nodes, call)

    def part(self, name: str, among: Mapping[int, list[int]]) -> list[int]:
        """The nodes that a name in a division stands for, out of those of its operator.

        Raises:
            UsageError: the operator has no such part.
        """
        whole, _, number = name.partition(".")
        nodes = among.get(self._sites[self.plan.position(whole)], [])
        if not number:
            return nodes
        if not number.isdecimal() or int(number) >= len(nodes):
            raise UsageError(f"{whole} has {len(nodes)} parts here; the plan names {name}")
        return [nodes[int(number)]]

    def name_of(self, i: int) -> str:
        """What the plan calls the operator of a node."""
        node = self.flow.nodes[i]
        if node.site not in self._sites:
            return node.origin or node.op
        return self.plan.names[self._sites.index(node.site)]

    def refusal(self, reason: Reason, detail: str, site: int) -> PlanRefused:
        """The exception that says which rule forbids what the plan demands."""
        node = next((node for node in self.flow.nodes if node.site == site), None)
        return PlanRefused(
            Decline(
                reason,
                detail,
                node.origin if node else "",
                node.loc if node else None,
                "" if reason is Reason.ARGUMENT_LIMIT else "take the constraint out of the plan",
            )
        )

    def refusal_of_call(self, operator: _Operator) -> PlanRefused:
        """The same for an operator that PyTorch runs: the obstacle."""
        found = self._obstacles.get(operator.site)
        detail = f"{operator.name} runs in PyTorch"
        if found is None:
            return self.refusal(Reason.OPAQUE_OP, detail, operator.site)
        said = f"{detail}: {found.detail}" if found.detail else detail
        return PlanRefused(dataclasses.replace(found, detail=said))

    def hold(self, names: Iterable[str]) -> bool:
        """Have operators of one shape be a kernel of their own, as they are one in no reader's.

        False if that cannot help: they have different shapes, or are held already.
        """
        nodes = {i for name in names for i in self.operator(name).nodes}
        if nodes <= self.held or len({self.flow.shape(i) for i in nodes}) > 1:
            return False
        self.held |= nodes
        return True

    def _find_held(self) -> set[int]:
        """Nodes of separated operators that others read, and what operators read that are alone."""
        flow = self.flow
        found: set[int] = set()
        for site in self._alone | set(self._apart):
            for i in self._own.get(site, ()):
                readers = flow.readers.get(flow.nodes[i].output, [])
                if any(flow.nodes[r].site != site for r in readers):
                    found.add(i)
        for site in self._alone:
            for i in self._own.get(site, ()):
                makers = (flow.makers.get(operand) for operand in flow.nodes[i].inputs)
                found.update(
                    m for m in makers if m is not None and self.site_of(m) not in (None, site)
                )
        return {i for i in found if flow.nodes[i].is_pointwise}


def _why_nowhere(node: Node | None) -> str:
    """Why an operator has no place in any kernel."""
    if node is None:
        return "is no work of its own here: its value is unused, known already, or a number"
    if node.op == "cat":
        return "is written by those who compute its pieces"
    return "is a view: no kernel computes it"
