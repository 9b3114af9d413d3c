"""The duet: eager's operators in program order, and what became of each in the fused program."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch

from fusekit.api import FusedFunction
from fusekit.frontends.dtypes import FROM_TORCH
from fusekit.frontends.seeds import is_seed
from fusekit.ir import Node
from fusekit.runtime.columns import aligned
from fusekit.runtime.operators import Operator, by_site, generator_state, kept_generators, watched
from fusekit.runtime.program import Program
from fusekit.runtime.tracing import TracedCall, prepared
from fusekit.viz.numbers.grids import brief

__all__ = ["BINS", "Duet", "Figures", "Step", "duet"]

BINS = 16
"""Bars of a thumbnail's histogram."""

_SAMPLE = 1 << 20
"""Elements that a thumbnail looks at, at most, evenly spaced."""

_STATES = {
    "ghost": "in registers only",
    "stored": "stored",
    "PyTorch": "run by PyTorch",
    "view": "a view",
    "absent": "not computed",
}
"""What can become of an operator's result, in words."""


@dataclasses.dataclass(frozen=True, slots=True)
class Figures:
    """A tensor in a few numbers, of its finite elements; complex ones by their magnitude.

    Attributes:
        dtype: element type: "f32", or PyTorch's name of one that kernels do not know.
        shape: extents.
        least: the smallest; None where no element is finite.
        mean: of all.
        most: the largest.
        nans: elements that are no number.
        infinities: infinite elements.
        histogram: how many fall into each of `BINS` equal parts from the smallest to the largest.
        looked_at: elements that were looked at.
    """

    dtype: str
    shape: tuple[int, ...]
    least: float | None
    mean: float | None
    most: float | None
    nans: int
    infinities: int
    histogram: tuple[int, ...]
    looked_at: int

    @property
    def tensor(self) -> str:
        """`f32[64,512]`."""
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"

    @property
    def numel(self) -> int:
        """Elements of the tensor."""
        return math.prod(self.shape)

    def __str__(self) -> str:
        """`-2 … 0.1 … 3.4, 2 NaN`: least, mean, most, and what is not finite."""
        parts = ["no elements"] if not self.numel else []
        if self.least is not None:
            parts = [" … ".join(brief(x) for x in (self.least, self.mean, self.most))]
        parts += [f"{self.nans} NaN"] if self.nans else []
        parts += [f"{self.infinities} infinite"] if self.infinities else []
        return ", ".join(parts)


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One operator of the eager program.

    Attributes:
        op: its name: "gelu".
        origin: the same with namespace and overload.
        line: the user's, if known.
        figures: of its result; None for a layout without elements to look at.
        state: "ghost" for a result that a kernel keeps in registers, "stored" for one that it
            stores, "PyTorch" for what no kernel computes, "view" for one that shares its
            argument's memory, "absent" for what is not computed, because it is there already or
            nobody needs it.
        group: number of the fusion group that computes it, from 0, or None.
        values: ids, in the program's graph, of what it became there.
    """

    op: str
    origin: str
    line: int | None
    figures: Figures | None
    state: str
    group: int | None
    values: tuple[int, ...]

    @property
    def said(self) -> str:
        """The state, in words."""
        return _STATES[self.state]


@dataclasses.dataclass(frozen=True, repr=False)
class Duet:
    """A function's operators beside its kernels. `str` gives a table.

    Attributes:
        name: of the function.
        engine: whose kernels they are.
        steps: in program order.
    """

    name: str
    engine: str
    steps: tuple[Step, ...]

    @property
    def ghosts(self) -> int:
        """How many intermediates are in memory in eager, and nowhere in the fused program."""
        return sum(step.state == "ghost" for step in self.steps)

    def sentence(self) -> str:
        """How many of eager's results are never stored."""
        made = sum(step.state != "view" for step in self.steps)
        return f"Eager writes {made} results; {self.ghosts} of them never reach memory when fused."

    def to_dict(self) -> dict[str, Any]:
        """Everything, in what JSON holds."""
        return dataclasses.asdict(self)

    def __repr__(self) -> str:
        """The table."""
        return str(self)

    def __str__(self) -> str:
        """A line for each operator, and how many results are never stored."""
        rows = [["", "operator", "result", "least … mean … most", "fused", "line"]]
        for number, step in enumerate(self.steps, start=1):
            group = "" if step.group is None else f"group {step.group + 1}, "
            found = step.figures
            rows.append(
                [
                    str(number),
                    step.op,
                    found.tensor if found else "",
                    str(found or ""),
                    f"{group}{step.said}",
                    str(step.line or ""),
                ]
            )
        return "\n".join([f"{self.name}: run by {self.engine}", *aligned(rows), self.sentence()])


