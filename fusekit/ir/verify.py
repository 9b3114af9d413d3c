"""The rules every graph obeys; an error names the node that breaks one."""

from __future__ import annotations

from collections.abc import Sequence

from fusekit.errors import GraphError
from fusekit.ir.graph import Graph, Node, Value
from fusekit.ir.ops import OPS, Rule
from fusekit.ir.types import DType

__all__ = ["check", "check_node"]


def check(graph: Graph) -> None:
    """Raise GraphError unless `graph` is in SSA form, well typed and well structured."""
    defined = _check_inputs(graph)
    for node in graph.nodes:
        check_node(node, graph.values)
        for operand in node.inputs:
            if operand not in defined:
                raise GraphError(f"{_name(node)} reads %{operand} before it is defined")
        for result in node.outputs:
            if result in defined:
                raise GraphError(f"%{result} is defined twice, the second time by {_name(node)}")
            defined.add(result)
    for result in graph.outputs:
        if result not in defined:
            raise GraphError(f"output %{result} is never defined")
    _check_structure(graph)


def _check_inputs(graph: Graph) -> set[int]:
    for index, value in enumerate(graph.values):
        if value.id != index:
            raise GraphError(f"%{value.id} stands at index {index} of the values")
    found = set(graph.inputs)
    if len(found) != len(graph.inputs):
        raise GraphError("an input is listed twice")
    return found


def check_node(node: Node, values: Sequence[Value]) -> None:
    """Raise GraphError unless `node`'s arity, attributes and dtypes follow its op's row."""
    row = OPS.get(node.op)
    if row is None:
        raise GraphError(f"no op is called {node.op!r}")
    for value_id in (*node.inputs, *node.outputs):
        if not 0 <= value_id < len(values):
            raise GraphError(f"{_name(node)} names %{value_id}, which does not exist")
    if tuple(name for name, _ in node.attrs) != tuple(sorted(row.attributes)):
        raise GraphError(f"{_name(node)} needs attributes {sorted(row.attributes)}")
    if row.arity not in (-1, len(node.inputs)):
        raise GraphError(f"{_name(node)} takes {row.arity} operands, got {len(node.inputs)}")
    if row.rule is not Rule.CALL:
        _check_dtypes(node, values)


def _check_dtypes(node: Node, values: Sequence[Value]) -> None:
    row = node.row
    operands = [_dtype(node, values[i]) for i in node.inputs]
    results = [_dtype(node, values[i]) for i in node.outputs]
    typed = operands[1:] if row.rule is Rule.SELECT else operands
    for dtype in typed:
        if not row.accepts(dtype):
            raise GraphError(f"{_name(node)} is not defined on {dtype}")
    if row.rule not in (Rule.CAST, Rule.CONST) and len(set(typed)) > 1:
        raise GraphError(f"{_name(node)} mixes {' and '.join(map(repr, typed))}: cast first")
    expected = _result(node, operands, typed)
    if set(results) != {expected} or (row.rule is not Rule.CHUNK and len(results) != 1):
        raise GraphError(f"{_name(node)} gives {expected}, not {results}")


def _result(node: Node, operands: list[DType], typed: list[DType]) -> DType:
    """The result dtype that `node`'s rule asks for."""
    rule = node.row.rule
    if rule is Rule.COMPARE:
        return DType.BOOL
    if rule is Rule.INDEX:
        return DType.I64
    if rule in (Rule.CAST, Rule.CONST):
        dtype = node.attr("dtype")
        if not isinstance(dtype, DType):
            raise GraphError(f"{_name(node)}: the dtype attribute is {dtype!r}")
        if node.op == "bitcast" and dtype.bits != operands[0].bits:
            raise GraphError(f"{_name(node)}: {operands[0]} and {dtype} differ in width")
        return dtype
    if rule is Rule.SELECT and operands[0] is not DType.BOOL:
        raise GraphError(f"{_name(node)}: the condition is {operands[0]}, not bool")
    if not typed:
        raise GraphError(f"{_name(node)} has no operands")
    return typed[0]


def _check_structure(graph: Graph) -> None:
    """Chunks split inputs only; cats feed outputs only; scalars and tensors keep their order."""
    flags = [graph.values[i].scalar for i in graph.inputs]
    if flags != sorted(flags):
        raise GraphError("tensor inputs come before scalar inputs")
    tensors = set(graph.tensor_inputs)
    for node in graph.nodes:
        if node.op == "chunk" and node.inputs[0] not in tensors:
            raise GraphError(f"{_name(node)} splits %{node.inputs[0]}, which is not an input")
        if node.op == "chunk" and node.attr("chunks") != len(node.outputs):
            raise GraphError(f"{_name(node)} says {node.attr('chunks')} chunks")
        if node.op != "cat" or graph.values[node.output].shape is not None:
            continue
        if graph.users[node.output]:
            raise GraphError(f"{_name(node)} is read inside the graph: it may only be returned")


def _dtype(node: Node, value: Value) -> DType:
    if value.dtype is None:
        raise GraphError(f"{_name(node)} touches %{value.id}, whose dtype the IR cannot hold")
    return value.dtype


def _name(node: Node) -> str:
    results = ", ".join(f"%{i}" for i in node.outputs)
    where = f" ({node.loc})" if node.loc else ""
    return f"{results} = {node.op}{where}"
