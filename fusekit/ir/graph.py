"""Graphs: frozen values in, frozen values out.

One class serves two stages. A *captured* graph is a whole user function: its values carry shapes
and strides, and `call` nodes stand for what PyTorch itself will run. A *group* graph is what one
kernel computes: pointwise nodes only (with `chunk` at its inputs and `cat` at its outputs), and no
sizes, because a kernel is never specialised on them. An `index` node stands beside the groups of a
captured graph, because it has no operands and takes no memory; each group that reads it has one of
its own.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Sequence

from fusekit.ir.ops import OPS, Op, Rule
from fusekit.ir.types import DType

__all__ = [
    "Attr",
    "Graph",
    "Literal",
    "Loc",
    "Node",
    "Ref",
    "Token",
    "Value",
    "broadcast_shapes",
    "contiguous_strides",
    "with_ref",
]


_CELL = re.compile(r"<ipython-input-|.*[/\\]ipykernel_\d+[/\\]\d+\.py$")
"""Names that IPython and ipykernel give to cells."""


@dataclasses.dataclass(frozen=True, slots=True)
class Loc:
    """The user's line a value comes from."""

    file: str
    line: int
    text: str = ""

    @property
    def in_cell(self) -> bool:
        """True for a line of a notebook's cell; its file is a name that only the kernel knows."""
        return _CELL.match(self.file) is not None

    def __str__(self) -> str:
        """`file:line`, as Python prints it; in a notebook the line of the cell."""
        return f"line {self.line} of the cell" if self.in_cell else f"{self.file}:{self.line}"


@dataclasses.dataclass(frozen=True, slots=True)
class Ref:
    """A value standing among the arguments of a `call`."""

    id: int


@dataclasses.dataclass(frozen=True, slots=True)
class Token:
    """A torch object among a `call`'s arguments, such as torch_dtype(float32) or device(cpu)."""

    kind: str
    name: str


Literal = bool | int | float
"""What a `const` node holds and a scalar input is bound to."""

Attr = None | bool | int | float | str | DType | Ref | Token | tuple["Attr", ...]
"""An attribute of a node. A tuple stands for a list."""


def with_ref(value: Attr, old: int, new: int) -> Attr:
    """An attribute of a `call` that names value `new` in place of `old`."""
    if isinstance(value, Ref):
        return Ref(new) if value.id == old else value
    if isinstance(value, tuple):
        return tuple(with_ref(item, old, new) for item in value)
    return value


@functools.lru_cache(maxsize=4096)
def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Row-major strides in elements, as torch computes them (an extent of 0 counts as 1)."""
    strides: list[int] = []
    step = 1
    for extent in reversed(shape):
        strides.append(step)
        step *= max(extent, 1)
    return tuple(reversed(strides))


def broadcast_shapes(shapes: Sequence[tuple[int, ...] | None]) -> tuple[int, ...] | None:
    """The common shape by PyTorch's rule; None if a shape is unknown or they do not broadcast."""
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(shapes):
        return None
    result = [1] * max(map(len, known), default=0)
    for shape in known:
        for position, extent in enumerate(reversed(shape), start=1):
            if extent != 1 and result[-position] not in (1, extent):
                return None
            if extent != 1:
                result[-position] = extent
    return tuple(result)


