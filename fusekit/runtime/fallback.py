"""Groups in plain torch: the reference engine's launcher, and what a group graph falls back to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from fusekit.codegen import emit, emit_nodes
from fusekit.codegen.dialects.reference import ReferenceDialect
from fusekit.ir import Graph, Node
from fusekit.runtime.place import Place
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
        elif node.op == "index":
            values[node.output] = _index(graph, node, leaves[: len(graph.tensor_inputs)])
    emit_nodes(graph, values, dialect)
    for node in graph.nodes:
        if node.op == "cat":
            values[node.output] = torch.cat([values[i] for i in node.inputs], node.attr("dim"))  # type: ignore[arg-type]
    return [values[i] for i in graph.outputs]


def _index(graph: Graph, node: Node, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Counted in the shape that the graph states, or that all its inputs broadcast to."""
    shape = graph.values[node.output].shape
    if shape is None:
        shape = tuple(torch.broadcast_shapes(*(tensor.shape for tensor in tensors)))  # type: ignore[no-untyped-call]
    return torch.arange(math.prod(shape), device=tensors[0].device).reshape(shape)


def _counted(place: Place, device: torch.device) -> torch.Tensor:
    """An index as a tensor: what it looks at holds its own offsets."""
    pairs = zip(place.shape, place.strides, strict=True)
    last = place.offset + sum((extent - 1) * stride for extent, stride in pairs)
    count = torch.arange(last + 1, device=device)
    return count.as_strided(place.shape, place.strides, place.offset)


def reference_launcher(
    spec: KernelSpec, shape: tuple[int, ...], indices: Sequence[Place] = ()
) -> Callable[..., int]:
    """A function with a kernel's arguments, but for tensors in place of addresses."""
    n_scalars = len(spec.graph.scalar_inputs)
    n_inputs = len(spec.tensors_in)

    def run(_layout: object, *arguments: Any) -> int:
        scalars, tensors = arguments[:n_scalars], arguments[n_scalars:]
        counted = [_counted(place, tensors[0].device) for place in indices]
        dialect = ReferenceDialect(spec, tensors[:n_inputs], scalars, counted)
        try:
            emit(spec, dialect)
        except (ZeroDivisionError, RuntimeError):
            return 1
        for target, made in zip(tensors[n_inputs:], dialect.outputs, strict=True):
            with torch.no_grad():
                target.copy_(made.expand(shape))
        return 0

    return run
