"""Is a fused result as good as eager's? Both are compared with the same model in float64."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch

from fusekit.bench.models import Built

Tensors = dict[str, torch.Tensor]

FACTOR = 2
"""Two orders of the same roundings: each has errors of this size, so neither is the better one."""

FLOOR = 8
"""Units in the last place of a tensor's largest value: where eager is right by luck, a handful of
roundings (a layer's own few, in either order) may still be lost."""

CANCELLED = 2.0**-7
"""A gradient that cancels to less than this share of the largest one of its model (a key's bias,
which softmax cannot see) is judged as if it were that large: what is left of it is rounding."""


@dataclasses.dataclass
class Run:
    """One model under one way of running it.

    AdamW divides by |g| + 1 here: the usual 1e-8 turns the rounding of a gradient that is zero
    into a whole step.
    """

    module: torch.nn.Module
    forward: Callable[..., torch.Tensor]
    loss: Callable[[torch.Tensor], torch.Tensor]

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.AdamW(self.module.parameters(), lr=0.1, eps=1.0)

    def evaluate(self, inputs: Mapping[str, Any]) -> Tensors:
        self.module.eval()
        with torch.no_grad():
            return {"result": self.forward(**inputs)}

    def step(self, inputs: Mapping[str, Any]) -> Tensors:
        self.module.train()
        self.optimizer.zero_grad()
        loss = self.loss(self.forward(**inputs))
        loss.backward()
        gradients = {
            f"gradient of {name}": p.grad.clone()
            for name, p in self.module.named_parameters()
            if p.grad is not None
        }
        self.optimizer.step()
        return {"loss": loss.detach(), **gradients}

    def state(self) -> Tensors:
        return {
            name: tensor.detach().clone()
            for name, tensor in self.module.state_dict().items()
            if tensor.is_floating_point()
        }


def runs(built: Built, dtype: torch.dtype, compiler: Callable[..., Any]) -> tuple[Run, Run, Run]:
    """Fused, eager and exact, from the same weights (those of `dtype`)."""
    module = built.module.to(dtype)
    exact, eager, fused = copy.deepcopy(module).double(), copy.deepcopy(module), module
    return (
        Run(fused, compiler(fused), built.loss),
        Run(eager, eager, built.loss),
        Run(exact, exact, built.loss),
    )


def cast(inputs: Mapping[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    return {n: x.to(dtype) if x.is_floating_point() else x for n, x in inputs.items()}


def assert_as_good(fused: Tensors, eager: Tensors, exact: Tensors) -> None:
    """Every tensor's largest error is at most FACTOR times eager's and FLOOR ulp."""
    assert fused.keys() == eager.keys() == exact.keys()
    gradients = [tensor for name, tensor in exact.items() if name.startswith("gradient")]
    whole = max((float(tensor.abs().max()) for tensor in gradients), default=0.0)
    for name, right in exact.items():
        ours, theirs = fused[name], eager[name]
        assert (ours.dtype, ours.shape, ours.stride()) == (
            theirs.dtype,
            theirs.shape,
            theirs.stride(),
        ), name
        scale = max(float(right.abs().max()), CANCELLED * whole)
        floor = FLOOR * torch.finfo(ours.dtype).eps * scale
        error, eagers = (float((x.double() - right).abs().max()) for x in (ours, theirs))
        told = f"{name}: off by {error:.2e}, eager by {eagers:.2e}, at a scale of {scale:.2e}"
        assert error <= FACTOR * eagers + floor, told
