"""Nodes that belong to no group, because every group that reads them computes them anew.

They are the nodes that cost little and have a smaller shape than all their readers, and those
without a tensor among their operands at all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from fusekit.fusion.flow import Flow

__all__ = ["find_repeated", "find_uniform", "reads_through"]

_INLINE_FLOPS = 8
"""A node of a smaller shape is repeated for every element it is broadcast to up to this cost."""

_MOST_NOTED = 64
"""What a repeated node reads is noted if it is no more; for all, that would take the square."""


def find_repeated(flow: Flow, held: Collection[int] = ()) -> set[int]:
    """The nodes that are repeated in each group that reads them; none of those that are `held`."""
    uniform, drawn = find_uniform(flow), _find_drawn(flow)
    found: set[int] = set()
    cost: dict[int, int] = {}
    for i in reversed(range(len(flow.nodes))):
        node = flow.nodes[i]
        if not node.is_pointwise or node.output in flow.kept or i in held:
            continue
        readers = flow.readers.get(node.output, [])
        if not all(flow.nodes[r].is_pointwise for r in readers):
            continue
        # a trap has to be met even if the readers are empty; for draws see _find_drawn
        may_repeat = not node.row.traps and i not in drawn
        if i in uniform or (may_repeat and _is_cheap(flow, i, readers, found, cost)):
            found.add(i)
    return found


def reads_through(flow: Flow, repeated: set[int]) -> dict[int, tuple[int, ...]]:
    """For each node that is not repeated the values that it reads, by way of repeated ones too.

    Each value is there once, in order of first use.
    """
    found: dict[int, tuple[int, ...]] = {}
    short: dict[int, tuple[int, ...]] = {}
    for i, node in enumerate(flow.nodes):
        if i not in repeated:
            found[i] = tuple(_reads(flow, i, repeated, short))
            continue
        makers = [flow.makers.get(operand) for operand in node.inputs]
        if all(maker not in repeated or maker in short for maker in makers):
            reads = tuple(_reads(flow, i, repeated, short))
            if len(reads) <= _MOST_NOTED:
                short[i] = reads
    return found


def _reads(
    flow: Flow, i: int, repeated: set[int], short: Mapping[int, tuple[int, ...]]
) -> dict[int, None]:
    """What a node reads; `short` knows it for some of the repeated nodes."""
    reads: dict[int, None] = {}
    pending = list(reversed(flow.nodes[i].inputs))
    been: set[int] = set()
    while pending:
        operand = pending.pop()
        maker = flow.makers.get(operand)
        if maker is None or maker not in repeated:
            reads[operand] = None
        elif maker in short:
            reads.update(dict.fromkeys(short[maker]))
        elif maker not in been:
            been.add(maker)
            pending += reversed(flow.nodes[maker].inputs)
    return reads


def find_uniform(flow: Flow) -> set[int]:
    """Nodes without a tensor in memory among their operands, however far back."""
    found: set[int] = set()
    free = set(flow.scalars)
    free.update(node.output for node in flow.nodes if node.op == "index")
    for i, node in enumerate(flow.nodes):
        if node.is_pointwise and free.issuperset(node.inputs):
            found.add(i)
            free.add(node.output)
    return found


def _find_drawn(flow: Flow) -> set[int]:
    """Random draws, and what follows from them in their own shape: that is what to keep.

    To draw again for every element costs more than to read what was drawn.
    """
    found: set[int] = set()
    for i, node in enumerate(flow.nodes):
        makers = [flow.makers.get(operand) for operand in node.inputs]
        drawn = [m for m in makers if m in found and flow.shape(m) == flow.shape(i)]
        if node.is_pointwise and (node.op == "philox" or drawn):
            found.add(i)
    return found


def _is_cheap(
    flow: Flow, i: int, readers: Sequence[int], repeated: set[int], cost: dict[int, int]
) -> bool:
    """True if all readers have larger shapes and repeating the node costs little."""
    shape = flow.shape(i)
    if any(flow.shape(r) == shape for r in readers if r not in repeated):
        return False
    if any(r in repeated and flow.shape(r) == shape and r not in cost for r in readers):
        return False
    cost[i] = flow.nodes[i].row.flops + max((cost.get(r, 0) for r in readers), default=0)
    is_hoisted = not shape or shape[-1] == 1
    return is_hoisted or cost[i] <= _INLINE_FLOPS
