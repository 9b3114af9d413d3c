"""Which nodes become one kernel: groups as large as they can be without cycles.

Every pointwise node starts as a group of its own. Going through the graph in order, a node's group
joins those of its operands; then groups of one shape that read the same tensors, or write into the
same cat, join. Two groups may join unless a path leads from one to the other through anything
else: the joined kernel would wait for itself.

An `index` takes no memory: whoever reads it counts for itself. Nodes that cost little and have a
smaller shape than all their readers, or no tensor among their operands at all, belong to no group:
every group that reads them computes them anew.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence

from fusekit.ir import Graph, Node
from fusekit.specs import Reason

__all__ = ["Group", "Partition", "Seam", "Step", "partition"]


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
    """

    graph: Graph
    steps: tuple[Step, ...]
    seams: tuple[Seam, ...]

    @property
    def groups(self) -> tuple[Group, ...]:
        """The kernels, in order."""
        return tuple(step for step in self.steps if isinstance(step, Group))


def partition(graph: Graph, max_arguments: int) -> Partition:
    """Divide `graph` into groups of at most `max_arguments` tensors and the rest."""
    return _Partitioner(graph, max_arguments).run()


_INLINE_FLOPS = 8
"""A node of a smaller shape is repeated for every element it is broadcast to up to this cost."""


