"""The rounding microscope: a call's intermediates from an instrumented twin, eager, and float64.

The twin of a group is the same nodes, generated for the same engine, with every result stored;
because generated code rounds an operation the same wherever it stands (see `arithmetic`), its
values are those that the kernel of the call never stores. That is checked: what the twin gives for
the call's results has to be the call's results.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from fusekit.errors import FusionDeclined
from fusekit.frontends.dtypes import FROM_TORCH, TO_TORCH
from fusekit.frontends.seeds import is_seed
from fusekit.ir import DType, Graph, Node
from fusekit.runtime.arithmetic import by_engine, by_reference, grains, in_float64
from fusekit.runtime.bundles import Bundle, Bundles, evenly
from fusekit.runtime.dispatch import Dispatcher
from fusekit.runtime.distances import differing, distances, ulps_of
from fusekit.runtime.operators import Operator, by_site, generator_state, kept_generators, watched
from fusekit.runtime.reruns import rerun
from fusekit.runtime.rounding import RoundedNode, Rounding
from fusekit.runtime.tracing import TracedCall, prepared
from fusekit.specs import Decline, Reason

__all__ = ["LIMIT", "Step", "round_off"]

LIMIT = 65536
"""Elements of a value that are compared, at most."""

_FEWEST = 1024
_STORED = 1 << 24
"""Elements that are stored of all values of one arithmetic, about: 128 MiB of float64."""

_WHOLE = 1 << 25
"""Elements of all values up to which PyTorch's operators are run again in float64: 256 MiB."""

Step = Callable[[int, int, str], None]
"""Told how far it is: done, of how many, and what comes; it may raise to stop."""


