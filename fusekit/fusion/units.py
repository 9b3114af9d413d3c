"""Nodes on their way to groups: units that join, what each loads and stores, and why they cannot.

What a unit loads and stores is kept up to date as units join, always by adding the smaller to the
larger, so that all joins together cost little more than looking at each node once.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Iterable, Mapping

from fusekit.fusion.flow import Flow
from fusekit.fusion.order import AcyclicOrder
from fusekit.fusion.rules import Rules
from fusekit.specs import Reason

__all__ = ["Unit", "Units"]


@dataclasses.dataclass(slots=True)
class Unit:
    """Pointwise nodes of one shape.

    Attributes:
        shape: what they have in common.
        members: the nodes.
        loads: tensors made elsewhere -> how many of the nodes read each.
        stores: results that are kept, or read elsewhere.
    """

    shape: tuple[int, ...]
    members: list[int]
    loads: dict[int, int]
    stores: set[int]


class Units:
    """All nodes but the repeated ones, each in one unit.

    Attributes:
        flow: the graph.
        reads: for each of these nodes the values that it reads (see `reads_through`).
        order: the units' order.
        groups: name -> unit, for those of pointwise nodes.
        rules: what a plan allows, if there is one.
    """

    def __init__(
        self,
        flow: Flow,
        repeated: set[int],
        reads: Mapping[int, tuple[int, ...]],
        max_arguments: int,
        rules: Rules | None = None,
    ) -> None:
        """Start with a unit for each node; units get the name of one of their nodes."""
        self.rules = rules
        self.flow = flow
        self.reads = reads
        self.max_arguments = max_arguments
        self.single = [i for i in range(len(flow.nodes)) if i not in repeated]
        self._name = {i: i for i in self.single}
        # calls keep the user's order: they may draw random numbers
        calls = [i for i in self.single if flow.nodes[i].op == "call"]
        self.calls = list(itertools.pairwise(calls))
        barriers = {call: number for number, call in enumerate(calls)}
        self.order = AcyclicOrder(self.single, (*self._edges(), *self.calls), barriers)
        self._outside: dict[int, int] = {}
        for i in self.single:
            for value in reads[i]:
                self._outside[value] = self._outside.get(value, 0) + 1
        self.groups = {i: self._unit(i) for i in self.single if flow.nodes[i].is_pointwise}
        self._sites = {i: rules.sites_of([i]) for i in self.groups} if rules else {}

    def of(self, i: int) -> int:
        """The name of a node's unit."""
        name = self._name
        while name[i] != i:
            name[i] = i = name[name[i]]
        return i

    def join(self, first: int, second: int) -> bool:
        """Make two units one if they may be."""
        if first == second:
            return True
        if self._differ(first, second) or self._has_too_many(first, second):
            return False
        return self._join(first, second)

    def force(self, first: int, second: int) -> bool:
        """The same, however many tensors they take for now."""
        return first == second or (not self._differ(first, second) and self._join(first, second))

    def _join(self, first: int, second: int) -> bool:
        groups = self.groups
        kept = self.order.join(first, second)
        if kept is None:
            return False
        gone = second if kept == first else first
        self._name[gone] = kept
        groups[kept] = self._joined(groups[kept], groups.pop(gone))
        if self.rules:
            self._sites[kept] |= self._sites.pop(gone)
        return True

    def why_not(self, first: int, second: int) -> Reason | None:
        """Why two units stay two; None if they may join."""
        reason = self._differ(first, second)
        if reason is None and self.order.leads_around(first, second):
            reason = Reason.CYCLE
        if reason is None and self._has_too_many(first, second):
            reason = Reason.ARGUMENT_LIMIT
        return reason

    def n_tensors(self, name: int) -> int:
        """How many tensors the kernel of a unit takes."""
        return len(self.groups[name].loads) + len(self.groups[name].stores)

    def _edges(self) -> Iterable[tuple[int, int]]:
        makers = self.flow.makers
        return ((makers[v], i) for i in self.single for v in self.reads[i] if v in makers)

    def _unit(self, i: int) -> Unit:
        flow, result = self.flow, self.flow.nodes[i].output
        loads = {value: 1 for value in self.reads[i] if flow.takes_memory(value)}
        is_stored = result in flow.kept or result in self._outside
        return Unit(flow.shape(i), [i], loads, {result} if is_stored else set())

    def _differ(self, first: int, second: int) -> Reason | None:
        """Why two units cannot join whatever is around them."""
        one, other = self.groups.get(first), self.groups.get(second)
        if first == second or one is None or other is None:
            return Reason.OPAQUE_OP
        if one.shape != other.shape:
            return Reason.ITERATION_SPACE
        if self.rules and self.rules.forbid(self._sites[first], self._sites[second]):
            return Reason.PLAN
        return None

    def _has_too_many(self, first: int, second: int) -> bool:
        """True if a kernel of both would load and store more tensors than it may."""
        one, other = self.groups[first], self.groups[second]
        total = len(one.loads) + len(other.loads) + len(one.stores) + len(other.stores)
        if total <= self.max_arguments:
            return False
        total -= len(_common(one.loads, other.loads))
        for reader, maker in ((one, other), (other, one)):
            passed = _common(reader.loads, maker.stores)
            total -= len(passed)
            total -= sum(self._is_used_up(value, reader.loads[value]) for value in passed)
        return total > self.max_arguments

    def _is_used_up(self, value: int, n_readers: int) -> bool:
        """True if nobody but so many readers needs a value in memory."""
        return value not in self.flow.kept and self._outside[value] == n_readers

    def _joined(self, one: Unit, other: Unit) -> Unit:
        for reader, maker in ((one, other), (other, one)):
            for value in _common(reader.loads, maker.stores):
                n_readers = reader.loads.pop(value)
                if self._is_used_up(value, n_readers):
                    maker.stores.discard(value)
                self._outside[value] -= n_readers
        small, large = sorted((one, other), key=lambda unit: len(unit.members))
        large.members += small.members
        large.stores |= small.stores
        if len(small.loads) > len(large.loads):
            small.loads, large.loads = large.loads, small.loads
        for value, n_readers in small.loads.items():
            large.loads[value] = large.loads.get(value, 0) + n_readers
        return large


def _common(one: Collection[int], other: Collection[int]) -> list[int]:
    """What is in both, in the time of the smaller."""
    small, large = sorted((one, other), key=len)
    return [value for value in small if value in large]
