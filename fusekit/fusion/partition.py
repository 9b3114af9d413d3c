"""Which nodes become one kernel: groups as large as they can be without cycles.

Every pointwise node starts as a group of its own. Going through the graph in order, a node's group
joins those of its operands; then groups of one shape that read the same tensors, or write into the
same cat, join. Two groups may join unless a path leads from one to the other through anything
else: the joined kernel would wait for itself.

An `index` takes no memory: whoever reads it counts for itself. Nodes that cost little and have a
smaller shape than all their readers, or no tensor among their operands at all, belong to no group:
every group that reads them computes them anew (`repeated.py`). So it does, in the end, with values
that are cheaper to compute again than to bring through memory (`recompute.py`).

All of it takes time in proportion to the graph: whether a path leads around is asked of an order
that is kept as groups join (`order.py`), what they load and store is kept likewise (`units.py`).
"""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Iterable
from typing import TypeVar

from fusekit.fusion.flow import Flow
from fusekit.fusion.forcing import divide, force, scattered
from fusekit.fusion.kernels import Kernel, Kernels
from fusekit.fusion.recompute import recompute
from fusekit.fusion.repeated import find_repeated, reads_through
from fusekit.fusion.rules import Rules
from fusekit.fusion.units import Units
from fusekit.ir import Graph, Node
from fusekit.specs import Reason

__all__ = ["Group", "Partition", "Seam", "Step", "joined", "partition", "single_units"]

UnitsT = TypeVar("UnitsT", bound=Units)


