"""Changes to a captured graph that might save a seam: candidates, for partition to decide about.

Nothing here knows whether a change helps: `counterfactual` divides each changed graph again. A
change keeps what the function computes, but for rounding where its text says so.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator

from fusekit.errors import GraphError
from fusekit.fusion.draft import Draft, renamed
from fusekit.fusion.partition import Group, Seam
from fusekit.fusion.verdicts import ends_of, operator_of
from fusekit.ir import Graph, Node, Value
from fusekit.ir.graph import with_ref
from fusekit.runtime.program import Program
from fusekit.specs import Reason

__all__ = ["Case", "Change", "candidates"]

_DEEPEST = 8
"""So many operators are tried on the other side of a call, one more each time."""

_REORDERS = frozenset(
    f"aten.{name}"
    for name in ("flip", "roll", "index_select", "repeat", "embedding", "rot90", "take", "gather")
)
"""Operators whose elements are elements of their first operand, somewhere else."""

_LINEAR = frozenset(f"aten.{name}" for name in ("mm", "bmm", "mv", "dot", "sum", "mean", "cumsum"))
"""Operators that a factor passes through."""


@dataclasses.dataclass(frozen=True)
class Change:
    """One candidate.

    Attributes:
        text: what the user would do.
        graph: the captured graph afterwards, simplified but for what the change brought.
        limit: the most tensors that a kernel may take then.
    """

    text: str
    graph: Graph
    limit: int


@dataclasses.dataclass(frozen=True)
class Case:
    """A seam to be rid of.

    Attributes:
        program: whose seam.
        seam: which.
        base: the captured graph, simplified.
        limit: the most tensors that a kernel may take now.
        most: the most that the option can allow on this device.
    """

    program: Program
    seam: Seam
    base: Graph
    limit: int
    most: int

    @property
    def ends(self) -> tuple[Node, Node]:
        """Who makes the value, and who reads it."""
        consumer = self.program.partition.steps[self.seam.consumer]
        return ends_of(self.program.graph, self.seam, consumer)

    def node(self, end: Node) -> Node | None:
        """The same operator in `base`: of several nodes the last."""
        same = [node for node in self.base.nodes if node.site == end.site and node.op != "view"]
        return same[-1] if same and end.site >= 0 else None


def candidates(case: Case) -> Iterator[Change]:
    """What might save a seam, the smallest change first."""
    for make in (_limit, _swapped, _viewed_operands, _expanded, _scaled_columns, _unwritten):
        with contextlib.suppress(GraphError):  # this graph cannot be changed so
            yield from make(case)


def _limit(case: Case) -> Iterable[Change]:
    """More tensors for one kernel."""
    if case.seam.reason is Reason.ARGUMENT_LIMIT:
        steps = case.program.partition.steps
        taken = {
            value
            for step in (steps[case.seam.producer], steps[case.seam.consumer])
            if isinstance(step, Group)
            for value in (*step.inputs, *step.outputs)
        }
        for count in (max(len(taken), case.limit + 1), 2 * max(len(taken), case.limit)):
            if count <= case.most:
                yield Change(f"fusekit.options(max_arguments={count})", case.base, count)


# calls and their neighbours, the other way round


def _swapped(case: Case) -> Iterable[Change]:
    """The call earlier than what computes its operand, or later than what reads its result."""
    maker, reader = map(case.node, case.ends)
    tried = [(reader, _swap_up, "before"), (maker, _swap_down, "behind")]
    if case.seam.reason is Reason.CYCLE and maker is not None:
        between = case.base.users[maker.outputs[-1]]
        tried = [(call, _swap_up, "before") for call in between]
    for call, swap, where in tried:
        if call is None or call.op != "call":
            continue
        draft = Draft(case.base)
        passed: list[str] = []
        current: Node | None = call
        while current is not None and len(passed) < _DEEPEST:
            made = swap(draft, current)
            if made is None:
                break
            current, name = made
            passed.append(name)
            text = f"put {_place(call)} {where} {' and '.join(passed)}"
            graph = _copy(draft).finish()
            yield Change(text + _rounding(call), graph, case.limit)


def _rounding(call: Node) -> str:
    return " (the same but for rounding)" if _target(call) in _LINEAR else ""


def _copy(draft: Draft) -> Draft:
    """A draft that can be finished while the other goes on."""
    other = object.__new__(Draft)
    other.__dict__ |= vars(draft) | {"nodes": list(draft.nodes), "values": list(draft.values)}
    return other


def _swap_up(draft: Draft, call: Node) -> tuple[Node, str] | None:
    """f(call(x)) for call(f(x)): the new call, and what f is called."""
    producers = draft.producers()
    for value in _operands(call):
        maker = producers.get(value)
        if maker is None or call.inputs.count(value) != 1:
            continue
        function = _function_of(draft, maker, call)
        if function is None or function.result != value:
            continue
        source, result = function.operand, call.outputs[0]
        moved = draft.new_value(draft.values[result], dtype=draft.values[source].dtype)
        swapped = _on(call, value, source, moved)
        clones = _clones(draft, function, moved, draft.values[result], result)
        at = draft.nodes.index(call)
        draft.nodes[at : at + 1] = [swapped, *clones]
        return swapped, function.name
    return None


def _swap_down(draft: Draft, call: Node) -> tuple[Node, str] | None:
    """call(f(x)) for f(call(x)): the new call, and what f is called."""
    operands = _operands(call)
    result = call.outputs[0] if len(call.outputs) == 1 else -1
    readers = [node for node in draft.nodes if result in node.inputs]
    if not readers or result in draft.kept or len({node.site for node in readers}) != 1:
        return None
    own = [node for node in draft.nodes if node.site == readers[0].site and node.is_pointwise]
    function = _function_of(draft, own[-1], call) if own else None
    if function is None or function.operand != result or not operands:
        return None
    source = operands[0]
    if draft.values[source].dtype is not draft.values[result].dtype:
        return None
    inside = draft.new_value(draft.values[source], dtype=draft.values[function.result].dtype)
    clones = _clones(draft, function, source, draft.values[source], inside)
    swapped = _on(call, source, inside, function.result)
    at = draft.nodes.index(function.nodes[-1])
    draft.nodes[at : at + 1] = [*clones, swapped]
    gone = {id(call), *map(id, function.nodes)}
    draft.nodes = [node for node in draft.nodes if id(node) not in gone]
    return swapped, function.name


@dataclasses.dataclass(frozen=True)
class _Function:
    """A torch operator of one tensor, as nodes."""

    name: str
    nodes: tuple[Node, ...]
    operand: int
    result: int


def _function_of(draft: Draft, last: Node, call: Node) -> _Function | None:
    """The operator that `last` belongs to, if it may trade places with `call`."""
    nodes = [n for n in draft.nodes if n.site == last.site and n.is_pointwise and n.site >= 0]
    made = {out for node in nodes for out in node.outputs}
    values = draft.values
    outside = {i for node in nodes for i in node.inputs if i not in made and _is_tensor(values[i])}
    if len(outside) != 1 or any(node.row.traps or node.op == "philox" for node in nodes):
        return None
    (operand,) = outside
    depending = [node for node in nodes if _is_tensor(values[node.output])]
    is_alike = all(values[n.output].shape == values[operand].shape for n in depending)
    scales = _target(call) in _LINEAR and [n.op for n in depending] in (["mul"], ["div"], ["neg"])
    if not depending or not is_alike or not (_target(call) in _REORDERS or scales):
        return None
    if scales and depending[0].op == "div" and depending[0].inputs[0] != operand:
        return None
    result = depending[-1].output
    inner = {node.output for node in depending} - {result}
    read = {i for node in draft.nodes if node not in nodes for i in node.inputs}
    if inner & (read | draft.kept):
        return None
    return _Function(operator_of(last), tuple(depending), operand, result)


def _clones(
    draft: Draft, function: _Function, operand: int, like: Value, result: int
) -> list[Node]:
    """The operator's nodes on another operand of the shape of `like`, making `result`."""
    names = {function.operand: operand, function.result: result}
    clones = []
    for node in function.nodes:
        if node.output not in names:
            old = draft.values[node.output]
            names[node.output] = draft.new_value(old, shape=like.shape, strides=like.strides)
        clones.append(renamed(node, names))
    return clones


