"""Which arguments a kernel may write where they are, without a temporary and a copy.

A program ends by copying values into the arguments that the function writes. Where a kernel may
store such a value straight into the argument, nothing is left to copy. That takes:

- the value is all that its memory holds, one group stores it, in the argument's dtype, and it is
  neither a result nor written anywhere else;
- whatever reads the argument's old value has run before; or is the same group, and reads each
  element where it stores it;
- nothing gives up from then on: a call that PyTorch has to run again finds its arguments as they
  were. So neither the group itself nor a later one traps, and PyTorch runs nothing later. If a GPU
  refuses a launch, the program ends, as it does in eager PyTorch.

Capture takes no argument whose elements share memory among them; that no other argument does is for
the plan to check at each call.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence

from fusekit.frontends.calls import resolve
from fusekit.fusion import Group
from fusekit.fusion.partition import Step
from fusekit.ir import Graph, Node
from fusekit.runtime.place import Place

__all__ = ["moved_in_place"]

_UNDECLARED = frozenset({"aten._unsafe_view.default", "aten.lift.default"})
"""Operators whose result may be their argument's memory although their schema does not say so."""


def moved_in_place(
    graph: Graph,
    steps: Sequence[tuple[Step, int]],
    places: Mapping[int, Place],
    results: Sequence[int],
    writes: Sequence[tuple[int, int]],
) -> dict[int, Place]:
    """Value that is a tensor of its own -> its place in the argument that it may be stored in.

    Args:
        graph: of the program.
        steps: what runs, in order, each with its stage: steps of one stage run at the same time.
        places: where the values lie if nothing is written in place.
        results: what the function returns.
        writes: (graph input, value that it holds at the end).
    """
    if not writes:
        return {}
    judge = _Judge(graph, places, results)
    judge.gather(steps, writes)
    found = {}
    for target, value in writes:
        place = judge.place_for(target, value)
        if place is not None:
            found[places[value].base] = place
    return found


@dataclasses.dataclass(frozen=True, slots=True)
class _Read:
    """One value that a step reads, or the end of the program, which has no step."""

    value: int
    stage: int
    step: Step | None


class _Judge:
    """Answers for one argument at a time; what it looks up is gathered once."""

    def __init__(self, graph: Graph, places: Mapping[int, Place], results: Sequence[int]) -> None:
        self.graph = graph
        self.places = places
        self.returned = {places[i].base for i in results if i in places}
        self.written: collections.Counter[int] = collections.Counter()
        self.maker: dict[int, tuple[int, Group]] = {}
        self.reads: dict[int, list[_Read]] = collections.defaultdict(list)
        self.last_to_fail = -1

    def gather(self, steps: Sequence[tuple[Step, int]], writes: Sequence[tuple[int, int]]) -> None:
        """Note who makes, reads and writes what."""
        for step, stage in steps:
            self._add(step, stage)
        end = max((stage for _, stage in steps), default=0) + 1
        for _, value in writes:
            self._add_read(value, end, None)
        self.written.update(self.places[v].base for _, v in writes if v in self.places)

    def _add(self, step: Step, stage: int) -> None:
        if isinstance(step, Group):
            self.maker.update((value, (stage, step)) for value in step.outputs)
            may_fail = self._traps(step)
            read = step.inputs
        else:  # a view is read by its readers, the pieces of a cat by nobody
            may_fail = step.op == "call"
            read = step.inputs if may_fail else ()
        if may_fail:
            self.last_to_fail = max(self.last_to_fail, stage)
        for value in read:
            self._add_read(value, stage, step)

    def _add_read(self, value: int, stage: int, step: Step | None) -> None:
        if value in self.places:
            self.reads[self.places[value].base].append(_Read(value, stage, step))

    def _traps(self, group: Group) -> bool:
        return any(
            node.row.traps and self.graph.dtype(node.output).is_integral for node in group.nodes
        )

    def place_for(self, target: int, value: int) -> Place | None:
        """Where the memory of `value` may be in the argument; None if it must be its own."""
        held = self.places.get(value)
        if held is None or held.base not in self.maker:
            return None
        stage, group = self.maker[held.base]
        moved = self._moved(target, value)
        if (
            moved is None
            or self._traps(group)
            or stage < self.last_to_fail
            or held.base in self.returned
            or self.written[held.base] > 1
        ):
            return None
        old = [read for read in self.reads[target] if not self._is_before(read, stage)]
        return moved if all(self._is_here(read, group, moved) for read in old) else None

    def _moved(self, target: int, value: int) -> Place | None:
        """The memory of `value` laid over the argument, if it is all of it and fits."""
        graph, held = self.graph, self.places[value]
        own, argument = self.places[held.base], self.places[target]
        dtypes = {graph.values[i].dtype for i in (value, held.base, target)}
        if (
            len(dtypes) > 1
            or held.shape != argument.shape
            or graph.values[value].numel != graph.values[held.base].numel
        ):
            return None
        if held.is_like(argument):
            return dataclasses.replace(own, base=target)
        others = [read for read in self.reads[held.base] if read.step is not None]
        # its strides are nobody's business but the kernel's
        return argument if value == held.base and not others else None

    def _is_before(self, read: _Read, stage: int) -> bool:
        """True if the read is over, and nothing that it made still looks at the argument."""
        if read.stage >= stage:
            return False
        return not isinstance(read.step, Node) or not _may_alias(read.step)

    def _is_here(self, read: _Read, group: Group, moved: Place) -> bool:
        """True if it is the storing group that reads each element where it stores it."""
        same_dtype = self.graph.dtype(read.value) is self.graph.dtype(moved.base)
        return read.step is group and same_dtype and self.places[read.value].is_like(moved)


def _may_alias(call: Node) -> bool:
    target = str(call.attr("target"))
    returned = resolve(target)._schema.returns  # noqa: SLF001  no public spelling
    return target in _UNDECLARED or any(item.alias_info is not None for item in returned)
