"""Where in a kernel's walk an element is computed: its number, its vector lane, its thread."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import torch

from fusekit.codegen.layout import layout_words
from fusekit.codegen.schedule import Schedule, choose
from fusekit.runtime.elements import solve
from fusekit.runtime.engines import Engine
from fusekit.runtime.program import KernelCall
from fusekit.specs import Stride

__all__ = ["Walk", "walk_of"]


@dataclasses.dataclass(frozen=True, slots=True)
class Walk:
    """Where one element of one kernel is computed.

    Attributes:
        group: number of the fusion group, from 0.
        number: the element's, from 0, in the order in which the kernel counts.
        total: elements that the kernel computes.
        row: length of the innermost loop.
        lanes: elements that one step of it computes together; 0 where the compiler, or the GPU's
            grid, decides.
        lane: which of them it is; -1 where its step is not a whole vector.
        threads: how many share the elements; 0 where that is not known.
        thread: which of them, from 0.
    """

    group: int
    number: int
    total: int
    row: int
    lanes: int = 0
    lane: int = -1
    threads: int = 0
    thread: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Everything, in what JSON holds."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        """`group 1: element 35 of 64, in an inner loop of 16; lane 3 of 16; thread 0 of 1`."""
        parts = [f"group {self.group + 1}: element {self.number:,} of {self.total:,}"]
        if self.row < self.total:
            parts[0] += f", in an inner loop of {self.row:,}"
        if self.lane >= 0:
            parts.append(f"lane {self.lane} of {self.lanes}")
        elif self.lanes:
            parts.append(f"in a step of less than {self.lanes} lanes")
        if self.threads:
            parts.append(f"thread {self.thread} of {self.threads}")
        return "; ".join(parts)


def walk_of(
    call: KernelCall, number: int, value: int, index: Sequence[int], engine: Engine
) -> Walk | None:
    """The walk of group `number`'s kernel to an element of one of its results; None if of none."""
    if value not in call.group.outputs or not call.binding.numel:
        return None
    position = call.group.outputs.index(value)
    place = call.writes[position]
    offset = sum(step * i for step, i in zip(place.strides, index, strict=True))
    dims = _dims(call, position)
    order = sorted(range(len(dims)), key=lambda dim: dims[dim][1], reverse=True)
    found = solve([dims[dim] for dim in order], offset)
    if found is None:  # tiles that do not divide the extents count otherwise
        return None
    at = dict(zip(order, found, strict=True))
    flat = 0
    for dim, (extent, _) in enumerate(dims):
        flat = flat * extent + at[dim]
    row = dims[-1][0] if dims else 1
    total = math.prod(extent for extent, _ in dims)
    walk = Walk(number, flat, total, row)
    return _in_vectors(walk, call, engine) if engine.name == "llvm" else walk


def _dims(call: KernelCall, position: int) -> list[tuple[int, int]]:
    """Extent, and stride of an output, of each dimension of the walk, outermost first."""
    args = call.binding.args
    which = len(args.inputs) + position
    strides = [0 if stride is Stride.BROADCAST else 1 for stride in args.outputs[position].strides]
    extents = [1] * args.ndim
    for word, number in zip(layout_words(args), call.binding.layout, strict=True):
        if word.kind == "size":
            extents[word.dim] = number
        elif word.kind == "stride" and word.tensor == which:
            strides[word.dim] = number
    return list(zip(extents, strides, strict=True))


def _in_vectors(walk: Walk, call: KernelCall, engine: Engine) -> Walk:
    """As `llvm_threads` shares the elements out, and `llvm_loops` steps through a row."""
    schedule = choose(call.spec, call.binding.args, engine.load_compiler().target())
    assert isinstance(schedule, Schedule)
    lanes, threads, thread, begin, end = schedule.lanes, 1, 0, 0, walk.total
    if walk.total > schedule.grain:
        threads = min(walk.total // schedule.grain + 1, torch.get_num_threads())
        unit = threads * lanes
        share = (walk.total + unit - 1) // unit * lanes
        thread = walk.number // share
        begin, end = thread * share, min((thread + 1) * share, walk.total)
    start = max(begin, walk.number // walk.row * walk.row)
    stop = min(end, (walk.number // walk.row + 1) * walk.row)
    step = (walk.number - start) // lanes
    is_whole = start + (step + 1) * lanes <= stop
    lane = (walk.number - start) % lanes if is_whole else -1
    return dataclasses.replace(walk, lanes=lanes, lane=lane, threads=threads, thread=thread)