def _on(call: Node, old: int, new: int, result: int) -> Node:
    """The call on another operand."""
    attrs = tuple((key, with_ref(item, old, new)) for key, item in call.attrs)
    inputs = tuple(new if i == old else i for i in call.inputs)
    return dataclasses.replace(call, inputs=inputs, outputs=(result,), attrs=attrs)


def _operands(call: Node) -> tuple[int, ...]:
    """The operands that what is computed from one element each may pass."""
    if len(call.outputs) != 1 or not call.inputs:
        return ()
    if _target(call) in _REORDERS:
        return call.inputs[:1]
    return call.inputs if _target(call) in _LINEAR else ()


# the same value twice


def _viewed_operands(case: Case) -> Iterable[Change]:
    """What is viewed, computed on views of its operands; what is read whole, as it is."""
    maker = case.node(case.ends[0])
    if case.seam.reason is not Reason.VIEW_OF_INTERMEDIATE or maker is None:
        return
    draft = Draft(case.base)
    value = maker.outputs[-1]
    views = [node for node in draft.nodes if node.op == "view" and value in node.inputs]
    if views and maker.is_pointwise:
        twin = _twin(draft, value, None)
        draft.nodes = [renamed(n, {value: twin}) if n in views else n for n in draft.nodes]
        seen = " and ".join(dict.fromkeys(map(operator_of, views)))
        text = f"apply {seen} to the operands of {_place(maker)}, and compute it on them as well"
        yield Change(text, draft.finish(), case.limit)


