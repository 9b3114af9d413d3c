"""The torch.compile backend: `torch.compile(model, backend="fusekit")`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fusekit.api import fuse

if TYPE_CHECKING:
    import torch

__all__ = ["backend"]


def backend(module: torch.fx.GraphModule, example_inputs: Sequence[Any]) -> Callable[..., Any]:  # noqa: ARG001  the protocol of backends
    """Fuse what torch.compile captured; found through the `torch_dynamo_backends` entry points.

    Tensors that the graph holds as attributes, as that of an optimizer's step does, become
    arguments: those can be written.
    """
    held = _held(module)
    if not held:
        return fuse(module.forward, name="compiled")
    fused = fuse(_lifted(module, list(held)).forward, name="compiled")
    tensors = tuple(held.values())  # torch.compile guards that they stay the same

    def run(*args: Any) -> Any:
        return fused(*tensors, *args)

    return run


def _held(module: torch.fx.GraphModule) -> dict[str, torch.Tensor]:
    """The tensors among the attributes that the graph reads, each name once."""
    names = dict.fromkeys(str(n.target) for n in module.graph.nodes if n.op == "get_attr")
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {name: tensors[name] for name in names if name in tensors}


def _lifted(module: torch.fx.GraphModule, names: Sequence[str]) -> torch.fx.GraphModule:
    """The module with these attributes as its first arguments."""
    lifted = copy.copy(module)
    graph = copy.deepcopy(module.graph)
    first = next(iter(graph.nodes))
    with graph.inserting_before(first):
        given = {name: graph.placeholder(f"held{i}") for i, name in enumerate(names)}
    for node in list(graph.nodes):
        if node.op == "get_attr" and node.target in given:
            node.replace_all_uses_with(given[str(node.target)])
            graph.erase_node(node)
    lifted.graph = graph
    return lifted
