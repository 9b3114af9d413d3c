"""Gradients: forward and backward are both fused.

The backward is a function like any other, `autograd.grad` of the original recomputed from its
inputs, captured and fused in its turn; so it is differentiable again.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from fusekit.errors import FusionDeclined
from fusekit.frontends.free import Free
from fusekit.frontends.fx import Capture, capture
from fusekit.frontends.seeds import is_seed
from fusekit.ir import Graph, Node
from fusekit.runtime.program import Program
from fusekit.runtime.remembered import Remembered
from fusekit.specs import Decline, Reason

__all__ = ["Differentiable", "captured", "check_differentiable", "frees_of", "requires_grad"]


class Differentiable:
    """One signature of a function, with its derivative.

    Args:
        function: the original, over argument leaves.
        forward: the fused one, over argument leaves, returning the leaves of the result.
        leaves: the arguments of this signature.
        frees: what the original reads besides its arguments.
        fuse: makes the backward a fused function.
        attached: which tensors among the results autograd attaches to its graph; all if empty.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        forward: Callable[[Sequence[Any]], list[Any]],
        leaves: Sequence[Any],
        frees: Sequence[Free],
        fuse: Callable[[Callable[..., Any]], Callable[..., Any]],
        *,
        attached: Sequence[bool] = (),
    ) -> None:
        self.function = function
        self.attached = attached
        self.forward = forward
        self.frees = frees
        self.wanted = [
            i
            for i, leaf in enumerate(leaves)
            if isinstance(leaf, torch.Tensor) and leaf.requires_grad
        ]
        self.backward = fuse(self._backward)

    def __call__(self, leaves: Sequence[Any]) -> list[Any]:
        """The leaves of the result, attached to the autograd graph."""
        tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        found: list[Any] = []
        made = _Apply.apply(self, leaves, found, *tensors)  # type: ignore[no-untyped-call]
        attached = iter(made)
        return [next(attached) if isinstance(item, torch.Tensor) else item for item in found]

    def _backward(self, *given: Any) -> Any:
        """d(sum(results * tangents)) / d(wanted leaves); given: leaves, then tangents."""
        leaves = list(given[: self.n_leaves])
        tangents = given[self.n_leaves :]
        is_recorded = torch.is_grad_enabled()
        with torch.enable_grad():
            for i in self.wanted:
                # a view, so that leaves of the caller's graph are not touched
                leaves[i] = leaves[i].view_as(leaves[i])
            made = [
                item
                for item in pytree.tree_leaves(self.function(*leaves))
                if isinstance(item, torch.Tensor)
            ]
            pairs = [
                (item, tangent)
                for item, tangent in zip(made, tangents, strict=True)
                if item.requires_grad and tangent is not None
            ]
            return torch.autograd.grad(
                [item for item, _ in pairs],
                [leaves[i] for i in self.wanted],
                [tangent for _, tangent in pairs],
                allow_unused=True,
                create_graph=is_recorded,
            )

    n_leaves = 0


class _Apply(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, owner: Differentiable, leaves: Any, found: list[Any], *tensors: Any
    ) -> Any:
        ctx.outside = Remembered(owner.frees)
        made = owner.forward(leaves)
        found += made
        ctx.owner = owner
        ctx.save_for_backward(*tensors)
        ctx.others = [None if isinstance(leaf, torch.Tensor) else (leaf,) for leaf in leaves]
        ctx.set_materialize_grads(False)
        results = tuple(item for item in made if isinstance(item, torch.Tensor))
        attached = owner.attached or [True] * len(results)
        pairs = zip(results, attached, strict=True)
        ctx.mark_non_differentiable(*(r for r, on in pairs if not (on and r.is_floating_point())))
        return results

    @staticmethod
    def backward(ctx: Any, *tangents: Any) -> Any:
        owner: Differentiable = ctx.owner
        saved = iter(ctx.saved_tensors)
        leaves = [next(saved) if other is None else other[0] for other in ctx.others]
        tensors = [i for i, other in enumerate(ctx.others) if other is None]
        if all(tangent is None for tangent in tangents):
            return (None, None, None, *(None for _ in tensors))
        owner.n_leaves = len(leaves)
        with ctx.outside.restored():
            gradients = owner.backward(*leaves, *tangents)
        found = dict(zip(owner.wanted, gradients, strict=True))
        return (None, None, None, *(found.get(i) for i in tensors))


def captured(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], **named: Any
) -> Capture:
    """What `capture` finds of a call in the current grad mode.

    Where gradients are recorded, kernels come from a trace that records none, and which results
    autograd attaches from another.

    Raises:
        FusionDeclined: it cannot be captured, or the two find it doing different things.
    """
    trace = functools.partial(capture, function, args, kwargs, **named)
    tensors = (x for x in pytree.tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor))
    if not torch.is_grad_enabled() or not any(tensor.requires_grad for tensor in tensors):
        return trace(grad=torch.is_grad_enabled())
    found = trace()
    if _calls(found.graph):
        return found
    try:
        recorded = trace(grad=True)
    except FusionDeclined:
        return found
    if _arithmetic(found.graph) != _arithmetic(recorded.graph):
        detail = "it computes something else while gradients are recorded"
        raise FusionDeclined(Decline(Reason.GRADIENT, detail))
    return dataclasses.replace(found, attached=recorded.attached)


def _calls(graph: Graph) -> list[Node]:
    """What autograd has to differentiate."""
    nodes = (node for node in graph.nodes if node.op == "call")
    return [node for node in nodes if not (is_seed(node) or node.is_sum)]


def _arithmetic(graph: Graph) -> list[Any]:
    return [(node.op, node.origin, node.attrs) for node in graph.nodes if node.is_pointwise]


def frees_of(program: Program) -> tuple[Free, ...]:
    """What the function reads from outside: tensors, then all else."""
    found = program.capture
    return (*(s.free for s in found.sources if s.free is not None), *found.guards)


def requires_grad(program: Program, leaves: Sequence[Any]) -> bool:
    """True if an argument, or a tensor that the function closes over, wants a gradient."""
    tensors = [
        x
        for x in (*leaves, *(free.value for free in frees_of(program)))
        if isinstance(x, torch.Tensor)
    ]
    return any(tensor.requires_grad for tensor in tensors)


def check_differentiable(program: Program) -> None:
    """FusionDeclined where eager autograd serves better, or is the only way."""
    if calls := _calls(program.graph):
        raise FusionDeclined(_not_ours(program, calls[0]))
    if program.writes:
        detail, advice = "an argument is written in place", "return the new value instead"
        raise FusionDeclined(Decline(Reason.GRADIENT, detail, advice=advice))
    for free in (source.free for source in program.capture.sources):
        if free is not None and free.value.requires_grad:
            detail = f"the function closes over {free.name}, which requires a gradient"
            advice = f"pass {free.name} as an argument, or call it under torch.no_grad()"
            raise FusionDeclined(Decline(Reason.GRADIENT, detail, advice=advice))
    if any(r.leaf is not None for r in program.capture.results):
        detail, advice = "an argument is returned as it is", "return only what is computed"
        raise FusionDeclined(Decline(Reason.GRADIENT, detail, advice=advice))


def _not_ours(program: Program, node: Node) -> Decline:
    """A call that autograd has to differentiate, so that it runs the whole function."""
    noted = program.capture.obstacles.get(node.site)
    detail = noted.detail if noted else ""
    advice = (
        f"call {node.origin} outside and fuse what is before and after it, "
        "or call the function under torch.no_grad()"
    )
    return Decline(Reason.GRADIENT, detail, node.origin, node.loc, advice)
