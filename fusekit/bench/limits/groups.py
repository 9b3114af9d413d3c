"""The kernels of one call, each alone: what it takes to run it without the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from fusekit.bench.measuring.contenders import copied
from fusekit.frontends.dtypes import TO_TORCH
from fusekit.ir import DType
from fusekit.runtime.kernels import kernel_for
from fusekit.runtime.plan import Plan
from fusekit.runtime.plan_launches import LaunchWriter
from fusekit.runtime.program import KernelCall
from fusekit.runtime.recipe import Sized, function_of

__all__ = ["calls_alone"]


def calls_alone(plan: Plan, leaves: Sequence[Any]) -> list[Callable[[], object]]:
    """A call without arguments for each kernel of the plan that computes anything.

    Arguments are copied. What other kernels or PyTorch would have computed is made up: numbers
    from 1/2 to 3/2, which no function takes an unusual path for.
    """
    live = [call for call in plan.program.kernels if call.binding.numel]
    return [_Alone(plan, call, leaves).call() for call in live]


class _Alone(LaunchWriter):
    """Writes a function that launches one kernel, with its memory at hand."""

    def __init__(self, plan: Plan, call: KernelCall, leaves: Sequence[Any]) -> None:
        # the plan may run many groups by one kernel, so this group's own is asked for
        own = {call.group.index: kernel_for(plan.engine, call.spec, call.binding.args)}
        super().__init__(plan.program, plan.engine, own, _unexpected)
        self.kernel = call
        self.leaves = leaves
        self.names |= {f"a{i}": leaf for i, leaf in enumerate(leaves)} | {"a": leaves}

    def call(self) -> Callable[[], object]:
        """The function."""
        kernel = self.kernel
        for place in (*kernel.reads, *kernel.writes):
            if place.base not in self.tensor:
                self.names[f"t{place.base}"] = self._memory(place.base)
                self.tensor[place.base] = f"t{place.base}"
        self._write_call_of(kernel)
        at = Sized(self.program, {kernel.group.index: kernel})
        names = self.names | {name: find(at) for name, find in self.sized.items()}
        return function_of("def run():\n" + "".join(f"    {line}\n" for line in self.lines), names)

    def _memory(self, value_id: int) -> torch.Tensor:
        value = self.graph.values[value_id]
        assert value.shape is not None
        given = self._given(value_id)
        if given is not None and given.shape == value.shape:
            return copied(given.detach(), self.device)
        dtype = self.graph.dtype(value_id)
        made = torch.empty_strided(
            value.shape, value.dense_strides, dtype=TO_TORCH[dtype], device=self.device
        )
        return made.copy_(_made_up(made, dtype))

    def _given(self, value_id: int) -> torch.Tensor | None:
        """The argument that a value is, if it is one."""
        inputs = dict(zip(self.graph.tensor_inputs, self.program.capture.sources, strict=True))
        source = inputs.get(value_id)
        if source is None or source.leaf is None:
            return None
        leaf = self.leaves[source.leaf]
        return leaf if isinstance(leaf, torch.Tensor) else None


def _made_up(like: torch.Tensor, dtype: DType) -> torch.Tensor:
    steps = torch.arange(like.numel(), device=like.device).reshape(like.shape) % 64
    if dtype is DType.BOOL:
        return steps % 2 == 0
    return steps / 64 + 0.5 if like.is_floating_point() else steps % 3 + 1


def _unexpected(_leaves: Sequence[Any], _decline: Any) -> None:
    """A kernel that traps on made up numbers still took its time."""
