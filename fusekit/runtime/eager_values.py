"""What eager PyTorch's operators made of the elements that one element depends on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch

from fusekit.frontends.dtypes import TO_TORCH
from fusekit.frontends.seeds import is_seed
from fusekit.ir.graph import Literal, contiguous_strides
from fusekit.runtime.bundles import Bundles
from fusekit.runtime.operators import by_site, generator_state, watched
from fusekit.runtime.tracing import TracedCall

__all__ = ["EagerValues"]

_KEPT = 1 << 24
"""Elements of all values of a call up to which they are kept: 64 MiB of float32."""


class EagerValues:
    """A call's operators, run once in PyTorch, and their results kept.

    Attributes:
        are_kept: False for a call whose results are too large: then nothing is known.
    """

    def __init__(
        self,
        call: TracedCall,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        """Run it on copies of the arguments, with the random numbers that the call would draw."""
        self._graph = graph = call.program.capture.graph
        total = sum(value.numel for value in graph.values if value.shape is not None)
        self.are_kept = total <= _KEPT
        self._made: dict[int, list[torch.Tensor]] = {}
        pairs = zip(call.program.graph.outputs, graph.outputs, strict=True)
        self._result = dict(pairs)
        self._last = {node.site: node for node in graph.nodes if node.op != "view"}
        if self.are_kept:
            state = generator_state(call.device)
            seeds = [node.output for node in call.program.graph.nodes if is_seed(node)]
            seed = call.run((seeds[0],))[seeds[0]] if seeds else None
            ran = watched(function, args, kwargs, _copies, seed=seed, state=state)
            self._made = {site: ran[number].note for site, number in by_site(graph, ran).items()}

    def at(self, result: int, index: Sequence[int]) -> dict[int, Literal]:
        """Site -> the element of that operator's result that an element of a result depends on.

        Sites of which it depends on several elements, or that cannot be told, are left out.

        Args:
            result: id of the result in the program's graph.
            index: of the element.
        """
        value = self._result.get(result)
        if value is None or not self.are_kept:
            return {}
        steps = contiguous_strides(self._graph.values[value].shape or ())
        where = sum(number * step for number, step in zip(index, steps, strict=True))
        bundles, _ = Bundles(self._graph).of([(value, torch.tensor([where]))])
        times = Counter(bundle.value for bundle in bundles)
        found = {}
        for bundle in bundles:
            node = bundle.node
            if node is None or self._last.get(node.site) is not node or times[bundle.value] > 1:
                continue
            made = self._of(bundle.value, node.site)
            if made is not None and len(node.outputs) == 1:
                found[node.site] = made.reshape(-1)[bundle.where[0]].item()
        return found

    def _of(self, value: int, site: int) -> torch.Tensor | None:
        """The operator's only result, if it is what the trace has."""
        found = self._graph.values[value]
        made = self._made.get(site, [])
        if len(made) != 1 or found.dtype is None:
            return None
        is_same = (made[0].dtype, made[0].shape) == (TO_TORCH[found.dtype], found.shape)
        return made[0] if is_same else None


def _copies(made: list[torch.Tensor]) -> list[torch.Tensor]:
    """They may be written to afterwards."""
    return [tensor.detach().clone() for tensor in made]
