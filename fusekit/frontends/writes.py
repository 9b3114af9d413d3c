"""What a function wrote into its arguments: checked, and seen in the results that are views of it.

A capture computes what an argument becomes, and copies it there at the end. A result that eager
makes a view of the argument must be one of the argument here too, not of what is copied.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import torch

from fusekit.errors import FusionDeclined
from fusekit.frontends.calls import repeat_view, resolve
from fusekit.frontends.strides import is_apart
from fusekit.ir import GraphBuilder, Node
from fusekit.specs import Decline, Reason

__all__ = ["check_writes", "view_in_place"]


def check_writes(
    builder: GraphBuilder,
    targets: Collection[int],
    inputs: Collection[int],
    tensors: Iterable[torch.Tensor],
) -> None:
    """Each value that is written must be an input, with elements in memory of their own.

    `tensors` are what the inputs are at this call: where one is written, each must have a storage,
    for calls look whether they share it.

    Raises:
        FusionDeclined: one is not, or has none.
    """
    if targets and any(tensor.layout is not torch.strided for tensor in tensors):
        detail = "an argument is written, and another may share its memory"
        raise FusionDeclined(Decline(Reason.LAYOUT, detail))
    for target in targets:
        if target not in inputs:
            detail = "what an operator may have returned as it was is written"
            raise FusionDeclined(Decline(Reason.MUTATION, detail))
        value = builder.values[target]
        assert value.shape is not None
        if not is_apart(value.shape, value.dense_strides):
            detail = "a tensor whose elements share memory is written"
            raise FusionDeclined(Decline(Reason.OVERLAP, detail))


def view_in_place(builder: GraphBuilder, value: int, written: Mapping[int, int]) -> int:
    """A view of what is copied into an argument, as a view of that argument; else `value` itself.

    `written` has, for each value that is copied, the argument it goes to.

    Raises:
        FusionDeclined: it is a view that strides do not express.
    """
    chain: list[tuple[Node, int]] = []
    base = value
    while base not in written:
        node = builder.maker(base)
        if node is None or not _shares_memory(node):
            return value
        chain.append((node, node.outputs.index(base)))
        base = node.inputs[0]
    made = written[base]
    for node, position in reversed(chain):
        if node.op == "call":
            detail = "the result is a view of an argument that is written"
            raise FusionDeclined(Decline(Reason.MUTATION, detail, node.origin, node.loc))
        made = repeat_view(builder, node, made)[position]
    return made


def _shares_memory(node: Node) -> bool:
    if node.op == "call":
        return bool(resolve(str(node.attr("target"))).is_view)
    return node.op == "view"
