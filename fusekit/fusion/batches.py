"""Batches: groups that do the same to different tensors run as one launch.

A step of an optimizer is the same kernel for every parameter. Steps have a *level*: one more than
the highest of those that they wait for. No path leads between two steps of one level, so groups of
one level and one key make a *stage*, which may run in any order or at the same time. Everything
else is a stage by itself. Calls wait for the call before them, as the user wrote them.
"""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Callable, Hashable, Sequence

from fusekit.fusion.partition import Group, Partition, Step
from fusekit.ir import Node

__all__ = ["in_stages"]


def in_stages(
    partition: Partition, key_of: Callable[[Group], Hashable | None]
) -> tuple[Partition, tuple[int, ...]]:
    """The partition with the steps of each stage behind one another, and every step's stage.

    Args:
        partition: the steps, in an order that respects data flow.
        key_of: equal for groups that one launch can run; None for one that runs alone.

    Returns:
        The partition, which is the same object if no two groups share a stage; and the number of
        each step's stage, in order, from 0.
    """
    steps = partition.steps
    waits = _waits(steps)
    stage_of = _stages(steps, waits, key_of)
    if len(set(stage_of)) == len(steps):
        return partition, tuple(range(len(steps)))
    order = _order(waits, stage_of)
    position = {old: new for new, old in enumerate(order)}
    numbers: dict[int, int] = {}
    stages = tuple(numbers.setdefault(stage_of[old], len(numbers)) for old in order)
    moved = tuple(_numbered(steps[old], new) for new, old in enumerate(order))
    seams = tuple(
        dataclasses.replace(
            seam, producer=position[seam.producer], consumer=position[seam.consumer]
        )
        for seam in partition.seams
    )
    return dataclasses.replace(partition, steps=moved, seams=seams), stages


def _numbered(step: Step, index: int) -> Step:
    return dataclasses.replace(step, index=index) if isinstance(step, Group) else step


def _waits(steps: Sequence[Step]) -> list[set[int]]:
    """For each step, those that have to be over before it."""
    maker: dict[int, int] = {}
    found: list[set[int]] = []
    last_call = -1
    for number, step in enumerate(steps):
        needs = {maker[value] for value in step.inputs if value in maker}
        if isinstance(step, Node) and step.op == "call":
            needs |= {last_call} - {-1}
            last_call = number
        found.append(needs)
        maker.update(dict.fromkeys(step.outputs, number))
    return found


def _stages(
    steps: Sequence[Step],
    waits: Sequence[set[int]],
    key_of: Callable[[Group], Hashable | None],
) -> list[int]:
    """For each step, the first one of its stage."""
    level: list[int] = []
    first: dict[Hashable, int] = {}
    found = []
    for number, step in enumerate(steps):
        level.append(1 + max((level[other] for other in waits[number]), default=-1))
        key = key_of(step) if isinstance(step, Group) else None
        found.append(number if key is None else first.setdefault((level[-1], key), number))
    return found


def _order(waits: Sequence[set[int]], stage_of: Sequence[int]) -> list[int]:
    """Stage by stage, each as soon as it may be after those that began before it."""
    members: dict[int, list[int]] = {}
    for step, stage in enumerate(stage_of):
        members.setdefault(stage, []).append(step)
    needs = {
        stage: {stage_of[other] for step in steps for other in waits[step]}
        for stage, steps in members.items()
    }
    followers: dict[int, list[int]] = {stage: [] for stage in members}
    for stage, others in needs.items():
        for other in others:
            followers[other].append(stage)
    missing = {stage: len(others) for stage, others in needs.items()}
    ready = [stage for stage, count in missing.items() if not count]
    heapq.heapify(ready)
    order: list[int] = []
    while ready:
        stage = heapq.heappop(ready)
        order += members[stage]
        for follower in followers[stage]:
            missing[follower] -= 1
            if not missing[follower]:
                heapq.heappush(ready, follower)
    return order
