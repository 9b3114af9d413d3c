"""One model under one backend of torch.compile: its forward, and its training step."""

from __future__ import annotations

import copy
from typing import Any

import torch

from fusekit.bench.models.sizes import Built

__all__ = ["Contender", "warm_up"]


class Contender:
    """A copy of a model that one backend runs.

    The loss belongs to the compiled part. AdamW's own step is PyTorch's for every contender.
    """

    def __init__(self, built: Built, inputs: dict[str, Any], backend: str | None) -> None:
        """Copy the model; None stands for eager PyTorch."""
        self.inputs = inputs
        self.module = copy.deepcopy(built.module)
        self.optimizer = torch.optim.AdamW(self.module.parameters(), lr=1e-3)
        self._forward: Any = self.module
        self._loss: Any = _Scored(self.module, built)
        if backend is not None:
            self._forward = torch.compile(self._forward, backend=backend)
            self._loss = torch.compile(self._loss, backend=backend)

    def forward(self) -> torch.Tensor:
        """The result in evaluation, without gradients."""
        self.module.eval()
        with torch.no_grad():
            made: torch.Tensor = self._forward(**self.inputs)
        return made

    def step(self) -> torch.Tensor:
        """Loss, backward, AdamW; the result is the loss."""
        self.module.train()
        self.optimizer.zero_grad()
        loss: torch.Tensor = self._loss(**self.inputs)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.detach()


class _Scored(torch.nn.Module):
    """A model followed by its loss."""

    def __init__(self, module: torch.nn.Module, built: Built) -> None:
        super().__init__()
        self.module = module
        self.built = built

    def forward(self, **inputs: Any) -> torch.Tensor:
        return self.built.loss(self.module(**inputs))


def warm_up(backend: str) -> None:
    """Compile something small: what a backend imports and tries out is not the model's time."""
    x = torch.ones(8, requires_grad=True)
    torch.compile(lambda x: (x * 2).sum(), backend=backend)(x).backward()
    torch._dynamo.reset()  # noqa: SLF001  public in its docs
