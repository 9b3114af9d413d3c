"""What would save a seam: each candidate change is made to the graph, which is divided again."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch.utils import _pytree as pytree

from fusekit.errors import FusekitError
from fusekit.frontends.calls import view_geometry
from fusekit.frontends.dtypes import FROM_TORCH
from fusekit.frontends.fx import capture
from fusekit.fusion import Group, Partition, Seam, move, partition, simplify
from fusekit.fusion.verdicts import ends_of
from fusekit.ir import Graph
from fusekit.runtime.changes import Case, candidates
from fusekit.runtime.devices import kind_of
from fusekit.runtime.leaf_names import leaf_names
from fusekit.runtime.program import Program
from fusekit.runtime.traffic import bytes_of

__all__ = ["Outcome", "Remedy", "argument_limit", "remedies"]

_MOST_NODES = 1500
"""Of larger graphs, no changes are tried: each takes as long as dividing the graph."""

_MOST_SEAMS = 24
"""For more seams than these, none is looked for."""


@dataclasses.dataclass(frozen=True)
class Remedy:
    """A change that was made, and what dividing the changed graph gave.

    Attributes:
        text: what to change.
        launches: kernels and operators left to PyTorch, before and after, each for itself.
        saved: bytes that no longer go through memory.
    """

    text: str
    launches: tuple[int, int]
    saved: int


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What was found for one seam.

    Attributes:
        remedy: the smallest change that saves it; None if none of those tried does.
        tried: how many were; None if none was looked for.
    """

    remedy: Remedy | None
    tried: int | None


_Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


def remedies(program: Program, max_arguments: int, call: _Call | None = None) -> list[Outcome]:
    """One for each seam of a program, in order.

    `call` is the function and the arguments that were captured; with it, other arguments are tried
    as well.
    """
    seams = program.partition.seams
    limit = argument_limit(program, max_arguments)
    if len(program.capture.graph.nodes) > _MOST_NODES:
        return [Outcome(None, None)] * len(seams)
    base = simplify(program.capture.graph)
    most = kind_of(program.capture.device.type).max_tensors(program.graph)
    before = _State(program.partition)
    others = [
        (text, _State(partition(_moved(graph), limit)))
        for text, graph in (_other_arguments(*call) if call and seams else ())
    ]
    found = [
        _outcome(Case(program, seam, base, limit, most), before, others)
        for seam in seams[:_MOST_SEAMS]
    ]
    return found + [Outcome(None, None)] * (len(seams) - len(found))


def argument_limit(program: Program, max_arguments: int) -> int:
    """The most tensors that a kernel of a program may take on its device."""
    kind = kind_of(program.capture.device.type)
    return min(max_arguments, kind.max_tensors(program.graph))


def _outcome(case: Case, before: _State, others: Iterable[tuple[str, _State]]) -> Outcome:
    tried = 0
    sites = _sites(before.partition, case.seam)
    for text, after in _tried(case):
        tried += 1
        if after is not None and sites not in after.crossings and before.is_worse_than(after):
            return Outcome(_remedy(text, before, after), tried)
    for text, after in others:
        tried += 1
        mine = case.seam.reason
        fewer = after.count(mine) < before.count(mine)
        if fewer and before.is_worse_than(after):
            return Outcome(_remedy(text, before, after), tried)
    return Outcome(None, tried)


def _tried(case: Case) -> Iterator[tuple[str, _State | None]]:
    for change in candidates(case):
        try:
            yield change.text, _State(partition(_moved(change.graph), change.limit))
        except (FusekitError, RuntimeError):  # a view that the changed memory does not allow
            yield change.text, None


def _remedy(text: str, before: _State, after: _State) -> Remedy:
    return Remedy(text, (before.launches, after.launches), before.nbytes - after.nbytes)


class _State:
    """A divided graph, counted."""

    def __init__(self, divided: Partition) -> None:
        self.partition = divided
        graph = divided.graph
        base = _bases(graph)
        self.launches = 0
        self.nbytes = 0
        for step in divided.steps:
            if isinstance(step, Group):
                self.launches += bool(math.prod(step.shape))
                held = [i for i in step.inputs if base[i] not in _indices(graph)]
                self.nbytes += sum(bytes_of(graph.values[i]) for i in (*held, *step.outputs))
            elif step.op == "call" and not step.is_allocation:
                self.launches += 1
                touched = (*step.inputs, *step.outputs)
                self.nbytes += sum(bytes_of(graph.values[i]) for i in touched)
        self.crossings = {_sites(divided, seam) for seam in divided.seams}

    def count(self, reason: object) -> int:
        return sum(seam.reason is reason for seam in self.partition.seams)

    def is_worse_than(self, other: _State) -> bool:
        """True if the other does with less of one and not more of anything."""
        mine, theirs = (self.launches, self.nbytes), (other.launches, other.nbytes)
        return mine != theirs and all(a >= b for a, b in zip(mine, theirs, strict=True))


def _indices(graph: Graph) -> set[int]:
    return {node.output for node in graph.nodes if node.op == "index"}


def _bases(graph: Graph) -> dict[int, int]:
    base = {i: i for i in graph.inputs}
    for node in graph.nodes:
        for out in node.outputs:
            base[out] = base[node.inputs[0]] if node.op == "view" else out
    return base


def _sites(divided: Partition, seam: Seam) -> tuple[int, int]:
    """The two operators that a seam lies between."""
    maker, reader = ends_of(divided.graph, seam, divided.steps[seam.consumer])
    return maker.site, reader.site


def _moved(graph: Graph) -> Graph:
    return simplify(move(graph, view_geometry))


# other arguments


def _other_arguments(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Iterator[tuple[str, Graph]]:
    """The function captured with one argument in another layout, dtype or kind of storage."""
    leaves, spec = pytree.tree_flatten((args, kwargs))
    names = leaf_names(function, args, kwargs)
    for i, leaf in enumerate(leaves):
        if not isinstance(leaf, torch.Tensor):
            continue
        for text, twin in _twins(leaf):
            changed = [twin if j == i else other for j, other in enumerate(leaves)]
            given, named = pytree.tree_unflatten(changed, spec)
            try:
                found = capture(function, given, named, name="counterfactual")
            except (FusekitError, RuntimeError):
                continue
            yield f"pass {names[i]}{text}", simplify(found.graph)


def _twins(tensor: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensor as it might be passed instead; only what it looks like counts."""
    shape, device = tensor.shape, tensor.device
    if tensor.layout is not torch.strided:
        yield ".to_dense()", torch.empty(shape, dtype=tensor.dtype, device=device)
    elif not tensor.is_contiguous():
        yield ".contiguous()", torch.empty(shape, dtype=tensor.dtype, device=device)
    if tensor.dtype not in FROM_TORCH and tensor.dtype.is_floating_point:
        yield ".to(torch.float16)", torch.empty(shape, dtype=torch.float16, device=device)
