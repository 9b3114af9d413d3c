"""The one walk: every language is generated, and the reference evaluated, by these lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from fusekit import vecmath
from fusekit.codegen.dialect import Dialect
from fusekit.codegen.source import KernelSource
from fusekit.ir import DType, Graph, Node
from fusekit.specs import KernelSpec

__all__ = ["emit", "emit_function", "emit_nodes"]

V = TypeVar("V")


def emit(spec: KernelSpec, dialect: Dialect[V]) -> KernelSource:
    """The kernel of `spec` in the language of `dialect`, which knows ArgSpec and Schedule."""
    graph = spec.graph
    values: dict[int, V] = {}
    dialect.begin()
    for index, value_id in enumerate(graph.scalar_inputs):
        values[value_id] = dialect.scalar(index, value_id)
    for tensor, value_id in enumerate(spec.tensors_in):
        values[value_id] = dialect.load(tensor, value_id)
    for position, value_id in enumerate(spec.indices):
        values[value_id] = dialect.index(position, value_id)
    emit_nodes(graph, values, dialect)
    for tensor, value_id in enumerate(spec.tensors_out):
        dialect.store(tensor, values[value_id])
    return dialect.end()


def emit_function(graph: Graph, operands: Sequence[V], dialect: Dialect[V]) -> list[V]:
    """The body of a vecmath function, given its operands; its outputs."""
    values = dict(zip(graph.inputs, operands, strict=True))
    emit_nodes(graph, values, dialect)
    return [values[i] for i in graph.outputs]


def emit_nodes(graph: Graph, values: dict[int, V], dialect: Dialect[V]) -> None:
    """The pointwise nodes of `graph`, in order; `values` starts with what they read."""
    for node in graph.nodes:
        if node.is_pointwise:
            operands = [values[i] for i in node.inputs]
            values[node.output] = _emit_node(graph, node, operands, dialect)


def _emit_node(graph: Graph, node: Node, operands: Sequence[V], dialect: Dialect[V]) -> V:
    result = node.output
    if node.op == "const":
        return dialect.const(node.literal, graph.dtype(result), result)
    source = graph.dtype(node.inputs[-1])
    if node.op == "cast":
        return dialect.cast(operands[0], source, graph.dtype(result), result)
    if node.op == "bitcast":
        return dialect.bitcast(operands[0], source, graph.dtype(result), result)
    if node.op == "lookup":
        return dialect.lookup(operands[0], node.table, graph.dtype(result), result)
    function = None
    if not _has_own(dialect, source):
        function = vecmath.function(node.op, source, tables=dialect.has_tables)
    if function is not None:
        return dialect.call(function, operands, source, result)
    return dialect.apply(node.op, operands, source, result)


def _has_own(dialect: Dialect[V], dtype: DType) -> bool:
    """True where the target's functions serve: they are of float32, random bits are vecmath's."""
    return dialect.own_functions and dtype is DType.F32
