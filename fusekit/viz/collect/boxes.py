"""Boxes of the graph: one for each torch operator in each kernel, not one for each IR node."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from fusekit.fusion import Group
from fusekit.ir import Node
from fusekit.runtime.program import Program

__all__ = ["Box", "boxes", "group_name"]


@dataclasses.dataclass(frozen=True)
class Box:
    """What one torch operator became in one step of the program.

    Attributes:
        id: unique in the graph.
        nodes: the IR nodes in it.
        group: number of the fusion group, from 0; None for what PyTorch runs.
        value: id of the tensor it makes; of several, the first.
        makes: ids of all values made in it.
        reads: ids of the values that come from outside it, views resolved to their bases and
            what is computed from scalars alone to these scalars.
    """

    id: str
    nodes: tuple[Node, ...]
    group: int | None
    value: int
    makes: frozenset[int]
    reads: tuple[int, ...]

    @property
    def origin(self) -> str:
        """The torch operator: "aten.gelu.default"."""
        return self.nodes[-1].origin or self.nodes[-1].op

    @property
    def label(self) -> str:
        """The operator alone: gelu for aten.gelu.default."""
        parts = self.origin.split(".")
        return parts[1] if len(parts) > 1 else self.origin


def group_name(index: int) -> str:
    """The id of a fusion group in a model."""
    return f"g{index + 1}"


def boxes(program: Program) -> list[Box]:
    """All boxes, in execution order."""
    found: list[Box] = []
    number = 0
    scalars = _from_scalars(program)
    for step in program.partition.steps:
        if isinstance(step, Group):
            nodes = [node for node in step.nodes if scalars.keys().isdisjoint(node.outputs)]
            for site in _by_site(nodes):
                found.append(_box(program, scalars, site, number, len(found)))
            number += 1
        elif step.op not in ("view", "index"):
            group = _writer_of(program, step)
            found.append(_box(program, scalars, [step], group, len(found)))
    return [box for box in found if box.nodes[-1].op != "const"]


def _from_scalars(program: Program) -> dict[int, tuple[int, ...]]:
    """Values that depend on no tensor -> the scalars they come from; literals come from none.

    They are shared by operators that spell the same number, so they belong to none of these.
    """
    found: dict[int, tuple[int, ...]] = {i: (i,) for i in program.graph.scalar_inputs}
    kept = {value for group in program.partition.groups for value in group.outputs}
    for node in program.graph.nodes:
        if node.is_pointwise and kept.isdisjoint(node.outputs) and found.keys() >= {*node.inputs}:
            roots = tuple(dict.fromkeys(root for i in node.inputs for root in found[i]))
            found.update(dict.fromkeys(node.outputs, roots))
    return found


def _writer_of(program: Program, cat: Node) -> int | None:
    """The one group that writes all pieces of a cat, which then is part of it."""
    if cat.op != "cat":
        return None
    owners = {
        i
        for i, call in enumerate(program.kernels)
        if set(call.group.outputs).intersection(cat.inputs)
    }
    return owners.pop() if len(owners) == 1 else None


def _by_site(nodes: Sequence[Node]) -> Iterator[list[Node]]:
    """Nodes of one call of a torch operator, in the order of their last node."""
    sites: dict[object, list[Node]] = {}
    for node in nodes:
        key = node.site if node.site >= 0 else ("node", node.output)
        sites.setdefault(key, []).append(node)
    order = {id(node): i for i, node in enumerate(nodes)}
    yield from sorted(sites.values(), key=lambda each: order[id(each[-1])])


def _box(
    program: Program,
    scalars: Mapping[int, tuple[int, ...]],
    nodes: Sequence[Node],
    group: int | None,
    number: int,
) -> Box:
    makes = frozenset(out for node in nodes for out in node.outputs)
    outside = [i for node in nodes for i in node.inputs if i not in makes]
    reads = dict.fromkeys(
        program.graph.viewed(root) for i in outside for root in scalars.get(i, (i,))
    )
    value = nodes[-1].outputs[0] if nodes[-1].outputs else -1
    return Box(f"n{number}", tuple(nodes), group, value, makes, tuple(reads))