class _Sampled(NamedTuple):
    """What is kept of a tensor that eager PyTorch makes."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    elements: torch.Tensor


def round_off(
    dispatcher: Dispatcher,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    limit: int | None,
    step: Step,
) -> Rounding:
    """See `FusedFunction.rounding`."""
    with torch.no_grad():
        call = prepared(dispatcher, args, kwargs)
        with kept_generators(call.device):
            return _Microscope(dispatcher, call, limit or LIMIT, step).rounding(args, kwargs)


class _Microscope:
    """One call under it. Value ids are those of the captured graph, which has eager's shapes."""

    def __init__(self, dispatcher: Dispatcher, call: TracedCall, limit: int, step: Step) -> None:
        self.dispatcher = dispatcher
        self.call = call
        self.step = step
        self.graph = graph = call.program.capture.graph
        self.limit = max(2, min(limit, max(_STORED // max(len(graph.nodes), 1), _FEWEST)))
        live = _live(graph)
        self.nodes = [node for node in graph.nodes if live.intersection(node.outputs)]
        self.wanted = [(n, out) for n in self.nodes for out in n.outputs if self._counts(n, out)]
        values = [out for _, out in self.wanted] + [i for i in graph.outputs if self._is_held(i)]
        self.where = {i: evenly(graph.values[i].numel, self.limit) for i in values}

    def rounding(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Rounding:
        self.step(0, 5, "making the call")
        state = generator_state(self.call.device)
        given, results, seed = self._made()
        self.step(1, 5, "running eager PyTorch")
        ran = watched(self.dispatcher.function, args, kwargs, self._note, seed=seed, state=state)
        self.step(2, 5, "storing every intermediate")
        fused, grain = self._fused(given)
        self.step(3, 5, "computing in float64")
        wide, exact = self._wide(given)
        self.step(4, 5, "comparing")
        told = _Told(self, ran, fused, wide, grain)
        nodes = tuple(told.node(node, out) for node, out in self.wanted)
        self.step(5, 5, "")
        return Rounding(
            name=self.dispatcher.name,
            engine=self.call.engine.name,
            nodes=nodes,
            faithful=self._is_faithful(fused, results),
            exact_calls=exact,
            largest=max((math.prod(node.shape) for node in nodes), default=0),
        )

    # which values

    def _is_held(self, value: int) -> bool:
        found = self.graph.values[value]
        return found.dtype is not None and found.shape is not None and not found.scalar

    def _counts(self, node: Node, value: int) -> bool:
        if not self._is_held(value) or node.op == "const" or is_seed(node):
            return False
        return node.is_pointwise or (node.op == "call" and self.graph.dtype(value).is_float)

    # the call

    def _made(self) -> tuple[dict[int, torch.Tensor], list[torch.Tensor], torch.Tensor | None]:
        """What is given (arguments and PyTorch's parts), the results, and the seed if one is drawn.

        PyTorch's parts are found by the operator: both graphs have it, under other ids.
        """
        program = self.call.program
        own = [node for node in self.nodes if node.op == "call"]
        calls = (node for node in program.graph.nodes if node.op == "call")
        twins = {(node.site, node.origin): node.outputs for node in calls}
        pairs: dict[int, int] = {}
        for node in own:
            pairs |= zip(node.outputs, twins.get((node.site, node.origin), ()), strict=False)
        outputs = program.graph.outputs
        made = self.call.run(tuple(dict.fromkeys((*pairs.values(), *outputs))))
        given = {mine: made[theirs] for mine, theirs in pairs.items()}
        seeds = [given[node.output] for node in own if is_seed(node) and node.output in given]
        inputs = self.call.inputs() | self.call.scalars()
        names = zip(program.graph.inputs, self.graph.inputs, strict=True)
        given |= {mine: inputs[theirs].detach() for theirs, mine in names}
        return given, [made[value] for value in outputs], seeds[0] if seeds else None

    def _note(self, made: list[torch.Tensor]) -> list[_Sampled | None]:
        self.step(1, 5, "running eager PyTorch")
        return [
            _Sampled(x.dtype, tuple(x.shape), _gathered(x, evenly(x.numel(), self.limit)).cpu())
            if x.layout is torch.strided and x.dtype in FROM_TORCH
            else None
            for x in made
        ]

    # arithmetics

    def _leaves(
        self, bundles: Sequence[Bundle], given: Mapping[int, torch.Tensor]
    ) -> dict[int, torch.Tensor]:
        """The elements that are given: those of bundles that read nothing."""
        found = {}
        for position, bundle in enumerate(bundles):
            if bundle.reads or bundle.is_const:
                continue
            if bundle.node is not None and bundle.node.op == "index":
                found[position] = bundle.where.clone()
            elif bundle.value in given:
                found[position] = _gathered(given[bundle.value], bundle.where)
            else:
                origin = bundle.node.origin if bundle.node else ""
                detail = "its result cannot be looked at element by element"
                raise FusionDeclined(Decline(Reason.CAPTURE, detail, origin))
        return found

    def _fused(
        self, given: Mapping[int, torch.Tensor]
    ) -> tuple[dict[int, torch.Tensor], dict[int, DType]]:
        """Value -> its elements as the engine computes them; value -> its grain."""
        bundles, at = Bundles(self.graph).of(self._asked())
        leaves = self._leaves(bundles, given)
        engine, device = self.call.engine, self.call.device
        if engine.compiler:
            literals = [i for i, bundle in enumerate(bundles) if bundle.is_const]
            consts = by_reference(self.graph, [bundles[i] for i in literals], {}, device)
            leaves |= zip(literals, consts, strict=True)
            place = torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()
            with place:
                made = by_engine(engine, device, self.graph, bundles, leaves, step=self._storing)
        else:
            made = by_reference(self.graph, bundles, leaves, device)
        coarsest = grains(self.graph, bundles)
        grain = {bundles[i].value: dtype for i in at if (dtype := coarsest[i]) is not None}
        return self._by_value(bundles, made, at), grain

    def _storing(self, done: int, total: int) -> None:
        self.step(2, 5, f"storing every intermediate: {done} of {total}")

    def _wide(self, given: Mapping[int, torch.Tensor]) -> tuple[dict[int, torch.Tensor], bool]:
        """Value -> its elements in float64, and whether PyTorch's operators were run in it, too."""
        calls = [
            node
            for node in self.nodes
            if node.op == "call" and not is_seed(node) and not node.is_allocation
        ]
        total = sum(value.numel for value in self.graph.values if value.shape is not None)
        if calls and total <= _WHOLE:
            is_exact = all(rerun(self.graph, node) for node in calls)
            try:
                return self._in_float64(given, through_calls=True), is_exact
            except (RuntimeError, KeyError):  # an operator that knows no float64
                pass
        return self._in_float64(given, through_calls=False), not calls

    def _in_float64(
        self, given: Mapping[int, torch.Tensor], *, through_calls: bool
    ) -> dict[int, torch.Tensor]:
        bundles, at = Bundles(self.graph, through_calls=through_calls).of(self._asked())
        leaves = self._leaves(bundles, given)
        reference: list[torch.Tensor] = []
        if any(node.is_pointwise and node.row.traps for node in self.nodes):
            reference = by_reference(self.graph, bundles, leaves, self.call.device)
        return self._by_value(bundles, in_float64(self.graph, bundles, leaves, reference), at)

    def _asked(self) -> Iterable[tuple[int, torch.Tensor]]:
        return [(value, where) for value, where in self.where.items() if len(where)]

    def _by_value(
        self, bundles: Sequence[Bundle], made: Sequence[torch.Tensor], at: Sequence[int]
    ) -> dict[int, torch.Tensor]:
        return {
            bundles[i].value: made[i].cpu().reshape(-1).expand(len(bundles[i].where)) for i in at
        }

    def _is_faithful(
        self, fused: Mapping[int, torch.Tensor], results: Sequence[torch.Tensor]
    ) -> bool:
        """The twin gives the results of the call."""
        return not any(
            bool(differing(fused[value], _gathered(result, self.where[value]).cpu()).any())
            for value, result in zip(self.graph.outputs, results, strict=True)
            if value in fused
        )


class _Told:
    """Turns elements in three arithmetics into what is told of a node."""

    def __init__(
        self,
        scope: _Microscope,
        ran: Sequence[Operator[list[_Sampled | None]]],
        fused: Mapping[int, torch.Tensor],
        wide: Mapping[int, torch.Tensor],
        grain: Mapping[int, DType],
    ) -> None:
        self.scope = scope
        self.graph = scope.graph
        self.ran = ran
        self.fused = fused
        self.wide = wide
        self.grain = grain
        self.site = by_site(self.graph, ran)
        self.last = {node.site: node for node in scope.nodes if node.op != "view"}
        self.became: dict[int, list[int]] = {}
        for node in scope.call.program.graph.nodes:
            if node.op not in ("const", "view", "index"):
                self.became.setdefault(node.site, []).extend(node.outputs)
        groups = enumerate(call.group for call in scope.call.program.kernels)
        self.group = {node.site: i for i, group in groups for node in group.nodes}

    def node(self, node: Node, value: int) -> RoundedNode:
        dtype, where = self.graph.dtype(value), self.scope.where[value]
        shape = self.graph.values[value].shape or ()
        is_step = node.op != "call" and self.last[node.site] is not node
        label = node.origin.split(".")[1] if "." in node.origin and not is_step else node.op
        eager = None if is_step else self.eager(node, value)
        fused = self.fused.get(value)
        # PyTorch rounds a call's result once, from whatever it was given
        grain = dtype if node.op == "call" else self.grain.get(value, dtype)
        found: dict[str, Any] = {}
        if fused is not None:
            wide = self.wide[value]
            found["fused"] = distances(fused, wide, grain, where, shape)
            if eager is not None:
                found["eager"] = distances(eager, wide, grain, where, shape)
                found["between"] = distances(fused, eager, grain, where, shape)
                ours, theirs = ulps_of(fused, wide, grain), ulps_of(eager, wide, grain)
                found["fused_is_closer"] = int((ours < theirs).sum())
                found["eager_is_closer"] = int((theirs < ours).sum())
        return RoundedNode(
            kind="step" if is_step else "call" if node.op == "call" else "operator",
            site=node.site,
            op=label,
            origin=node.origin,
            loc=node.loc,
            dtype=dtype.value,
            shape=shape,
            sampled=len(where),
            group=None if node.op == "call" else self.group.get(node.site),
            values=tuple(self.became.get(node.site, ())),
            **{"fused": None, "eager": None, "between": None, **found},
        )

    def eager(self, node: Node, value: int) -> torch.Tensor | None:
        """What eager's operator made of it; None where that cannot be told."""
        number = self.site.get(node.site)
        notes = self.ran[number].note if number is not None else []
        which = node.outputs.index(value)
        note = notes[which] if len(notes) == len(node.outputs) else None
        found = self.graph.values[value]
        if note is None or note[:2] != (TO_TORCH[self.graph.dtype(value)], found.shape):
            return None
        return note.elements


def _live(graph: Graph) -> set[int]:
    """Values that the results depend on."""
    found = set(graph.outputs)
    for node in reversed(graph.nodes):
        if found.intersection(node.outputs):
            found.update(node.inputs)
    return found


def _gathered(tensor: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """The elements at row-major positions, however the tensor lies in memory."""
    if not tensor.dim():
        return tensor.detach().reshape(1).repeat(len(where))
    index = torch.unravel_index(where.to(tensor.device), tensor.shape)
    return tensor.detach()[index].clone()
