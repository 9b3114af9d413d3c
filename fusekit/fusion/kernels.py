"""What each group computes, loads and stores: everything from its stores back to memory.

A value that no group stores is computed by each that needs it. So nodes of small shapes are
repeated, and so is what `recompute` decides not to store any more.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable

from fusekit.fusion.flow import Flow
from fusekit.fusion.units import Units

__all__ = ["Kernel", "Kernels"]


@dataclasses.dataclass(slots=True)
class Kernel:
    """One group.

    Attributes:
        first: the first of its own nodes, which decides when it runs.
        shape: the iteration space.
        stores: values it has to store.
        nodes: what it computes.
        uses: value -> how many of these nodes read it.
        loads: the tensors it reads from memory.
    """

    first: int
    shape: tuple[int, ...]
    stores: set[int]
    nodes: set[int] = dataclasses.field(default_factory=set)
    uses: dict[int, int] = dataclasses.field(default_factory=dict)
    loads: set[int] = dataclasses.field(default_factory=set)

    @property
    def n_tensors(self) -> int:
        """How many tensors it takes."""
        return len(self.loads) + len(self.stores)


class Kernels:
    """The groups of a program.

    Attributes:
        flow: the graph.
        rules: what a plan allows, if there is one.
        groups: name of the unit -> what it computes; groups that store nothing are absent.
        stored: value -> the group that stores it.
        loaders: value -> the groups that load it.
    """

    def __init__(self, units: Units) -> None:
        """Follow each unit's stores back to memory."""
        self.flow: Flow = units.flow
        self.rules = units.rules
        self.groups = {
            name: Kernel(min(unit.members), unit.shape, unit.stores)
            for name, unit in units.groups.items()
            if unit.stores
        }
        self.stored = {v: name for name, group in self.groups.items() for v in group.stores}
        self.loaders: dict[int, set[int]] = {}
        for name, group in self.groups.items():
            nodes, loads = self.cone(group.stores, group.stores)
            self.add(name, nodes, loads)

    def cone(
        self, values: Iterable[int], unstored: Collection[int], most: int | None = None
    ) -> tuple[set[int], set[int]]:
        """The nodes that make `values` from memory, and the tensors they read there.

        What is in `unstored` counts as not being in memory. More than `most` nodes are none.
        """
        flow = self.flow
        nodes: set[int] = set()
        leaves: set[int] = set()
        pending = list(values)
        while pending:
            value = pending.pop()
            maker = flow.makers.get(value)
            in_memory = value in self.stored and value not in unstored
            if maker is None or in_memory or not flow.nodes[maker].is_pointwise:
                if flow.takes_memory(value):
                    leaves.add(value)
            elif maker not in nodes:
                nodes.add(maker)
                pending += flow.nodes[maker].inputs
                if len(nodes) - 1 == most:
                    return set(), set()
        return nodes, leaves

    def add(self, name: int, nodes: Iterable[int], loads: Iterable[int]) -> None:
        """Have a group compute more."""
        group = self.groups[name]
        for i in nodes:
            if i not in group.nodes:
                group.nodes.add(i)
                for operand in dict.fromkeys(self.flow.nodes[i].inputs):
                    group.uses[operand] = group.uses.get(operand, 0) + 1
        for value in loads:
            group.loads.add(value)
            self.loaders.setdefault(value, set()).add(name)

    def no_longer_needed(self, name: int, values: Collection[int]) -> tuple[set[int], set[int]]:
        """The nodes that a group has no use for without these stores, and what they alone load."""
        group, flow = self.groups[name], self.flow
        nodes: set[int] = set()
        loads: set[int] = set()
        left: dict[int, int] = {}
        pending = [value for value in values if not group.uses.get(value)]
        while pending:
            value = pending.pop()
            maker = flow.makers.get(value, -1)
            if value in group.loads:
                loads.add(value)
            elif maker in group.nodes and (value in values or value not in group.stores):
                nodes.add(maker)
                for operand in dict.fromkeys(flow.nodes[maker].inputs):
                    left[operand] = left.get(operand, group.uses[operand]) - 1
                    if not left[operand]:
                        pending.append(operand)
        return nodes, loads

    def unstore(self, name: int, values: Collection[int]) -> None:
        """Have a group store these values no longer, and compute only what the others need."""
        group = self.groups[name]
        nodes, loads = self.no_longer_needed(name, values)
        for i in nodes:
            for operand in dict.fromkeys(self.flow.nodes[i].inputs):
                group.uses[operand] -= 1
        group.nodes -= nodes
        self.unload(name, loads)
        group.stores.difference_update(values)
        for value in values:
            del self.stored[value]
        if not group.stores:
            del self.groups[name]

    def unload(self, name: int, values: Iterable[int]) -> None:
        """Have a group load these values no longer."""
        for value in values:
            self.groups[name].loads.discard(value)
            self.loaders[value].discard(name)
