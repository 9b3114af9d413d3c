"""A graph of a program that PyTorch runs as a whole: one node between its inputs and results."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import torch

from fusekit.frontends.dtypes import FROM_TORCH
from fusekit.runtime.compiled import GraphRun
from fusekit.viz.collect.ledger import add_row
from fusekit.viz.collect.places import memory_of
from fusekit.viz.model.schema import Edge, Ledger, LedgerRow, Model, Node

__all__ = ["fill_opaque"]


def fill_opaque(part: Model, run: GraphRun, names: Sequence[str]) -> list[Hashable]:
    """A graph that PyTorch runs as a whole is one node, which reads and writes each tensor once.

    Returns where the tensors of the ledger's rows lie.
    """
    tensors = [(n, x) for n, x in zip(names, run.args, strict=True) if isinstance(x, torch.Tensor)]
    made = [x for x in run.results if isinstance(x, torch.Tensor)]
    op = next((each.op for each in run.explanation.declined if each.op), run.name)
    label = op.split(".")[1] if op.count(".") > 1 else op
    first = made[0] if made else None
    body = _node("n0", label, "opaque", first, len(tensors))
    body["op"] = op
    inputs = [_node(f"i{i}", n, "input", x, i) for i, (n, x) in enumerate(tensors)]
    outputs = [_node(f"o{i}", "output", "output", x, len(tensors) + i) for i, x in enumerate(made)]
    part["graph"]["nodes"] = [*inputs, body, *outputs]
    part["graph"]["edges"] = [
        *(_edge(node, "n0", node) for node in inputs),
        *(_edge(body, node["id"], node) for node in outputs),
    ]
    part["totals"]["launches"] = part["totals"]["eager_launches"] = 1
    rows: dict[Hashable, LedgerRow] = {}
    for node, tensor in zip((*inputs, *outputs), (*(x for _, x in tensors), *made), strict=True):
        name = label if node["kind"] == "output" else node["label"]
        add_row(rows, memory_of(tensor), _row(name, node))
    moved = sum(row["eager"] for row in rows.values())
    ends = sum(node["bytes"] for node in (*inputs, *outputs))
    part["ledger"] = Ledger(rows=list(rows.values()), eager=moved, fused=moved, floor=ends)
    return list(rows)


def _row(name: str, node: Node) -> LedgerRow:
    return LedgerRow(
        name=name,
        shape=node["shape"],
        dtype=node["dtype"],
        eager=node["bytes"],
        fused=node["bytes"],
        removed=False,
        value=node["value"],
    )


def _node(name: str, label: str, kind: Any, tensor: torch.Tensor | None, value: int) -> Node:
    node = Node(
        id=name,
        label=label,
        op="",
        kind=kind,
        group=None,
        dtype="",
        shape=[],
        strides=[],
        bytes=0,
        line=None,
        value=value,
    )
    if tensor is not None:
        node["dtype"], node["shape"] = _dtype(tensor), list(tensor.shape)
        if tensor.layout is torch.strided:
            node["strides"] = list(tensor.stride())
            node["bytes"] = tensor.numel() * tensor.element_size()
    return node


def _dtype(tensor: torch.Tensor) -> str:
    """The name that the IR has for it, else torch's."""
    known = FROM_TORCH.get(tensor.dtype)
    return known.value if known else str(tensor.dtype).removeprefix("torch.")


def _edge(source: Node, target: str, tensor: Node) -> Edge:
    return Edge(
        source=source["id"],
        target=target,
        value=tensor["value"],
        dtype=tensor["dtype"],
        shape=tensor["shape"],
        bytes=tensor["bytes"],
    )
