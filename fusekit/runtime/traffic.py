"""What moves through memory: operator by operator as eager PyTorch runs it, and fused."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

from fusekit.frontends.seeds import is_seed
from fusekit.ir import Graph, Node, Value
from fusekit.runtime.program import Program

__all__ = ["Operator", "Traffic", "bytes_of", "group_traffic", "operators", "total_traffic"]


@dataclasses.dataclass(frozen=True)
class Operator:
    """One operator that eager PyTorch launches.

    Attributes:
        site: its number in the trace.
        nodes: what it was captured as.
        reads: the values that it loads, each once.
        writes: the values that it stores.
    """

    site: int
    nodes: tuple[Node, ...]
    reads: tuple[int, ...]
    writes: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes of distinct elements that cross memory, and launches.

    Attributes:
        fused: bytes that kernels, and the operators left to PyTorch, read and write.
        unfused: bytes if every operator reads its operands and writes its result.
        launches: kernels and operators left to PyTorch.
        unfused_launches: operators.
        uncounted: tensors of dtypes that the IR has no size for (complex, sparse, quantised),
            which `fused` and `unfused` both leave out.
    """

    fused: int
    unfused: int
    launches: int
    unfused_launches: int
    uncounted: int = 0

    @property
    def share(self) -> float:
        """The share of bytes that fusion saves, from 0 to 1; negative if it moves more."""
        return 1 - self.fused / self.unfused if self.unfused else 0.0


def operators(graph: Graph) -> list[Operator]:
    """What eager PyTorch would launch for a captured graph: all but views."""
    sites: dict[int, list[Node]] = {}
    for node in graph.nodes:
        if _is_work(node):
            sites.setdefault(node.site, []).append(node)
    made_up = {out for node in graph.nodes if _is_made_up(node) for out in node.outputs}
    found = []
    for site, nodes in sites.items():
        inside = {out for node in nodes for out in node.outputs} | made_up
        reads = dict.fromkeys(i for node in nodes for i in node.inputs if i not in inside)
        writes = [
            out
            for node in nodes
            for out in node.outputs
            if out in graph.outputs or any(user.site != site for user in graph.users[out])
        ]
        found.append(Operator(site, tuple(nodes), tuple(reads), tuple(writes)))
    return found


def bytes_of(value: Value) -> int:
    """Bytes of its distinct elements: what is broadcast by strides counts once."""
    if value.scalar or value.dtype is None or value.shape is None:
        return 0
    pairs = zip(value.shape, value.dense_strides, strict=True)
    distinct = math.prod(extent for extent, stride in pairs if stride or not extent)
    return distinct * value.dtype.itemsize


def group_traffic(program: Program) -> list[Traffic]:
    """One for each kernel of a program, in order.

    An operator that several kernels compute parts of counts for the first; a cat, for the first
    that writes a piece of it.
    """
    owner = _owners(program)
    unfused = [0] * len(program.kernels)
    launches = [0] * len(program.kernels)
    graph = program.capture.graph
    for operator in operators(graph):
        number = owner.get(operator.site)
        if number is not None:
            unfused[number] += _moved(graph, operator)
            launches[number] += 1
    return [
        Traffic(_fused(call.traffic()), before, min(1, call.binding.numel), count)
        for call, before, count in zip(program.kernels, unfused, launches, strict=True)
    ]


def total_traffic(program: Program) -> Traffic:
    """That of a whole call: kernels and operators left to PyTorch, against operators alone."""
    traced, graph = program.capture.graph, program.graph
    calls = [node for node in graph.nodes if _is_work(node) and node.op == "call"]
    left = sum(bytes_of(graph.values[i]) for node in calls for i in (*node.inputs, *node.outputs))
    strange = {i for node in calls for i in (*node.inputs, *node.outputs) if _is_strange(graph, i)}
    kernels = sum(_fused(call.traffic()) for call in program.kernels)
    found = operators(traced)
    return Traffic(
        kernels + left,
        sum(_moved(traced, operator) for operator in found),
        sum(1 for call in program.kernels if call.binding.numel) + len(calls),
        len(found),
        len(strange),
    )


def _owners(program: Program) -> dict[int, int]:
    """Site -> the first kernel that computes it, or writes into its result."""
    owner: dict[int, int] = {}
    cats = [node for node in program.graph.nodes if node.op == "cat"]
    for number, call in enumerate(program.kernels):
        for node in call.group.nodes:
            owner.setdefault(node.site, number)
        for cat in cats:
            if set(cat.inputs) & set(call.group.outputs):
                owner.setdefault(cat.site, number)
    return owner


def _fused(moved: Iterable[tuple[object, int]]) -> int:
    return sum(nbytes for _, nbytes in moved)


def _moved(graph: Graph, operator: Operator) -> int:
    return sum(bytes_of(graph.values[i]) for i in (*operator.reads, *operator.writes))


def _is_strange(graph: Graph, value: int) -> bool:
    return graph.values[value].dtype is None


def _is_work(node: Node) -> bool:
    is_idle = node.op == "view" or _is_made_up(node)
    return not (is_idle or node.is_allocation)


def _is_made_up(node: Node) -> bool:
    """True for what eager PyTorch has no tensor for."""
    return node.op in ("const", "index") or is_seed(node)
