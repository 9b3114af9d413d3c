"""Calls of PyTorch's operators run again in float64, for a reference of what is between kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from fusekit.frontends.calls import call_arguments, map_leaves, resolve, tensors_in
from fusekit.frontends.seeds import is_seed
from fusekit.ir import Graph, Node

__all__ = ["rerun"]

Run = Callable[[Sequence[torch.Tensor]], dict[int, torch.Tensor]]


def rerun(graph: Graph, node: Node) -> Run | None:
    """What runs a call on other numbers, and gives its results by value; None where none can.

    It takes all elements of each of the node's inputs, row by row. Not run again is what draws,
    what only takes memory, what knows types that the IR does not, and what makes integers that
    anything reads (the indices of `sort(x).values` are read by nothing).
    """
    func = resolve(str(node.attr("target")))
    read = [i for i in node.outputs if graph.users[i] or i in graph.outputs]
    values = [graph.values[i] for i in (*node.inputs, *read)]
    is_known = all(value.dtype is not None and value.shape is not None for value in values)
    makes_floats = is_known and all(graph.dtype(i).is_float for i in read)
    draws = torch.Tag.nondeterministic_seeded in func.tags or is_seed(node)
    if not makes_floats or draws or node.is_allocation or not node.inputs:
        return None
    return lambda parts: _run(graph, node, func, parts)


def _run(
    graph: Graph, node: Node, func: Any, parts: Sequence[torch.Tensor]
) -> dict[int, torch.Tensor]:
    given = {}
    for value, part in zip(node.inputs, parts, strict=True):  # a part may hold one for all
        whole = graph.values[value]
        given[value] = part.expand(whole.numel).reshape(whole.shape or ())
    arguments = call_arguments(node.attr("args"), node.attr("kwargs"), given.__getitem__)
    args, kwargs = map_leaves(_widened, arguments)
    made = list(tensors_in(func(*args, **kwargs)))
    return dict(zip(node.outputs, made, strict=True))


def _widened(leaf: Any) -> Any:
    return torch.float64 if isinstance(leaf, torch.dtype) and leaf.is_floating_point else leaf
