"""Torch's own graphs as fusion groups: fx.GraphModule, and TorchScript's graphs and nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from fusekit.errors import GraphError
from fusekit.frontends.torchscript import GroupReader, spread

__all__ = ["TorchGroup"]


class TorchGroup:
    """A callable group with a text that says what it computes.

    Attributes:
        name: for displays.
        content: equal for groups that differ in names, types and source lines only.
        n_inputs: how many values it takes.
        function: what to capture.
    """

    def __init__(self, group: Any) -> None:
        """Read a torch.fx.GraphModule, a torch._C.Graph or a prim::FusionGroup node.

        Raises:
            GraphError: it holds something that no fusion group may hold.
        """
        self.function: Callable[..., Any]
        if isinstance(group, torch.fx.GraphModule):
            self.name = "graph_module"
            self.function, self.content, self.n_inputs = _read_module(group)
        else:
            self.name = "fusion_group"
            reader = GroupReader(_subgraph(group))
            program = reader.program()
            self.function, self.content = (lambda *inputs: spread(program(*inputs))), reader.text()
            self.n_inputs = reader.n_inputs

    def __call__(self, *values: Any) -> Any:
        """Run it in PyTorch."""
        return self.function(*values)


def _subgraph(group: Any) -> Any:
    if not isinstance(group, torch._C.Node):  # noqa: SLF001  TorchScript has no public classes
        return group
    if group.kind() != "prim::FusionGroup" or not group.hasAttribute("Subgraph"):
        raise GraphError(f"a prim::FusionGroup node is needed, got {group.kind()}")
    return group.g("Subgraph")


def _read_module(module: torch.fx.GraphModule) -> tuple[torch.fx.GraphModule, str, int]:
    """A copy that later edits of the graph do not reach, its content, its number of inputs."""
    graph = torch.fx.Graph()
    output = graph.graph_copy(module.graph, {})
    graph.output(output)
    numbers = {node: f"%{i}" for i, node in enumerate(module.graph.nodes)}
    lines = []
    n_inputs = 0
    for node in module.graph.nodes:
        if node.op == "placeholder":
            n_inputs += 1
            if str(node.target).startswith("*"):
                raise GraphError("a fusion takes a fixed number of values, no * or ** placeholder")
        arguments = "" if node.op == "placeholder" else _spell((node.args, node.kwargs), numbers)
        lines.append(f"{numbers[node]} = {node.op} {_target(module, node)} {arguments}")
    return torch.fx.GraphModule(module, graph), "\n".join(("fx", *lines)), n_inputs


def _target(module: torch.fx.GraphModule, node: torch.fx.Node) -> str:
    """What a node does; objects by identity, because they live as long as the group does."""
    if node.op in ("placeholder", "output"):
        return ""
    if node.op == "call_method":
        return str(node.target)
    if node.op == "call_function":
        is_named = isinstance(node.target, torch._ops.OpOverload)  # noqa: SLF001
        return str(node.target) if is_named else f"#{id(node.target)}"
    found: Any = module
    for attribute in str(node.target).split("."):
        found = getattr(found, attribute)
    return f"#{id(found)}"


def _spell(value: Any, numbers: Mapping[torch.fx.Node, str]) -> str:
    """An argument's text, with nodes by number and what is no literal by identity."""
    if isinstance(value, torch.fx.Node):
        return numbers[value]
    if isinstance(value, list | tuple):
        return f"({', '.join(_spell(item, numbers) for item in value)})"
    if isinstance(value, dict):
        items = sorted((str(key), _spell(item, numbers)) for key, item in value.items())
        return f"{{{', '.join(f'{key!r}: {item}' for key, item in items)}}}"
    if isinstance(value, slice):
        return f"slice{_spell((value.start, value.stop, value.step), numbers)}"
    if value is None or value is ... or isinstance(value, _LITERALS):
        return repr(value)
    return f"#{id(value)}"


_LITERALS = (
    *(bool, int, float, complex, str),
    *(torch.dtype, torch.device, torch.layout, torch.memory_format),
)