class _Partitioner:
    def __init__(self, graph: Graph, max_arguments: int) -> None:
        self.graph = graph
        self.max_arguments = max_arguments
        self.kept = set(graph.outputs)
        self.makers = {out: i for i, node in enumerate(graph.nodes) for out in node.outputs}
        self.readers: dict[int, list[int]] = {}
        for i, node in enumerate(graph.nodes):
            for operand in dict.fromkeys(node.inputs):
                self.readers.setdefault(operand, []).append(i)
        calls = [i for i, node in enumerate(graph.nodes) if node.op == "call"]
        # calls keep the user's order: they may draw random numbers
        self.next_call = dict(itertools.pairwise(calls))
        self.uniform = self._find_uniform()
        self.drawn = self._find_drawn()
        self.inlined = self._find_inlined()
        self.unit = {i: i for i in range(len(graph.nodes)) if i not in self.inlined}
        self.members = {i: [i] for i in self.unit}

    def run(self) -> Partition:
        for i in self.unit:
            for operand in self._operands(i):
                self._try_merge(self.unit[operand], self.unit[i])
        self._merge_siblings()
        order = self._schedule()
        number = {unit: position for position, unit in enumerate(order)}
        steps: list[Step] = []
        for unit in order:
            is_group = self.graph.nodes[unit].is_pointwise
            steps.append(self._group(unit, len(steps)) if is_group else self.graph.nodes[unit])
        return Partition(self.graph, tuple(steps), tuple(self._seams(number)))

    # which nodes are repeated in their readers

    def _find_uniform(self) -> set[int]:
        """Nodes without a tensor in memory among their operands, however far back."""
        found: set[int] = set()
        free = set(self.graph.scalar_inputs)
        free.update(node.output for node in self.graph.nodes if node.op == "index")
        for i, node in enumerate(self.graph.nodes):
            if node.is_pointwise and free.issuperset(node.inputs):
                found.add(i)
                free.add(node.output)
        return found

    def _find_drawn(self) -> set[int]:
        """Random draws, and what follows from them in their own shape: that is what to keep.

        To draw again for every element costs more than to read what was drawn.
        """
        found: set[int] = set()
        for i, node in enumerate(self.graph.nodes):
            makers = [self.makers.get(operand) for operand in node.inputs]
            drawn = [m for m in makers if m in found and self._shape(m) == self._shape(i)]
            if node.is_pointwise and (node.op == "philox" or drawn):
                found.add(i)
        return found

    def _find_inlined(self) -> set[int]:
        found: set[int] = set()
        cost: dict[int, int] = {}
        for i in reversed(range(len(self.graph.nodes))):
            node = self.graph.nodes[i]
            if not node.is_pointwise or node.output in self.kept:
                continue
            readers = self.readers.get(node.output, [])
            if all(self.graph.nodes[r].is_pointwise for r in readers) and (
                i in self.uniform or self._is_cheap(i, readers, found, cost)
            ):
                found.add(i)
        return found

    def _is_cheap(
        self, i: int, readers: Sequence[int], inlined: set[int], cost: dict[int, int]
    ) -> bool:
        """True if all readers have larger shapes and repeating the node costs little."""
        values, node = self.graph.values, self.graph.nodes[i]
        # a trap has to be met even if the readers are empty; for draws see _find_drawn
        if node.row.traps or i in self.drawn:
            return False
        shape = values[node.output].shape or ()
        later = [cost.get(r, 0) for r in readers]
        wider = [self._shape(r) for r in readers if r not in inlined]
        if any(other == shape for other in wider):
            return False
        if any(r in inlined and self._shape(r) == shape and r not in cost for r in readers):
            return False
        cost[i] = node.row.flops + max(later, default=0)
        is_hoisted = not shape or shape[-1] == 1
        return is_hoisted or cost[i] <= _INLINE_FLOPS

    # joining

    def _shape(self, i: int) -> tuple[int, ...]:
        node = self.graph.nodes[i]
        return self.graph.values[node.outputs[0]].shape or () if node.outputs else ()

    def _operands(self, i: int) -> Iterable[int]:
        """Units whose results node `i` reads, through the nodes repeated in it."""
        for operand in self.graph.nodes[i].inputs:
            maker = self.makers.get(operand)
            if maker is None:
                continue
            if maker in self.inlined:
                yield from self._operands(maker)
            else:
                yield maker

    def _try_merge(self, first: int, second: int) -> bool:
        """Join two units if they are groups of one shape and no path leads around."""
        if self._why_not(first, second) is not None:
            return False
        keep, drop = sorted((first, second))
        self.members[keep] = sorted(self.members[keep] + self.members.pop(drop))
        for i in self.members[keep]:
            self.unit[i] = keep
        return True

    def _why_not(self, first: int, second: int) -> Reason | None:
        """Why two units stay two; None if they may join."""
        if first == second or not all(self.graph.nodes[u].is_pointwise for u in (first, second)):
            return Reason.OPAQUE_OP
        if self._shape(first) != self._shape(second):
            return Reason.ITERATION_SPACE
        if self._leads_around(first, second) or self._leads_around(second, first):
            return Reason.CYCLE
        both = self.members[first] + self.members[second]
        if len(self._tensors(both)) > self.max_arguments:
            return Reason.ARGUMENT_LIMIT
        return None

    def _successors(self, unit: int) -> set[int]:
        found = {self.next_call[unit]} if unit in self.next_call else set()
        pending = [out for i in self.members[unit] for out in self.graph.nodes[i].outputs]
        while pending:
            for reader in self.readers.get(pending.pop(), []):
                if reader in self.inlined:
                    pending += self.graph.nodes[reader].outputs
                else:
                    found.add(self.unit[reader])
        found.discard(unit)
        return found

    def _leads_around(self, start: int, end: int) -> bool:
        """True if a path of more than one edge leads from `start` to `end`."""
        pending = [u for u in self._successors(start) if u != end]
        seen = set(pending)
        while pending:
            for following in self._successors(pending.pop()):
                if following == end:
                    return True
                if following not in seen:
                    seen.add(following)
                    pending.append(following)
        return False

    def _tensors(self, members: Sequence[int]) -> set[int]:
        """Values that a kernel of these nodes would load or store."""
        inside = set(members)
        scalars = set(self.graph.scalar_inputs)
        loaded = {v for i in inside for v in self._reads(i) if self.makers.get(v) not in inside}
        loaded = {v for v in loaded if not self._is_index(v)}
        return (loaded - scalars) | set(self._stores(inside))

    def _reads(self, i: int) -> Iterable[int]:
        for operand in self.graph.nodes[i].inputs:
            maker = self.makers.get(operand)
            if maker in self.inlined and maker is not None:
                yield from self._reads(maker)
            else:
                yield operand

    def _stores(self, inside: set[int]) -> list[int]:
        """Results of these nodes that are kept or read elsewhere."""
        found = []
        for i in sorted(inside):
            result = self.graph.nodes[i].output
            outside = self._read_outside(result, inside)
            if result in self.kept or outside:
                found.append(result)
        return found

    def _read_outside(self, value: int, inside: set[int]) -> bool:
        return any(
            self._read_outside(self.graph.nodes[r].output, inside)
            if r in self.inlined
            else r not in inside
            for r in self.readers.get(value, [])
        )

    def _merge_siblings(self) -> None:
        """Groups that share a tensor, or a cat, once each."""
        for sources in (self._cat_pieces(), self._shared_reads()):
            for units in sources:
                first, *others = units
                for other in others:
                    self._try_merge(self.unit[first], self.unit[other])

    def _cat_pieces(self) -> list[list[int]]:
        cats = [node for node in self.graph.nodes if node.op == "cat"]
        return [[self.makers[piece] for piece in cat.inputs] for cat in cats]

    def _shared_reads(self) -> list[list[int]]:
        """For each tensor, the pointwise nodes that read it or a view of it."""
        found: dict[int, list[int]] = {}
        for i in self.unit:
            if self.graph.nodes[i].is_pointwise:
                for value in self._reads(i):
                    found.setdefault(self._base(value), []).append(i)
        scalars = set(self.graph.scalar_inputs)
        return [
            users
            for value, users in found.items()
            if value not in scalars and not self._is_index(value)
        ]

    def _is_index(self, value: int) -> bool:
        """True for an index, or a view of one."""
        maker = self.makers.get(self._base(value))
        return maker is not None and self.graph.nodes[maker].op == "index"

    def _base(self, value: int) -> int:
        maker = self.makers.get(value)
        while maker is not None and self.graph.nodes[maker].op == "view":
            value = self.graph.nodes[maker].inputs[0]
            maker = self.makers.get(value)
        return value

    # the result

    def _schedule(self) -> list[int]:
        """Units in an order that respects data flow, calls in the user's order."""
        waiting = {unit: self._predecessors(unit) for unit in self.members}
        for earlier, later in self.next_call.items():
            waiting[later].add(earlier)
        order: list[int] = []
        done: set[int] = set()
        while waiting:
            ready = min(unit for unit, needs in waiting.items() if needs <= done)
            order.append(ready)
            done.add(ready)
            del waiting[ready]
        return order

    def _predecessors(self, unit: int) -> set[int]:
        found = {self.unit[p] for i in self.members[unit] for p in self._operands(i)}
        found.discard(unit)
        return found

    def _group(self, unit: int, index: int) -> Group:
        nodes: dict[int, None] = {}
        for i in self.members[unit]:
            self._with_inlined(i, nodes)
        ordered = [self.graph.nodes[i] for i in sorted(nodes)]
        made = {node.output for node in ordered}
        reads = dict.fromkeys(v for node in ordered for v in node.inputs if v not in made)
        scalars = set(self.graph.scalar_inputs)
        inputs = sorted(reads, key=lambda v: v in scalars)
        outputs = self._stores(set(self.members[unit]))
        return Group(index, tuple(ordered), self._shape(unit), tuple(inputs), tuple(outputs))

    def _with_inlined(self, i: int, nodes: dict[int, None]) -> None:
        nodes[i] = None
        for operand in self.graph.nodes[i].inputs:
            maker = self.makers.get(operand)
            if maker is not None and maker in self.inlined:
                self._with_inlined(maker, nodes)

    def _seams(self, number: dict[int, int]) -> Iterable[Seam]:
        found: dict[tuple[int, int], Seam] = {}
        for i, unit in self.unit.items():
            if self.graph.nodes[unit].op in ("view", "cat"):
                continue
            for operand in dict.fromkeys(self._reads(i)):
                base = self._base(operand)
                maker = self.makers.get(base)
                if maker is None or self.unit[maker] == unit or self._is_index(base):
                    continue
                source = self.unit[maker]
                if any(self.graph.nodes[end].is_pointwise for end in (source, unit)):
                    reason = self._seam_reason(source, unit, is_view=base != operand)
                    seam = Seam(base, number[source], number[unit], reason)
                    found.setdefault((base, number[unit]), seam)
        return found.values()

    def _seam_reason(self, source: int, unit: int, *, is_view: bool) -> Reason:
        reason = self._why_not(source, unit)
        if is_view and reason is not Reason.OPAQUE_OP:
            return Reason.VIEW_OF_INTERMEDIATE
        return reason or Reason.CYCLE
