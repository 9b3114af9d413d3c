"""What a call works on: the inputs of its graph, its scalars, and what it makes on the way."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from torch.utils import _pytree as pytree

from fusekit.errors import FusionDeclined
from fusekit.frontends.fx import Result
from fusekit.runtime.engines import Engine
from fusekit.runtime.plan import MISS, make_plan
from fusekit.runtime.program import Program, rebind
from fusekit.specs import Decline, Reason

if TYPE_CHECKING:
    import torch

__all__ = ["inputs_of", "made_by", "numbers_of"]


def inputs_of(program: Program, leaves: Sequence[Any]) -> dict[int, torch.Tensor]:
    """The tensor inputs of the graph."""
    found = {}
    sources = zip(program.graph.tensor_inputs, program.capture.sources, strict=True)
    for value, source in sources:
        if source.leaf is not None:
            found[value] = leaves[source.leaf]
        else:
            found[value] = source.free.fetch() if source.free else source.constant
    return found


def numbers_of(program: Program, leaves: Sequence[Any]) -> dict[int, Any]:
    """The scalar inputs of the graph, as Python numbers."""
    names = {f"a{i}": leaf for i, leaf in enumerate(leaves)}
    pairs = zip(program.graph.scalar_inputs, program.capture.scalars, strict=True)
    return {value: eval(text, {}, names) for value, text in pairs}  # noqa: S307  the trace's own


def made_by(
    program: Program,
    engine: Engine,
    leaves: Sequence[Any],
    wanted: Sequence[int],
    give_up: Callable[[Sequence[Any], Decline], Any],
) -> dict[int, torch.Tensor]:
    """Make the call once, without its writes, and keep these of the tensors made on the way.

    It is made even if nothing is wanted: what it draws is drawn, and a trap is met.

    Raises:
        FusionDeclined: the call runs in PyTorch after all.
    """
    results = tuple(Result(value=value) for value in wanted)
    structure = pytree.tree_flatten((0,) * len(wanted))[1]
    graph = program.graph
    changed = rebind(
        dataclasses.replace(
            program,
            capture=dataclasses.replace(
                program.capture, results=results, out_spec=structure, writes=()
            ),
            graph=dataclasses.replace(graph, outputs=(*graph.outputs, *wanted)),
            results=tuple(wanted),
            writes=(),
        )
    )
    made = make_plan(changed, engine, leaves, give_up).run(leaves)
    if made is MISS:
        raise FusionDeclined(Decline(Reason.TRANSFORM))
    return dict(zip(wanted, made, strict=True))
