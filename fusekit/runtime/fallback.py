"""Groups in plain torch: the reference engine's launcher, and what a group graph falls back to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from fusekit.codegen import emit, emit_nodes
from fusekit.codegen.dialects.reference import ReferenceDialect
from fusekit.ir import Graph
from fusekit.specs import KernelSpec

__all__ = ["evaluate", "reference_launcher"]


def evaluate(graph: Graph, leaves: Sequence[Any]) -> list[torch.Tensor]:
    """The outputs of a group graph on any arguments, each in the shape its operands give it.

    Raises:
        RuntimeError: what PyTorch's own operators raise on these arguments.
    """
    dialect = ReferenceDialect(KernelSpec("", graph, (), (), (), (), ()), (), ())
    values = dict(zip(graph.inputs, leaves, strict=True))
    for value_id in graph.scalar_inputs:
        values[value_id] = dialect.const(values[value_id], graph.dtype(value_id), value_id)
    for node in graph.nodes:
        if node.op == "chunk":
            pieces = torch.chunk(values[node.inputs[0]], node.attr("chunks"), node.attr("dim"))  # type: ignore[arg-type]
            if len(pieces) != len(node.outputs):
                raise RuntimeError(f"expected {len(node.outputs)} chunks, got {len(pieces)}")
            values.update(zip(node.outputs, pieces, strict=True))
    emit_nodes(graph, values, dialect)
    for node in graph.nodes:
        if node.op == "cat":
            values[node.output] = torch.cat([values[i] for i in node.inputs], node.attr("dim"))  # type: ignore[arg-type]
    return [values[i] for i in graph.outputs]


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