def _expanded(case: Case) -> Iterable[Change]:
    """A small value, computed for every element of the large one that reads it."""
    maker, reader = (case.node(end) for end in case.ends)
    if case.seam.reason is not Reason.ITERATION_SPACE or maker is None or reader is None:
        return
    shape = case.base.values[reader.outputs[-1]].shape
    value = maker.outputs[-1]
    if maker.is_pointwise and reader.is_pointwise and shape is not None:
        draft = Draft(case.base)
        twin = _twin(draft, value, shape)
        site = reader.site
        draft.nodes = [
            renamed(node, {value: twin}) if node.site == site and value in node.inputs else node
            for node in draft.nodes
        ]
        text = f"expand the operands of {_place(maker)} to {list(shape)} first"
        yield Change(text, draft.finish(), case.limit)


def _twin(draft: Draft, value: int, shape: tuple[int, ...] | None) -> int:
    """The value computed once more from what is no pointwise result, in another shape if asked."""
    producers = draft.producers()
    old_shape = draft.values[value].shape
    names: dict[int, int] = {}
    pending, cone = [value], set()
    while pending:
        node = producers.get(pending.pop())
        alike = node is not None and node.is_pointwise
        if alike and shape is not None:
            alike = draft.values[node.output].shape == old_shape  # type: ignore[union-attr]
        if alike and node.output not in cone:  # type: ignore[union-attr]
            cone.add(node.output)  # type: ignore[union-attr]
            pending += node.inputs  # type: ignore[union-attr]
    clones = []
    for node in draft.nodes:
        if node.outputs and node.outputs[0] in cone:
            old = draft.values[node.output]
            changes = {} if shape is None else {"shape": shape, "strides": None}
            names[node.output] = draft.new_value(old, **changes)
            clones.append(renamed(node, names))
    at = draft.nodes.index(producers[value]) + 1
    draft.nodes[at:at] = clones
    return names[value]


# other operators, other results


def _scaled_columns(case: Case) -> Iterable[Change]:
    """A product with a diagonal matrix is a product of elements."""
    producers = case.base.producers
    for end in case.ends:
        product = case.node(end)
        if product is None or _target(product) != "aten.mm":
            continue
        left, right = product.inputs if len(product.inputs) == 2 else (-1, -1)
        diagonal = producers.get(right)
        if diagonal is None or _target(diagonal) not in ("aten.diag_embed", "aten.diag"):
            continue
        draft = Draft(case.base)
        scaled = Node(
            "mul", (left, diagonal.inputs[0]), product.outputs, (), product.loc, product.origin
        )
        scaled = dataclasses.replace(scaled, site=product.site)
        draft.nodes = [scaled if node is product else node for node in draft.nodes]
        if case.base.users[right] == (product,):
            draft.nodes.remove(diagonal)
        text = f"multiply by the vector instead of {_place(product)} with its diagonal matrix"
        yield Change(text, draft.finish(), case.limit)


def _unwritten(case: Case) -> Iterable[Change]:
    """No writes to arguments."""
    count = len(case.program.capture.writes)
    if count:
        draft = Draft(case.base)
        del draft.outputs[len(draft.outputs) - count :]
        draft.kept = set(draft.outputs)
        yield Change("return the result instead of writing in place", draft.finish(), case.limit)


def _target(node: Node) -> str:
    """The operator of a call, without its overload: "aten.mm"."""
    return str(node.attr("target")).rpartition(".")[0] if node.op == "call" else ""


def _place(node: Node) -> str:
    where = f" (line {node.loc.line})" if node.loc else ""
    return f"{operator_of(node)}{where}"


def _is_tensor(value: Value) -> bool:
    return not value.scalar and bool(value.shape)