def duet(fused: FusedFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Duet:
    """Watch the function in eager PyTorch, and find each of its operators in the fused program.

    The function is run on copies of its arguments, with the random numbers that the fused call
    would draw; PyTorch's generators are afterwards as they were.

    Raises:
        FusionDeclined: the call would not be fused; the decline says why.
    """
    with torch.no_grad():
        call = prepared(fused, args, kwargs)
        with kept_generators(call.device):
            state = generator_state(call.device)
            seed = _seed(call)
            ran = watched(fused.function, args, kwargs, _figures, seed=seed, state=state)
    return Duet(fused.name, call.engine.name, tuple(_steps(call.program, ran)))


def _seed(call: TracedCall) -> torch.Tensor | None:
    """The seed that the call would draw, if it draws."""
    seeds = [node.output for node in call.program.graph.nodes if is_seed(node)]
    return call.run((seeds[0],))[seeds[0]] if seeds else None


def _steps(program: Program, ran: list[Operator[Figures | None]]) -> list[Step]:
    traced = program.capture.graph
    site_of = {number: site for site, number in by_site(traced, ran).items()}
    captured = {node.site: node for node in traced.nodes}
    became: dict[int, list[int]] = {}
    for node in program.graph.nodes:
        if node.op not in ("const", "index"):
            became.setdefault(node.site, []).extend(node.outputs)
    steps = []
    for number, operator in enumerate(ran):
        site = site_of.get(number, -1)
        values = tuple(became.get(site, ()))
        state, group = _state(program, captured.get(site), values)
        parts = operator.origin.split(".")
        steps.append(
            Step(
                op=parts[1] if len(parts) > 1 else operator.origin,
                origin=operator.origin,
                line=operator.loc.line if operator.loc else None,
                figures=None if "empty" in operator.origin else operator.note,  # never the same
                state=state,
                group=group,
                values=values if state in ("ghost", "stored", "PyTorch") else (),
            )
        )
    return steps


def _state(program: Program, node: Node | None, values: tuple[int, ...]) -> tuple[str, int | None]:
    if node is None:
        return "absent", None
    if node.op == "view":
        return "view", None
    if node.op == "call":
        return ("PyTorch" if values else "absent"), None
    for number, call in enumerate(program.kernels):
        made = {out for each in call.group.nodes for out in each.outputs}
        if made.intersection(values) or (node.op == "cat" and made.intersection(node.inputs)):
            stored = {place.base for place in call.writes} | set(call.group.outputs)
            return "stored" if stored.intersection(values) else "ghost", number
    return ("stored" if values else "absent"), None


def _figures(made: list[torch.Tensor]) -> Figures | None:
    """Of the first result: the others, if any, are what a gradient keeps."""
    tensor = made[0]
    if tensor.layout is not torch.strided or tensor.is_quantized:
        return None
    flat = tensor.detach()
    if tensor.numel() > _SAMPLE:
        flat = flat.reshape(-1)[:: -(-tensor.numel() // _SAMPLE)]
    wide = (flat.abs() if flat.is_complex() else flat).double().reshape(-1)
    finite = wide[wide.isfinite()]
    least, most = (float(finite.min()), float(finite.max())) if len(finite) else (None, None)
    bars = _bars(finite, least, most) if least is not None and most is not None else []
    return Figures(
        dtype=FROM_TORCH[tensor.dtype].value
        if tensor.dtype in FROM_TORCH
        else str(tensor.dtype).removeprefix("torch."),
        shape=tuple(tensor.shape),
        least=least,
        mean=float(finite.mean()) if len(finite) else None,
        most=most,
        nans=int(wide.isnan().sum()),
        infinities=int(wide.isinf().sum()),
        histogram=tuple(bars),
        looked_at=len(wide),
    )


def _bars(finite: torch.Tensor, least: float, most: float) -> list[int]:
    span = most - least
    if not 0 < span < math.inf:
        return [len(finite), *[0] * (BINS - 1)]
    where = ((finite - least) * (BINS / span)).long().clamp(0, BINS - 1)
    return torch.bincount(where, minlength=BINS).tolist()
