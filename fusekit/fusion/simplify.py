"""Rewrites that never change a bit of the result: repeated work, idle casts and copies."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from fusekit.fusion.draft import Draft, renamed
from fusekit.ir import DType, Graph, Kind, Node, Value

__all__ = ["simplify"]


def simplify(graph: Graph) -> Graph:
    """Each value computed once, no cast there and back, no copy of what is new anyway."""
    draft = Draft(graph)
    _Simplifier(draft).run()
    _own_pieces(draft)
    return draft.finish()


class _Simplifier:
    """One forward pass.

    `alias` maps a value to the one that took its place, `narrow` a wider float to the halves that
    it is known to be one of, so that rounding to them changes nothing. `shown` are the values whose
    memory the caller will see, be it as a view of them: each has its own.
    """

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.alias: dict[int, int] = {}
        self.seen: dict[object, tuple[int, ...]] = {}
        self.makers: dict[int, Node] = {}
        self.narrow: dict[int, frozenset[DType]] = {}
        self.shown = _memory_of(draft.outputs, draft.producers())
        self.in_cats = {i for node in draft.nodes if node.op == "cat" for i in node.inputs}

    def run(self) -> None:
        kept_nodes = []
        for old in self.draft.nodes:
            node = renamed(old, self.alias)
            if not self._replace(node):
                kept_nodes.append(node)
                self.makers.update(dict.fromkeys(node.outputs, node))
                halves = self._halves(node)
                if halves:
                    self.narrow[node.output] = halves
        self.draft.nodes = kept_nodes

    def _replace(self, node: Node) -> bool:
        """True if another value serves."""
        if node.op in ("call", "cat") or self.draft.kept.intersection(node.outputs):
            return False
        other = self._source_of_idle(node)
        if other is not None and self._may_share(node, other):
            self.alias[node.output] = other
            return True
        values = [self.draft.values[i] for i in node.outputs]
        key = (node.op, node.inputs, node.attrs, *((v.dtype, v.shape, v.strides) for v in values))
        earlier = self.seen.setdefault(key, node.outputs)
        if earlier == node.outputs or not self._may_share(node, earlier[0]):
            return False
        self.alias.update(zip(node.outputs, earlier, strict=True))
        return True

    def _may_share(self, node: Node, other: int) -> bool:
        """False if the caller would see one memory where there were two."""
        if node.op == "view" or self.shown.isdisjoint(node.outputs):
            return True
        (memory,) = _memory_of([other], self.makers)
        if memory in self.shown or not _is_new(self.makers.get(memory)):
            return False
        self.shown.add(memory)
        return True

    def _source_of_idle(self, node: Node) -> int | None:
        """The value that a cast or copy merely repeats."""
        if node.op not in ("cast", "copy") or node.output in self.in_cats:
            return None
        values = self.draft.values
        source = node.inputs[0]
        if not _is_laid_out_like(values[source], values[node.output]):
            return None
        if node.op == "copy":
            return source if _is_new(self.makers.get(source)) else None
        if values[source].dtype is values[node.output].dtype:
            return source
        return self._origin_of_return(source, values[node.output])

    def _origin_of_return(self, source: int, result: Value) -> int | None:
        """What was cast to `source`, if casting that to `result` gives it back."""
        inner = self.makers.get(source)
        if inner is None or inner.op != "cast":
            return None
        origin = self.draft.values[inner.inputs[0]]
        if origin.dtype is not result.dtype or not _is_laid_out_like(origin, result):
            return None
        narrow = self.draft.values[source].dtype
        is_same = _is_lossless(origin.dtype, narrow) or narrow in self.narrow.get(origin.id, ())
        return origin.id if is_same else None

    def _halves(self, node: Node) -> frozenset[DType]:
        """The halves, if any, of which the result is one."""
        if node.op == "cast":
            dtype = self.draft.values[node.inputs[0]].dtype
            return frozenset(half for half in _HALVES if half is dtype)
        if node.op == "const":
            return frozenset(_HALVES) if node.literal in _SMALL_NUMBERS else frozenset()
        if node.op not in _CHOOSING:
            return frozenset()
        operands = node.inputs[1:] if node.op == "select" else node.inputs
        return frozenset.intersection(*(self.narrow.get(i, frozenset()) for i in operands))


def _is_laid_out_like(one: Value, other: Value) -> bool:
    """True if a view of the one looks like that view of the other."""
    return (one.shape, one.strides) == (other.shape, other.strides)


def _memory_of(values: Iterable[int], makers: Mapping[int, Node]) -> set[int]:
    """The values that these are, or are views of."""
    found = set()
    for each in values:
        value = each
        while value in makers and makers[value].op == "view":
            value = makers[value].inputs[0]
        found.add(value)
    return found


def _is_new(maker: Node | None) -> bool:
    """True for memory that nothing else can name."""
    return maker is not None and maker.is_pointwise


def _is_lossless(narrow: DType | None, wide: DType | None) -> bool:
    """True if every value of `narrow` survives the way to `wide` and back."""
    if narrow is None or wide is None:
        return False
    if narrow is DType.BOOL or narrow is wide:
        return True
    if narrow.is_float:
        return wide is DType.F64 or (wide is DType.F32 and narrow.is_storage_only)
    if wide.is_float:
        return narrow.bits <= _MANTISSA.get(wide, 0)
    same = narrow.kind is wide.kind and narrow.bits <= wide.bits
    return same or (narrow.kind is Kind.UINT and wide.kind is Kind.INT and narrow.bits < wide.bits)


_HALVES = (DType.F16, DType.BF16)

_CHOOSING = frozenset({"select", "neg", "abs", "maximum", "minimum"})
"""Ops whose result is one of their operands, but for the sign."""

_SMALL_NUMBERS = frozenset(range(-256, 257))
"""Literals that every half holds exactly."""

_MANTISSA = {DType.F16: 11, DType.BF16: 8, DType.F32: 24, DType.F64: 53}
"""Bits of precision, so that every integer of that width is exact."""


def _own_pieces(draft: Draft) -> None:
    """Each piece of a cat is written straight into the result: nobody else may own it."""
    taken: set[int] = set(draft.kept)
    # what a call or a view reads has to be a tensor by itself
    taken.update(i for node in draft.nodes if node.op in ("call", "view") for i in node.inputs)
    producers = draft.producers()
    nodes: list[Node] = []
    for node in draft.nodes:
        if node.op != "cat":
            nodes.append(node)
            continue
        pieces = []
        for given in node.inputs:
            piece = given
            maker = producers.get(piece)
            if piece in taken or maker is None or not maker.is_pointwise:
                piece = draft.new_value(draft.values[given], strides=None)
                nodes.append(Node("copy", (given,), (piece,), (), node.loc, node.origin, node.site))
            taken.add(piece)
            pieces.append(piece)
        nodes.append(dataclasses.replace(node, inputs=tuple(pieces)))
    draft.nodes = nodes
