"""Graphs that AOTAutograd makes: functional, over aten operators, with the lines of their user."""

from __future__ import annotations

import functools
from typing import Any

import torch

from fusekit.frontends.free import Free
from fusekit.frontends.fx import Capture, capture
from fusekit.frontends.lines import line_of_trace, stated

__all__ = ["capture_aot"]


class _Run(torch.fx.Interpreter):
    """Runs a graph node by node, each under the line that it came from."""

    def run_node(self, n: torch.fx.Node) -> Any:
        trace = n.meta.get("stack_trace")
        with stated(line_of_trace(trace) if trace else None):
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


def _attribute(module: torch.fx.GraphModule, path: str) -> Any:
    return functools.reduce(getattr, path.split("."), module)
