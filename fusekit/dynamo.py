"""The torch.compile backend: `torch.compile(model, backend="fusekit")`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fusekit.api import fuse

if TYPE_CHECKING:
    import torch

__all__ = ["backend"]


def backend(module: torch.fx.GraphModule, example_inputs: Sequence[Any]) -> Callable[..., Any]:  # noqa: ARG001  the protocol of backends
    """Fuse what torch.compile captured; found through the `torch_dynamo_backends` entry points."""
    return fuse(module.forward, name="compiled")
