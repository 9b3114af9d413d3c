"""The reference engine's launcher: a group's graph, node by node, in torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from fusekit.codegen import emit
from fusekit.codegen.dialects.reference import ReferenceDialect
from fusekit.specs import KernelSpec

__all__ = ["reference_launcher"]


def reference_launcher(spec: KernelSpec, shape: tuple[int, ...]) -> Callable[..., int]:
    """A function with a kernel's arguments, but for tensors in place of addresses."""
    n_scalars = len(spec.graph.scalar_inputs)
    n_inputs = len(spec.tensors_in)

    def run(_layout: object, *arguments: Any) -> int:
        scalars, tensors = arguments[:n_scalars], arguments[n_scalars:]
        dialect = ReferenceDialect(spec, tensors[:n_inputs], scalars)
        try:
            emit(spec, dialect)
        except (ZeroDivisionError, RuntimeError):
            return 1
        for target, made in zip(tensors[n_inputs:], dialect.outputs, strict=True):
            with torch.no_grad():
                target.copy_(made.expand(shape))
        return 0

    return run
