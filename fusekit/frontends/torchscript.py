"""Torch's own graphs, as functions that can be captured: fx.GraphModule, TorchScript groups."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["TorchGroup"]


class TorchGroup:
    """A callable group with a text that says what it computes.

    Attributes:
        name: for displays.
        content: equal for groups that differ in names only.
        n_inputs: how many values it takes.
    """

    def __init__(self, group: Any) -> None:
        """Read the graph."""
        if not isinstance(group, torch.fx.GraphModule):
            raise NotImplementedError
        self.name = "graph_module"
        self.n_inputs = sum(node.op == "placeholder" for node in group.graph.nodes)
        names = {node.name: f"%{i}" for i, node in enumerate(group.graph.nodes)}
        self.content = "\n".join(
            f"{node.op} {node.target if node.op != 'placeholder' else ''} {torch.fx.map_arg((node.args, node.kwargs), lambda n: names[n.name])}"
            for node in group.graph.nodes
        )
        self._function = group

    def __call__(self, *values: Any) -> Any:
        """Run it in PyTorch."""
        return self._function(*values)