@dataclasses.dataclass(frozen=True)
class Group:
    """The nodes of one kernel.

    Attributes:
        index: its number, in execution order.
        nodes: in data-flow order, with the repeated ones.
        shape: the iteration space, to which every operand is broadcast.
        inputs: values it reads, tensors before scalars, in order of first use.
        outputs: values it has to store.
    """

    index: int
    nodes: tuple[Node, ...]
    shape: tuple[int, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Seam:
    """A value that crosses from one step to another, and why they are two.

    Attributes:
        value: id of the value that goes through memory.
        producer: the step it comes from.
        consumer: the step that reads it.
        reason: why the two are not one kernel.
    """

    value: int
    producer: int
    consumer: int
    reason: Reason


Step = Group | Node
"""What runs: a kernel, or a call, view or cat node."""


@dataclasses.dataclass(frozen=True)
class Partition:
    """A captured graph, divided.

    Attributes:
        graph: the whole.
        steps: groups and other nodes, in execution order.
        seams: every value that crosses between two steps of which one is a group.
        units: the values that each joined group of nodes makes, also those that were then left to
            their readers: what a plan's division says.
    """

    graph: Graph
    steps: tuple[Step, ...]
    seams: tuple[Seam, ...]
    units: tuple[tuple[int, ...], ...] = ()

    @property
    def groups(self) -> tuple[Group, ...]:
        """The kernels, in order."""
        return tuple(step for step in self.steps if isinstance(step, Group))


def partition(
    graph: Graph, max_arguments: int, *, recomputing: bool = True, rules: Rules | None = None
) -> Partition:
    """Divide `graph` into groups of at most `max_arguments` tensors and the rest.

    `recomputing` allows groups to compute values that others made, instead of loading them.
    `rules`, made for this graph, are what a plan says of it.

    Raises:
        PlanRefused: the plan demands a group that cannot be.
        UsageError: the plan's division is not one of this graph.
    """
    units = joined(single_units(graph, max_arguments, Units, rules))
    kernels = Kernels(units)
    if recomputing:
        recompute(kernels, max_arguments)
    found = scattered(kernels, rules) if rules else None
    if found and rules:
        names, refusal = found
        if not rules.hold(names):
            raise refusal
        return partition(graph, max_arguments, recomputing=recomputing, rules=rules)
    return _Result(units, kernels).run()


def single_units(
    graph: Graph, max_arguments: int, kind: type[UnitsT], rules: Rules | None = None
) -> UnitsT:
    """The nodes of `graph`, each in a unit of its own; `kind` may watch them join."""
    flow = rules.flow if rules else Flow(graph)
    repeated = find_repeated(flow, rules.held if rules else ())
    return kind(flow, repeated, reads_through(flow, repeated), max_arguments, rules)


def joined(units: UnitsT) -> UnitsT:
    """The same units, joined as a plan says, and wherever they may be."""
    rules = units.rules
    if rules and rules.plan.groups is not None:
        divide(units, rules)
        return units
    if rules:
        force(units, rules)
    _join_readers(units)
    _join_siblings(units)
    return units


# joining

_MOST_TRIED = 4
"""With so many groups that a newcomer could not join, the first and the last, it is tried."""


def _join_readers(units: Units) -> None:
    """Each node with those that make its operands."""
    makers = units.flow.makers
    for i in units.single:
        for operand in units.reads[i]:
            if operand in makers:
                units.join(units.of(makers[operand]), units.of(i))


def _join_siblings(units: Units) -> None:
    """Nodes that write into one cat, then nodes that read one tensor."""
    for sources in (_cat_pieces(units.flow), _shared_reads(units)):
        for nodes in sources:
            heads: dict[tuple[int, ...], list[int]] = {}
            for i in nodes:
                tried = heads.setdefault(units.flow.shape(i), [])
                if not any(units.join(units.of(head), units.of(i)) for head in tried):
                    tried.append(i)
                    del tried[1 : 1 - _MOST_TRIED]


def _cat_pieces(flow: Flow) -> list[list[int]]:
    cats = [node for node in flow.nodes if node.op == "cat"]
    return [[flow.makers[piece] for piece in cat.inputs] for cat in cats]


def _shared_reads(units: Units) -> list[list[int]]:
    """For each tensor, the pointwise nodes that read it or a view of it."""
    flow = units.flow
    found: dict[int, list[int]] = {}
    for i in units.single:
        if flow.nodes[i].is_pointwise:
            for value in units.reads[i]:
                if flow.takes_memory(value):
                    found.setdefault(flow.base[value], []).append(i)
    return list(found.values())


# the result


class _Result:
    """Groups in execution order, and the values that cross between them."""

    def __init__(self, units: Units, kernels: Kernels) -> None:
        self.flow = units.flow
        self.units = units
        self.kernels = kernels

    def run(self) -> Partition:
        order = self._schedule()
        number = {name: position for position, name in enumerate(order)}
        steps = tuple(
            self._group(self.kernels.groups[name], position)
            if name in self.kernels.groups
            else self.flow.nodes[name]
            for position, name in enumerate(order)
        )
        seams = tuple(self._seams(steps, order, number))
        return Partition(self.flow.graph, steps, seams, tuple(self._units()))

    def _units(self) -> Iterable[tuple[int, ...]]:
        nodes = self.flow.nodes
        for unit in self.units.groups.values():
            yield tuple(nodes[i].output for i in sorted(unit.members))

    def _schedule(self) -> list[int]:
        """Steps in an order that respects data flow, calls in the user's order."""
        groups = self.kernels.groups
        opaque = [i for i in self.units.single if not self.flow.nodes[i].is_pointwise]
        first = {name: group.first for name, group in groups.items()} | {i: i for i in opaque}
        followers: dict[int, list[int]] = {name: [] for name in first}
        n_needed = dict.fromkeys(first, 0)
        edges = [(maker, name) for name in first for maker in self._makers(name)]
        for early, late in (*edges, *self.units.calls):
            followers[early].append(late)
            n_needed[late] += 1
        ready = [(first[name], name) for name, count in n_needed.items() if not count]
        heapq.heapify(ready)
        order = []
        while ready:
            _, name = heapq.heappop(ready)
            order.append(name)
            for late in followers[name]:
                n_needed[late] -= 1
                if not n_needed[late]:
                    heapq.heappush(ready, (first[late], late))
        return order

    def _makers(self, name: int) -> set[int]:
        """The steps that one needs the results of."""
        group = self.kernels.groups.get(name)
        nodes = {name} if group is None else group.nodes
        operands = (operand for i in nodes for operand in self.flow.nodes[i].inputs)
        makers = {self.flow.makers.get(operand) for operand in operands} - nodes
        return {self.units.of(maker) for maker in makers if maker is not None}

    def _group(self, kernel: Kernel, index: int) -> Group:
        flow = self.flow
        ordered = tuple(flow.nodes[i] for i in sorted(kernel.nodes))
        made = {node.output for node in ordered}
        reads = dict.fromkeys(v for node in ordered for v in node.inputs if v not in made)
        inputs = sorted(reads, key=flow.scalars.__contains__)
        outputs = sorted(kernel.stores, key=flow.makers.__getitem__)
        return Group(index, ordered, kernel.shape, tuple(inputs), tuple(outputs))

    def _seams(
        self, steps: Iterable[Step], order: list[int], number: dict[int, int]
    ) -> Iterable[Seam]:
        found: dict[tuple[int, int], Seam] = {}
        for position, step in enumerate(steps):
            if isinstance(step, Node) and step.op in ("view", "cat"):
                continue
            for operand in dict.fromkeys(step.inputs):
                base = self.flow.base[operand]
                maker = self.flow.makers.get(base)
                if maker is None or self.flow.is_index(base):
                    continue
                source, unit = self.units.of(maker), order[position]
                if source in self.kernels.groups or unit in self.kernels.groups:
                    reason = self._reason(source, unit, is_view=base != operand)
                    seam = Seam(base, number[source], position, reason)
                    found.setdefault((base, position), seam)
        return found.values()

    def _reason(self, source: int, unit: int, *, is_view: bool) -> Reason:
        both = self.kernels.groups.keys() >= {source, unit}
        if is_view and both:
            return Reason.VIEW_OF_INTERMEDIATE
        known = self.units.why_not(source, unit)
        return known or (Reason.PLAN if self.units.rules else Reason.CYCLE)
