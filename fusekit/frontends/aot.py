"""Graphs that AOTAutograd makes: functional, over aten operators, with the lines of their user."""

from __future__ import annotations

import functools
from typing import Any

import torch

from fusekit.frontends.free import Free
from fusekit.frontends.fx import Capture, capture
from fusekit.frontends.lines import line_of_trace, stated
from fusekit.ir import Loc
from fusekit.specs import Decline, Reason

__all__ = ["capture_aot", "obstacle", "split"]

_BY_VALUE = frozenset({torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape})
"""Of operators whose result's shape, or Python value, only the data decides."""


class _Run(torch.fx.Interpreter):
    """Runs a graph node by node, each under the line that it came from."""

    def run_node(self, n: torch.fx.Node) -> Any:
        with stated(_line(n)):
            return super().run_node(n)


def capture_aot(module: torch.fx.GraphModule, args: tuple[Any, ...], name: str) -> Capture:
    """What the graph does to such arguments.

    Raises:
        FusionDeclined: it holds something that cannot be captured.
    """
    frees = tuple(
        Free(node.target, functools.partial(_attribute, module, node.target), value)
        for node in module.graph.nodes
        if node.op == "get_attr"
        for value in (_attribute(module, node.target),)
        if isinstance(value, torch.Tensor)
    )
    return capture(_Run(module).run, args, {}, name=name, frees=frees, functional=True)


def obstacle(node: torch.fx.Node) -> Decline | None:
    """Why nothing of a graph that holds this node could be captured; None if it can."""
    if isinstance(node.target, torch._ops.HigherOrderOperator):  # noqa: SLF001  no public name
        detail = "an operator over functions"
        return Decline(Reason.OPAQUE_OP, detail, str(node.target), _line(node))
    if _needs_values(node):
        detail = "what follows is a graph of its own"
        return Decline(Reason.DATA_DEPENDENT, detail, str(node.target), _line(node))
    return None


def _needs_values(node: torch.fx.Node) -> bool:
    """True if a size, or a number, is not known before the operator has run.

    An index by integers bears the tag of an index by a mask.
    """
    if not _BY_VALUE.intersection(getattr(node.target, "tags", ())):
        return False
    from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols  # noqa: PLC0415  slow

    return bool(free_unbacked_symbols(node.meta["val"]))


def split(module: torch.fx.GraphModule) -> torch.fx.GraphModule | None:
    """The graph as one of parts, each one obstacle or free of them; None if there is none."""
    number, after_obstacle, part = 0, False, {}
    for node in module.graph.nodes:
        if node.op not in ("placeholder", "get_attr", "output"):
            is_obstacle = obstacle(node) is not None
            number += is_obstacle or after_obstacle
            after_obstacle = is_obstacle
            part[node] = number
    if not any(map(obstacle, part)):
        return None
    from torch.fx.passes.split_module import split_module  # noqa: PLC0415  likewise

    return split_module(module, module, part.__getitem__, keep_original_order=True)


def _line(node: torch.fx.Node) -> Loc | None:
    trace = node.meta.get("stack_trace")
    return line_of_trace(trace) if trace else None


def _attribute(module: torch.fx.GraphModule, path: str) -> Any:
    return functools.reduce(getattr, path.split("."), module)
