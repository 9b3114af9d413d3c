"""The only way to make a `Graph`: nodes are typed and checked as they are added."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from fusekit.errors import GraphError
from fusekit.ir.graph import (
    Attr,
    Graph,
    Literal,
    Loc,
    Node,
    Value,
    broadcast_shapes,
    contiguous_strides,
)
from fusekit.ir.graph import format_literal as _spell
from fusekit.ir.ops import OPS, Rule
from fusekit.ir.types import DType
from fusekit.ir.verify import check, check_node

__all__ = ["GraphBuilder"]

Shape = tuple[int, ...] | None


class GraphBuilder:
    """Collects inputs and nodes; `finish` verifies and freezes them.

    Values are named by their integer ids. `loc`, `origin` and `site` are stamped on every
    node added until they are set to something else.
    """

    def __init__(self, name: str = "graph") -> None:
        """Start an empty graph."""
        self.name = name
        self.loc: Loc | None = None
        self.origin = ""
        self.site = -1
        self.values: list[Value] = []
        self.nodes: list[Node] = []
        self._inputs: list[int] = []
        self._constants: dict[tuple[DType, str], int] = {}
        self._makers: dict[int, Node] = {}

    def value(
        self,
        dtype: DType | None,
        shape: Shape = None,
        strides: Sequence[int] | None = None,
        *,
        scalar: bool = False,
    ) -> int:
        """A new value that nothing produces yet."""
        kept = None if strides is None else tuple(strides)
        if shape is not None and kept == contiguous_strides(shape):
            kept = None
        self.values.append(Value(len(self.values), dtype, shape, kept, scalar))
        return len(self.values) - 1

    def input(
        self, dtype: DType | None, shape: Shape = None, strides: Sequence[int] | None = None
    ) -> int:
        """A tensor input; all tensor inputs come before the first scalar one in the graph."""
        new = self.value(dtype, shape, strides)
        self._inputs.append(new)
        return new

    def scalar(self, dtype: DType) -> int:
        """A Python scalar input: f64, i64 or bool."""
        if dtype not in (DType.F64, DType.I64, DType.BOOL):
            raise GraphError(f"a scalar input is f64, i64 or bool, not {dtype}")
        new = self.value(dtype, (), scalar=True)
        self._inputs.append(new)
        return new

    def const(self, value: Literal, dtype: DType) -> int:
        """A literal of `dtype`, made once however often it is asked for."""
        text = _spell(_as_kind(value, dtype))
        if (dtype, text) not in self._constants:
            made = self._add("const", (), dtype, (), {"dtype": dtype, "value": text})
            self._constants[dtype, text] = made
        return self._constants[dtype, text]

    def index(self, shape: Shape = None) -> int:
        """The position of each element in `shape`, row by row; None in a group graph."""
        return self._add("index", (), DType.I64, shape, {})

    def apply(self, op: str, *operands: int, shape: Shape = None) -> int:
        """A pointwise op other than const and cast; the result dtype follows its rule.

        Without `shape` the result has the shape that the operands broadcast to, if they have any.
        """
        row = OPS[op]
        if row.rule is Rule.COMPARE:
            dtype = DType.BOOL
        elif row.rule is Rule.SELECT and len(operands) == row.arity:
            dtype = self.dtype(operands[1])
        elif row.rule is Rule.SAME and operands:
            dtype = self.dtype(operands[0])
        else:
            raise GraphError(f"{op} takes {row.arity} operands and is made by its own method")
        return self._add(op, operands, dtype, shape, {})

    def cast(self, operand: int, dtype: DType, shape: Shape = None) -> int:
        """`operand` converted to `dtype`; itself if it already has it."""
        if self.values[operand].dtype is dtype:
            return operand
        return self._add("cast", (operand,), dtype, shape, {"dtype": dtype})

    def bitcast(self, operand: int, dtype: DType, shape: Shape = None) -> int:
        """`operand`'s bits as `dtype`, which must be as wide."""
        return self._add("bitcast", (operand,), dtype, shape, {"dtype": dtype})

    def lookup(self, operand: int, table: Sequence[float], dtype: DType) -> int:
        """The entry of `table` whose number is the low bits of `operand`, a u32."""
        spelled = ",".join(_spell(_as_kind(entry, dtype)) for entry in table)
        return self._add("lookup", (operand,), dtype, None, {"dtype": dtype, "table": spelled})

    def chunk(self, operand: int, chunks: int, dim: int) -> tuple[int, ...]:
        """The `chunks` equal pieces of an input along `dim` (negative counts from the end)."""
        results = tuple(self.value(self.values[operand].dtype) for _ in range(chunks))
        self.add(Node("chunk", (operand,), results, (("chunks", chunks), ("dim", dim))))
        return results

    def cat(self, pieces: Sequence[int], dim: int, shape: Shape = None) -> int:
        """The pieces side by side along `dim`; may only be returned."""
        result = self.value(self.dtype(pieces[0]), shape)
        self.add(Node("cat", tuple(pieces), (result,), (("dim", dim),)))
        return result

    def call(
        self,
        target: str,
        args: tuple[Attr, ...],
        kwargs: tuple[tuple[str, Attr], ...],
        inputs: Sequence[int],
        outputs: Sequence[int],
        *,
        op: str = "call",
    ) -> None:
        """A torch operator (or `op="view"`) by name; `args` holds `Ref`s to `inputs`."""
        attrs: tuple[tuple[str, Attr], ...] = (
            ("args", args),
            ("kwargs", kwargs),
            ("target", target),
        )
        self.add(Node(op, tuple(inputs), tuple(outputs), attrs))

    def add(self, node: Node) -> None:
        """Append a ready-made node after checking it."""
        if node.loc is None and not node.origin:
            node = dataclasses.replace(node, loc=self.loc, origin=self.origin, site=self.site)
        check_node(node, self.values)
        self.nodes.append(node)
        self._makers.update(dict.fromkeys(node.outputs, node))

    def maker(self, value_id: int) -> Node | None:
        """The node that makes a value; None for an input."""
        return self._makers.get(value_id)

    def dtype(self, value_id: int) -> DType:
        """The dtype of a value; GraphError if the IR cannot hold it."""
        dtype = self.values[value_id].dtype
        if dtype is None:
            raise GraphError(f"%{value_id} has a dtype the IR cannot hold")
        return dtype

    def shape(self, value_id: int) -> Shape:
        """The shape of a value, or None."""
        return self.values[value_id].shape

    def set_strides(self, value_id: int, strides: Sequence[int]) -> None:
        """State the strides, in elements, that a value has in memory."""
        value = self.values[value_id]
        kept = None if tuple(strides) == contiguous_strides(value.shape or ()) else tuple(strides)
        self.values[value_id] = dataclasses.replace(value, strides=kept)

    def mark(self) -> tuple[int, int]:
        """A point to which `rollback` returns."""
        return len(self.values), len(self.nodes)

    def rollback(self, mark: tuple[int, int]) -> None:
        """Forget every value and node added since `mark`, looking only at those."""
        values, nodes = mark
        for node in self.nodes[nodes:]:
            for result in node.outputs:
                self._makers.pop(result, None)
        del self.values[values:], self.nodes[nodes:]
        while self._inputs and self._inputs[-1] >= values:
            self._inputs.pop()
        while self._constants and next(reversed(self._constants.values())) >= values:
            self._constants.popitem()

    def finish(self, outputs: Iterable[int]) -> Graph:
        """The verified graph."""
        inputs = sorted(self._inputs, key=lambda i: self.values[i].scalar)
        graph = Graph(
            tuple(self.values), tuple(inputs), tuple(self.nodes), tuple(outputs), self.name
        )
        check(graph)
        return graph

    def _add(
        self,
        op: str,
        operands: tuple[int, ...],
        dtype: DType,
        shape: Shape,
        attrs: dict[str, Attr],
    ) -> int:
        if shape is None and operands:
            shape = broadcast_shapes([self.values[operand].shape for operand in operands])
        result = self.value(dtype, shape)
        self.add(Node(op, operands, (result,), tuple(sorted(attrs.items()))))
        return result


def _as_kind(value: Literal, dtype: DType) -> Literal:
    """`value` as the Python type that prints as a literal of `dtype`."""
    if dtype is DType.BOOL:
        return bool(value)
    return float(value) if dtype.is_float else int(value)
