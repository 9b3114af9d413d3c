"""One element of a call's result, with what is around it: what the panel "One element" shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch

from fusekit.api import FusedFunction
from fusekit.codegen.source import KernelSource, Spans
from fusekit.ir.graph import Literal
from fusekit.runtime.eager_values import EagerValues
from fusekit.runtime.elementtrace import ElementTrace, TracedNode
from fusekit.runtime.kernels import generate
from fusekit.runtime.operators import generator_state, kept_generators
from fusekit.runtime.program import Program
from fusekit.runtime.tracing import TracedCall, made_results, prepared
from fusekit.viz.numbers.links import Links

__all__ = ["Kernel", "Surroundings", "kernels_of"]

_AROUND = 4
"""Lines of a kernel that are shown before and after those that compute something."""


@dataclasses.dataclass(frozen=True)
class Kernel:
    """One group's generated text.

    Attributes:
        group: its number, from 0.
        source: the text, in the language of the engine that runs it.
        spans: value of the program's graph -> the lines that load, compute or store it.
    """

    group: int
    source: KernelSource
    spans: Mapping[int, Spans]

    def body(self) -> tuple[int, str]:
        """The lines that compute something, with some around them; and the first one's number."""
        lines = self.source.text.rstrip("\n").split("\n")
        runs = [run for each in self.spans.values() for run in each]
        first = max(min((run[0] for run in runs), default=1) - _AROUND, 1)
        last = max((run[1] for run in runs), default=len(lines)) + _AROUND
        return first, "\n".join(lines[first - 1 : last])


def kernels_of(
    fused: FusedFunction, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Program, list[Kernel]]:
    """The program of a call, and its kernels in order: none where the reference runs them."""
    call = prepared(fused, args, kwargs)
    return call.program, _kernels(call)


def _kernels(call: TracedCall) -> list[Kernel]:
    if not call.engine.compiler:
        return []
    found = []
    for number, each in enumerate(call.program.kernels):
        source = generate(call.engine, each.spec, each.binding.args)
        own = dict(source.lines)
        spans = {mine: own[value] for mine, value in each.numbering.items() if value in own}
        found.append(Kernel(number, source, spans))
    return found


class Surroundings:
    """What stays while the element moves: results, arguments, kernels.

    Attributes:
        eager: what eager PyTorch makes on the way.
        results: the tensors that the call returns, then those it writes, as after the call.
        kernels: of the groups, in order; empty where the reference runs them.
        links: to the nodes of a view.
    """

    def __init__(self, fused: FusedFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Make the call once, without its writes; PyTorch's generators stay as they were."""
        self._fused, self._args, self._kwargs = fused, args, kwargs
        with torch.no_grad():
            self._call: TracedCall = prepared(fused, args, kwargs)
            self._state = generator_state(self._call.device)
            with kept_generators(self._call.device):
                self.results = made_results(self._call)
            with kept_generators(self._call.device):
                self.eager = EagerValues(self._call, fused.function, args, kwargs)
        self._inputs = self._call.inputs()
        self.links = Links(self._call.program)
        self.kernels = _kernels(self._call)

    def trace(self, output: int, index: tuple[int, ...]) -> ElementTrace:
        """The element's, with the random numbers that `results` are made of."""
        with kept_generators(self._call.device, self._state):
            return self._fused.trace(*self._args, index=index, output=output, **self._kwargs)

    def eager_values(self, trace: ElementTrace) -> list[Literal | None]:
        """Eager's for each node of a trace; None inside an operator, and where it is not known.

        Where results are too large to be kept, PyTorch's operators one by one, on the very numbers.
        """
        last = {node.site: node for node in trace.nodes if node.op not in ("view", "const")}
        if not self.eager.are_kept:
            return [
                node.values["reference"] if last.get(node.site) is node or node.site < 0 else None
                for node in trace.nodes
            ]
        known = self.eager.at(trace.nodes[-1].value, trace.nodes[-1].index)
        return [
            node.values["reference"]
            if node.op == "input"
            else known.get(node.site)
            if last.get(node.site) is node
            else None
            for node in trace.nodes
        ]

    def tensor(self, node: TracedNode) -> torch.Tensor | None:
        """The argument that a node is an element of; None for a number."""
        found = self._inputs.get(node.value) if node.op == "input" else None
        return None if found is None else found.detach()
