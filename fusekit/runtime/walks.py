"""Where in a kernel's walk an element is computed: its number, its vector lane, its thread."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import torch

from fusekit.codegen.cpu_walks import TILE
from fusekit.codegen.layout import layout_words
from fusekit.codegen.schedule import Schedule, Target, choose
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
    if found is None:
        return None
    at = dict(zip(order, found, strict=True))
    extents, coordinates = [extent for extent, _ in dims], [at[dim] for dim in range(len(dims))]
    schedule = _schedule(call, engine)
    if schedule is not None and all(schedule.block):
        return _in_blocks(number, extents, coordinates, schedule, engine)
    flat = 0
    for extent, coordinate in zip(extents, coordinates, strict=True):
        flat = flat * extent + coordinate
    total = math.prod(extents)
    walk = Walk(number, flat, total, extents[-1] if extents else 1)
    if call.binding.args.outputs[0].flat and engine.name == "llvm":
        walk = dataclasses.replace(walk, row=total)
    return _in_vectors(walk, schedule) if schedule and engine.name == "llvm" else walk


def _schedule(call: KernelCall, engine: Engine) -> Schedule | None:
    """None on a GPU, whose grid decides."""
    target = engine.load_compiler().target() if engine.compiler else Target()
    schedule = choose(call.spec, call.binding.args, target)
    return schedule if isinstance(schedule, Schedule) else None


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


def _in_blocks(
    group: int, extents: Sequence[int], at: Sequence[int], schedule: Schedule, engine: Engine
) -> Walk:
    """Where a kernel takes block after block, all of one row of them before the next."""
    *outer, rows, columns = extents
    height, width = schedule.block if engine.name == "llvm" else TILE
    down, across = -(-rows // height), -(-columns // width)
    place = 0
    for extent, coordinate in zip(outer, at, strict=False):
        place = place * extent + coordinate
    top, left = at[-2] // height * height, at[-1] // width * width
    tall, wide = min(height, rows - top), min(width, columns - left)
    before = place * rows * columns + top * columns + left * tall
    flat = before + (at[-2] - top) * wide + at[-1] - left
    walk = Walk(group, flat, math.prod(extents), wide)
    if engine.name != "llvm":
        return walk
    block = (place * down + top // height) * across + left // width
    total, grain = math.prod(outer) * down * across, max(schedule.grain // (height * width), 1)
    threads, lane, lanes = 1, at[-1] - left, schedule.lanes
    if total > grain:
        threads = min(total // grain + 1, torch.get_num_threads())
    is_whole = (lane // lanes + 1) * lanes <= wide
    return dataclasses.replace(
        walk,
        lanes=lanes,
        lane=lane % lanes if is_whole else -1,
        threads=threads,
        thread=block // -(-total // threads),
    )


def _in_vectors(walk: Walk, schedule: Schedule) -> Walk:
    """As `llvm_threads` shares the elements out, and `llvm_loops` steps through a row."""
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