@dataclasses.dataclass(frozen=True, slots=True)
class Value:
    """One SSA value.

    Attributes:
        id: its number, which is also its index in `Graph.values`.
        dtype: element type; None for what the IR cannot hold (complex, quantised, sparse), which
            only `call` nodes may touch.
        shape: extents, in a captured graph; None in a group graph.
        strides: in elements; None with `shape` None, or when they are the contiguous ones.
        scalar: True for a Python scalar argument (f64, i64 or bool), False for a tensor.
    """

    id: int
    dtype: DType | None
    shape: tuple[int, ...] | None = None
    strides: tuple[int, ...] | None = None
    scalar: bool = False

    @property
    def numel(self) -> int:
        """Number of elements; ValueError without a shape."""
        if self.shape is None:
            raise ValueError(f"%{self.id} has no shape")
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of its elements, 0 for a scalar or an unknown dtype."""
        return 0 if self.scalar or self.dtype is None else self.numel * self.dtype.itemsize

    @property
    def dense_strides(self) -> tuple[int, ...]:
        """Strides in elements, spelled out; ValueError without a shape."""
        if self.shape is None:
            raise ValueError(f"%{self.id} has no shape")
        return contiguous_strides(self.shape) if self.strides is None else self.strides


_ALLOCATIONS = ("aten.empty.", "aten.empty_like.", "aten.new_empty.")
_SUMS = ("aten.sum.", "aten.mean.")


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """One operation.

    Attributes:
        op: a name in `OPS`.
        inputs: ids of the operands, in order; for a `call`, of every tensor among its arguments.
        outputs: ids of the results.
        attrs: attribute names and values, sorted by name.
        loc: the user's line, if known; not part of the graph's key.
        origin: the torch operator this node came from ("aten.gelu.default"); not part of the key.
        site: which call of a torch operator that was, counted from 0; -1 if unknown. Not part of
            the key either.
    """

    op: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attrs: tuple[tuple[str, Attr], ...] = ()
    loc: Loc | None = None
    origin: str = ""
    site: int = dataclasses.field(default=-1, compare=False)

    @property
    def row(self) -> Op:
        """The op table's row."""
        return OPS[self.op]

    @property
    def output(self) -> int:
        """The only result; ValueError if there are several."""
        (only,) = self.outputs
        return only

    @property
    def is_pointwise(self) -> bool:
        """True when element i of the result depends on element i of the operands alone."""
        return self.row.rule not in (Rule.CALL, Rule.CHUNK, Rule.CAT, Rule.INDEX)

    def attr(self, name: str) -> Attr:
        """The attribute `name`; KeyError if the node has none."""
        for key, value in self.attrs:
            if key == name:
                return value
        raise KeyError(f"{self.op} has no attribute {name!r}")

    @property
    def is_allocation(self) -> bool:
        """True for a call that only takes memory: who does not read it does not need it."""
        return self.op == "call" and str(self.attr("target")).startswith(_ALLOCATIONS)

    @property
    def is_sum(self) -> bool:
        """True for a call that adds up elements: it has no effect but its result.

        So it goes when nobody reads that. A backward that recomputes its forward seldom does: no
        gradient of a sum needs the sum.
        """
        return self.op == "call" and str(self.attr("target")).startswith(_SUMS)

    @property
    def literal(self) -> Literal:
        """What a `const` node stands for, as a Python value."""
        return parse_literal(str(self.attr("value")))

    @property
    def table(self) -> tuple[Literal, ...]:
        """The entries of a `lookup` node."""
        return tuple(parse_literal(entry) for entry in str(self.attr("table")).split(","))


@dataclasses.dataclass(frozen=True)
class Graph:
    """A verified list of nodes in an order that respects data flow. Made by `GraphBuilder`.

    Attributes:
        values: every value, at the index that is its id.
        inputs: ids of the inputs: tensors first, then scalars.
        nodes: in execution order.
        outputs: ids of the results, in order; an id may appear twice, and may be an input.
        name: what the user calls it; not part of the key.
    """

    values: Sequence[Value]
    inputs: tuple[int, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    name: str = dataclasses.field(default="graph", compare=False)

    @functools.cached_property
    def producers(self) -> dict[int, Node]:
        """Value id -> the node that makes it (inputs are absent)."""
        return {out: node for node in self.nodes for out in node.outputs}

    def viewed(self, value_id: int) -> int:
        """The value that a chain of views starts from; the value itself if it is no view."""
        node = self.producers.get(value_id)
        while node is not None and node.op == "view":
            value_id = node.inputs[0]
            node = self.producers.get(value_id)
        return value_id

    @functools.cached_property
    def users(self) -> dict[int, tuple[Node, ...]]:
        """Value id -> the nodes that read it, each once, in order."""
        found: dict[int, list[Node]] = {value.id: [] for value in self.values}
        for node in self.nodes:
            for operand in dict.fromkeys(node.inputs):
                found[operand].append(node)
        return {key: tuple(nodes) for key, nodes in found.items()}

    @property
    def tensor_inputs(self) -> tuple[int, ...]:
        """Ids of the tensor inputs, in order."""
        return tuple(i for i in self.inputs if not self.values[i].scalar)

    @property
    def scalar_inputs(self) -> tuple[int, ...]:
        """Ids of the scalar inputs, in order."""
        return tuple(i for i in self.inputs if self.values[i].scalar)

    def dtype(self, value_id: int) -> DType:
        """The dtype of a value the IR can hold; ValueError for one it cannot."""
        dtype = self.values[value_id].dtype
        if dtype is None:
            raise ValueError(f"%{value_id} has a dtype the IR cannot hold")
        return dtype

    def __str__(self) -> str:
        """The text form (see `fusekit.ir.text`), without source lines."""
        from fusekit.ir.text import print_graph  # noqa: PLC0415  text prints graphs: a cycle

        return print_graph(self)


def format_literal(value: Literal) -> str:
    """The spelling of a literal that `parse_literal` reads back exactly (NaN payloads aside)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)


def parse_literal(text: str) -> Literal:
    """The bool, int or float that `text` spells; ValueError if it spells none."""
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text)
    except ValueError:
        return float(text)
