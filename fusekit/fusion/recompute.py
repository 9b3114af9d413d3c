"""Values that are cheaper to compute again than to store and to load.

A value goes through memory when the groups that make and read it could not join: a cycle, another
iteration space, a view or an opaque operator between them. If nobody else needs it in memory (it is
no result, and no call, view or cat reads it), each reading group may compute it anew from what is
in memory anyway: the *cone* of pointwise nodes back to inputs, results of calls and stored values.

The cost is bytes moved, counted over distinct elements. Not to store a value v saves

    bytes(v) * (1 + number of groups that load v)
    + bytes of what its maker loads for nothing else
    - bytes of what the cone reads, in each reading group that does not load it already

and takes additions (`Op.flops` for each element of the iteration space) for the nodes that a
reading group does not compute already, less those that the maker need not compute any more. It
is done if bytes are saved, and each is paid for with at most `_FLOPS_PER_BYTE` additions. The
values of one group that do not pay by themselves are tried together: they may share what they
read. Every step makes the sum of all bytes smaller, so the program never moves more than before.

No draw is repeated (ten rounds of Philox cost more than a load), and nothing that traps. A cone
reads what its maker reads, so the new edges of the graph of groups follow paths that it has, and it
stays acyclic.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from fusekit.fusion.kernels import Kernels

__all__ = ["recompute"]

_FLOPS_PER_BYTE = 2
"""Additions that a byte may cost.

While memory hands a byte to a core of a CPU (10 GB/s each) it adds 4.8 float32 numbers (vectors of
8, two a cycle, 3 GHz); an H200 adds 7 (3.35e13 a second, and 4.8e12 bytes). Less than half of the
smaller figure, because the kernels have work of their own, and float64 and routines go slower.
"""

_MOST_NODES = 64
"""Larger cones are not considered, so that time stays linear in the program. At that size the
limit on additions forbids nearly all of them anyway."""


def recompute(kernels: Kernels, max_arguments: int) -> None:
    """Change `kernels` to store less, where computing anew moves fewer bytes.

    `max_arguments` is the most tensors that a group may take. What a plan keeps apart, or
    together, stays that.
    """
    candidates: dict[int, list[int]] = {}
    for value in sorted(kernels.stored, key=kernels.flow.makers.__getitem__, reverse=True):
        name = kernels.stored[value]
        if _is_private(kernels, value) and not _improve(kernels, name, {value}, max_arguments):
            candidates.setdefault(name, []).append(value)
    for name, values in candidates.items():
        if len(values) > 1:
            _improve(kernels, name, set(values), max_arguments)


def _is_private(kernels: Kernels, value: int) -> bool:
    """True if only groups read it."""
    flow = kernels.flow
    if kernels.rules and kernels.rules.keeps(value):
        return False
    readers = flow.readers.get(value, ())
    return value not in flow.kept and all(flow.nodes[r].is_pointwise for r in readers)


def _improve(kernels: Kernels, name: int, values: set[int], max_arguments: int) -> bool:
    """Have the readers of `values`, all stored by one group, compute them if that pays."""
    wanted: dict[int, set[int]] = {}
    for value in values:
        for reader in kernels.loaders.get(value, ()):
            wanted.setdefault(reader, set()).add(value)
    saved = sum(kernels.flow.nbytes(v) * (1 + len(kernels.loaders.get(v, ()))) for v in values)
    flops = 0
    additions: list[tuple[int, set[int], set[int]]] = []
    for reader, read in wanted.items():
        nodes, loads = kernels.cone(read, values, most=_MOST_NODES)
        if not nodes or not _is_repeatable(kernels, nodes) or _is_forbidden(kernels, reader, nodes):
            return False
        group = kernels.groups[reader]
        loads -= group.loads
        if group.n_tensors - len(read) + len(loads) > max_arguments:
            return False
        saved -= _bytes(kernels, loads)
        flops += _flops(kernels, reader, nodes - group.nodes)
        additions.append((reader, nodes, loads))
    idle, unread = kernels.no_longer_needed(name, values)
    saved += _freed(kernels, name, unread)
    flops -= _flops(kernels, name, idle)
    if saved <= 0 or flops > _FLOPS_PER_BYTE * saved:
        return False
    for reader, nodes, loads in additions:
        kernels.unload(reader, wanted[reader])
        kernels.add(reader, nodes, loads)
    kernels.unstore(name, values)
    return True


def _is_repeatable(kernels: Kernels, nodes: Iterable[int]) -> bool:
    rows = (kernels.flow.nodes[i].row for i in nodes)
    return not any(row.traps or row.name == "philox" for row in rows)


def _is_forbidden(kernels: Kernels, name: int, nodes: Iterable[int]) -> bool:
    """True if a plan does not let a group compute these nodes as well."""
    rules = kernels.rules
    if rules is None:
        return False
    sites = rules.sites_of(kernels.groups[name].nodes) | rules.sites_of(nodes)
    return rules.forbid(sites, sites)


def _flops(kernels: Kernels, name: int, nodes: Iterable[int]) -> int:
    """Additions that these nodes take in a group, as if nothing were hoisted out of its loops."""
    n_elements = 1
    for extent in kernels.groups[name].shape:
        n_elements *= extent
    return n_elements * sum(kernels.flow.nodes[i].row.flops for i in nodes)


def _bytes(kernels: Kernels, values: Iterable[int]) -> int:
    return sum(map(kernels.flow.nbytes, values))


def _freed(kernels: Kernels, name: int, values: Collection[int]) -> int:
    """Bytes that a group reads no more when it loads these values no more, or less than that.

    Views may lie on each other: of one tensor only the largest counts, and only if no other view of
    it is loaded.
    """
    base = kernels.flow.base
    still = {base[value] for value in kernels.groups[name].loads - set(values)}
    largest: dict[int, int] = {}
    for value in values:
        if base[value] not in still:
            nbytes = kernels.flow.nbytes(value)
            largest[base[value]] = max(largest.get(base[value], 0), nbytes)
    return sum(largest.values())
