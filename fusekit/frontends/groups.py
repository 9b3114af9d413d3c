"""Group graphs given ready-made: an `ir.Graph` without shapes, and the tensors of one call."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from fusekit.errors import FusionDeclined, GraphError
from fusekit.frontends.dtypes import FROM_TORCH, TO_TORCH
from fusekit.frontends.fx import Capture, Result, Source
from fusekit.frontends.strides import elementwise_strides
from fusekit.ir import DType, Graph, GraphBuilder, Node, Ref
from fusekit.ir.graph import Attr, broadcast_shapes
from fusekit.specs import Decline, Reason

__all__ = ["capture_group"]


def capture_group(graph: Graph, leaves: Sequence[Any]) -> Capture:
    """`graph` with the shapes that these arguments give it.

    Raises:
        FusionDeclined: number, kinds, dtypes or shapes of the arguments do not fit the graph.
    """
    return _Instance(graph, leaves).capture()


class _Instance:
    def __init__(self, graph: Graph, leaves: Sequence[Any]) -> None:
        self.graph = graph
        self.leaves = leaves
        self.builder = GraphBuilder(graph.name)
        self.new_id: dict[int, int] = {}
        self.examples: dict[int, torch.Tensor] = {}

    def capture(self) -> Capture:
        self._inputs()
        for node in self.graph.nodes:
            self._node(node)
        results = tuple(Result(value=self.new_id[i]) for i in self.graph.outputs)
        tensors = [leaf for leaf in self.leaves if isinstance(leaf, torch.Tensor)]
        if not tensors:
            raise FusionDeclined(Decline(Reason.NO_TENSORS))
        n_tensors = len(self.graph.tensor_inputs)
        return Capture(
            graph=self.builder.finish([self.new_id[i] for i in self.graph.outputs]),
            sources=tuple(Source(leaf=i) for i in range(n_tensors)),
            scalars=tuple(f"a{n_tensors + i}" for i in range(len(self.graph.scalar_inputs))),
            results=results,
            out_spec=pytree.tree_flatten([0] * len(results))[1],
            writes=(),
            pinned=frozenset(),
            guards=(),
            device=tensors[0].device,
        )

    def _inputs(self) -> None:
        inputs = self.graph.inputs
        if len(self.leaves) != len(inputs):
            detail = f"takes {len(inputs)} arguments, got {len(self.leaves)}"
            raise FusionDeclined(Decline(Reason.CAPTURE, detail))
        for value_id, leaf in zip(inputs, self.leaves, strict=True):
            value = self.graph.values[value_id]
            dtype = self.graph.dtype(value_id)
            if value.scalar:
                self._check_scalar(value_id, leaf)
                self.new_id[value_id] = self.builder.scalar(dtype)
            elif not isinstance(leaf, torch.Tensor) or FROM_TORCH.get(leaf.dtype) is not dtype:
                found = leaf.dtype if isinstance(leaf, torch.Tensor) else type(leaf).__name__
                detail = f"%{value_id} is {TO_TORCH[dtype]}, got {found}"
                raise FusionDeclined(Decline(Reason.UNSUPPORTED_DTYPE, detail))
            elif leaf.layout is not torch.strided or leaf.is_neg():
                raise FusionDeclined(Decline(Reason.LAYOUT, f"%{value_id}"))
            else:
                self.new_id[value_id] = self.builder.input(dtype, tuple(leaf.shape), leaf.stride())
                self._remember(value_id, leaf)

    def _check_scalar(self, value_id: int, leaf: Any) -> None:
        dtype = self.graph.dtype(value_id)
        fitting = {DType.F64: (float, int), DType.I64: (int,), DType.BOOL: (bool,)}[dtype]
        if type(leaf) not in fitting:
            detail = f"%{value_id} is a scalar {dtype!r}, got {type(leaf).__name__}"
            raise FusionDeclined(Decline(Reason.UNSUPPORTED_DTYPE, detail))

    def _remember(self, value_id: int, like: torch.Tensor) -> None:
        self.examples[value_id] = torch.empty_strided(like.shape, like.stride(), device="meta")

    def _node(self, node: Node) -> None:
        self.builder.site += 1
        if node.op == "chunk":
            self._chunk(node)
        elif node.op == "cat":
            pieces = [self.examples[i] for i in node.inputs]
            dim = _positive(node, pieces[0].dim())
            whole = torch.cat([piece.contiguous() for piece in pieces], dim)
            result = self.builder.cat(
                [self.new_id[i] for i in node.inputs],
                _positive(node, whole.dim()),
                tuple(whole.shape),
            )
            self.new_id[node.output] = result
            self._remember(node.output, whole)
        elif node.op == "call":
            raise GraphError("a fusion group holds no calls")
        elif node.op == "index":
            self._index(node)
        else:
            self._pointwise(node)

    def _chunk(self, node: Node) -> None:
        whole = self.examples[node.inputs[0]]
        count, dim = node.attr("chunks"), _positive(node, whole.dim())
        assert isinstance(count, int)
        if whole.shape[dim] % count:
            detail = f"{whole.shape[dim]} elements do not make {count} equal chunks"
            raise FusionDeclined(Decline(Reason.SHAPES, detail))
        size = whole.shape[dim] // count
        source = self.new_id[node.inputs[0]]
        args: tuple[Attr, ...] = (Ref(source), size, dim)
        pieces = torch.split(whole, size, dim) if size else whole.chunk(count, dim)
        outputs = [
            self.builder.value(self.graph.dtype(old), tuple(piece.shape), piece.stride())
            for old, piece in zip(node.outputs, pieces, strict=True)
        ]
        self.builder.call("aten.split.Tensor", args, (), [source], outputs, op="view")
        for old, new, piece in zip(node.outputs, outputs, pieces, strict=True):
            self.new_id[old] = new
            self._remember(old, piece)

    def _index(self, node: Node) -> None:
        """A group states no shape: the index counts in the one that all inputs broadcast to."""
        tensors = [leaf for leaf in self.leaves if isinstance(leaf, torch.Tensor)]
        shape = broadcast_shapes([tuple(x.shape) for x in tensors])
        if shape is None:
            raise FusionDeclined(Decline(Reason.SHAPES, "an index counts in the common shape"))
        # a copy, because an index itself is in no memory and might be returned
        self.new_id[node.output] = self.builder.apply("copy", self.builder.index(shape))
        self._remember(node.output, torch.empty(shape, device="meta"))

    def _pointwise(self, node: Node) -> None:
        inputs = [self.new_id[i] for i in node.inputs]
        examples = [self.examples[i] for i in node.inputs if i in self.examples]
        shape = broadcast_shapes([tuple(x.shape) for x in examples])
        if shape is None:
            shapes = ", ".join(str(list(x.shape)) for x in examples)
            raise FusionDeclined(Decline(Reason.SHAPES, shapes, node.origin, node.loc))
        strides = elementwise_strides(shape, examples) if examples else None
        result = self.builder.value(self.graph.dtype(node.output), shape, strides)
        self.builder.add(
            dataclasses.replace(
                node,
                inputs=tuple(inputs),
                outputs=(result,),
                origin=node.origin or "group",
                site=self.builder.site,
            )
        )
        self.new_id[node.output] = result
        if examples:
            like = torch.empty_strided(shape, strides or (), device="meta")
            self._remember(node.output, like)


def _positive(node: Node, rank: int) -> int:
    dim = node.attr("dim")
    assert isinstance(dim, int)
    if not -rank <= dim < rank:
        detail = f"dim {dim} of a tensor with {rank} dimensions"
        raise FusionDeclined(Decline(Reason.SHAPES, detail))
    return dim % rank
