"""The decisions of `partition`, one by one, in the order in which it takes them.

They are found by dividing a graph once more and watching, so that dividing it costs nothing more
when nobody asks. The beginning is one kernel for each torch operator, as eager PyTorch has it; what
joins the nodes of one operator is therefore no decision here.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping

from fusekit.fusion.flow import Flow
from fusekit.fusion.kernels import Kernels
from fusekit.fusion.partition import joined, single_units
from fusekit.fusion.recompute import recompute
from fusekit.fusion.rules import Rules
from fusekit.fusion.units import Units
from fusekit.ir import Graph

__all__ = ["Decision", "Decisions", "decisions", "division_after"]


@dataclasses.dataclass(frozen=True)
class Decision:
    """Two kernels become one.

    Attributes:
        one: a value that the first computes.
        other: one that the second does.
        saved: bytes that no longer go through memory.
        kernels: how many there are afterwards.
    """

    one: int
    other: int
    saved: int
    kernels: int


@dataclasses.dataclass(frozen=True)
class Decisions:
    """All of them.

    Attributes:
        kernels: how many there are before the first.
        nbytes: what these read and write.
        joins: the decisions, in order.
        recomputed: values that are computed anew by who reads them, in the end.
        saved_again: bytes that this saves.
        kernels_after: how many kernels are left then.
    """

    kernels: int
    nbytes: int
    joins: tuple[Decision, ...]
    recomputed: tuple[int, ...]
    saved_again: int
    kernels_after: int


class _Watched(Units):
    """Units that remember who joined whom."""

    @property
    def log(self) -> list[tuple[int, int]]:
        """The pairs, in order."""
        found: list[tuple[int, int]] = self.__dict__.setdefault("_log", [])
        return found

    def _join(self, first: int, second: int) -> bool:
        done = super()._join(first, second)
        if done:
            self.log.append((first, second))
        return done


def decisions(graph: Graph, max_arguments: int, rules: Rules | None = None) -> Decisions:
    """What `partition(graph, max_arguments, rules=rules)` decides."""
    final, replay = _begun(graph, max_arguments, rules)
    start, before = _count(replay), _moved(replay)
    joins = tuple(_replayed(replay, final.log))
    kernels = Kernels(final)
    stored, moved = set(kernels.stored), _loaded_and_stored(kernels)
    recompute(kernels, max_arguments)
    again = tuple(sorted(stored - set(kernels.stored)))
    saved = moved - _loaded_and_stored(kernels)
    return Decisions(start, before, joins, again, saved, len(kernels.groups))


def division_after(
    graph: Graph, max_arguments: int, count: int, rules: Rules | None = None
) -> tuple[tuple[int, ...], ...]:
    """The values that each kernel computes after so many decisions, before any is recomputed."""
    final, replay = _begun(graph, max_arguments, rules)
    for _ in itertools.islice(_replayed(replay, final.log), count):
        pass
    nodes = graph.nodes
    return tuple(
        tuple(sorted(nodes[i].output for i in unit.members)) for unit in replay.groups.values()
    )


def _begun(graph: Graph, max_arguments: int, rules: Rules | None) -> tuple[_Watched, Units]:
    """The units in the end, and those of one kernel for each operator."""
    final = joined(single_units(graph, max_arguments, _Watched, rules))
    replay = single_units(graph, max_arguments, Units, rules)
    _join_operators(replay, final)
    return final, replay


def _join_operators(replay: Units, final: Units) -> None:
    """The nodes of one operator that end in one kernel are one kernel from the start."""
    heads: dict[tuple[int, int], int] = {}
    for i in replay.groups.copy():
        site = replay.flow.nodes[i].site
        if site >= 0:
            head = heads.setdefault((site, final.of(i)), i)
            replay.force(replay.of(head), replay.of(i))


def _replayed(replay: Units, log: Iterable[tuple[int, int]]) -> Iterable[Decision]:
    """The same joins of larger units; one that is not possible yet waits for the next."""
    waiting: list[tuple[int, int]] = []
    for pair in log:
        waiting.append(pair)
        done = True
        while done:
            done = False
            for each in list(waiting):
                first, second = (replay.of(i) for i in each)
                saved = 0 if first == second else _saving(replay, first, second)
                if not replay.force(first, second):
                    continue
                waiting.remove(each)
                done = True
                if first != second:
                    one, other = (replay.flow.nodes[i].output for i in each)
                    yield Decision(one, other, saved, _count(replay))


def _saving(units: Units, first: int, second: int) -> int:
    """Bytes of what a kernel of both does not load, or does not store."""
    one, other = units.groups[first], units.groups[second]
    nbytes = units.flow.nbytes
    saved = sum(nbytes(v) for v in one.loads.keys() & other.loads.keys())
    for reader, maker in ((one, other), (other, one)):
        for value in reader.loads.keys() & maker.stores:
            used_up = units._is_used_up(value, reader.loads[value])  # noqa: SLF001  one concern in two files
            saved += nbytes(value) * (2 if used_up else 1)
    return saved


def _count(units: Units) -> int:
    return sum(1 for unit in units.groups.values() if unit.stores)


def _moved(units: Units) -> int:
    return sum(_sum(units.flow, unit.loads, unit.stores) for unit in units.groups.values())


def _loaded_and_stored(kernels: Kernels) -> int:
    return sum(_sum(kernels.flow, each.loads, each.stores) for each in kernels.groups.values())


def _sum(flow: Flow, loads: Iterable[int] | Mapping[int, int], stores: Iterable[int]) -> int:
    return sum(map(flow.nbytes, loads)) + sum(map(flow.nbytes, stores))
