"""Stages: groups that one launch may run, and the order of everything."""

from __future__ import annotations

import hypothesis
import torch
from hypothesis import strategies as st

import fusekit
from fusekit.fusion import Group, Partition, in_stages
from fusekit.ir import Node
from fusekit.runtime.program import Program


def program(function, *args) -> Program:
    found = fusekit.fuse(function).entry(args, {}).program
    assert found is not None
    return found


def sizes(function, *args) -> list[int]:
    """How many groups each launch runs."""
    return [len(launch) for launch in program(function, *args).launches]


def tensors(*shapes: tuple[int, ...], dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    return [torch.randn(shape).to(dtype) for shape in shapes]


def test_what_does_the_same_to_different_tensors_is_one_launch() -> None:
    xs = tensors((3, 4), (5,), (2, 3, 4), (1000,))
    assert sizes(lambda *xs: [torch.tanh(x) * 2 for x in xs], *xs) == [4]


def test_what_differs_in_numbers_only_is_one_launch() -> None:
    xs = tensors((30,), (40,))
    assert sizes(lambda x, y, s, t: (x * s, y * t), *xs, 2.0, 3.0) == [2]


def test_what_differs_is_not() -> None:
    x, y = tensors((30,), (40,))
    assert sizes(lambda x, y: (x * 2, y * 3), x, y) == [1, 1]
    assert sizes(lambda x, y: (x * 2, y * 2), x, y.double()) == [1, 1]
    assert sizes(lambda x, y: (x * 2, y * 2), x, torch.randn(8, 8)[:, ::2]) == [1, 1]
    assert sizes(lambda x, y: (x * 2, y * 2), x, torch.randn(1)) == [1, 1]
    assert sizes(lambda x, y: (x * 2, y * 2), x, torch.randn(0)) == [1]


def test_what_waits_for_another_is_not() -> None:
    (x,) = tensors((4, 4))
    assert sizes(lambda x: ((x * 2).cumsum(0) * 2).cumsum(0) * 2, x) == [1, 1, 1]


def test_two_rows_of_steps_are_two_launches() -> None:
    xs = tensors((10,), (20,), (30,))

    def function(*xs):
        totals = [(x * x).sum() for x in xs]
        norm = torch.stack(totals).sum()
        return [x / norm for x in xs]

    assert sizes(function, *xs)[0] == 3
    assert sizes(function, *xs)[-1] == 3


def is_in_order(divided: Partition, stages: tuple[int, ...]) -> bool:
    """True if every step comes after those that it reads, and calls stay as they were."""
    maker = {value: i for i, step in enumerate(divided.steps) for value in step.outputs}
    for i, step in enumerate(divided.steps):
        for value in step.inputs:
            if value in maker and stages[maker[value]] >= stages[i]:
                return False
    calls = [s.outputs for s in divided.steps if isinstance(s, Node) and s.op == "call"]
    return calls == sorted(calls) and list(stages) == sorted(stages)


steps = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 7), st.sampled_from(["mul", "add", "call"])),
    min_size=1,
    max_size=14,
)


@hypothesis.given(steps)
def test_any_program_runs_in_an_order_that_respects_data_flow(steps) -> None:
    def function(*xs):
        known = list(xs)
        for a, b, op in steps:
            x, y = known[a % len(known)], known[b % len(known)]
            if op == "call":
                known.append(x.cumsum(0))
            else:
                known.append(x * 2 if op == "mul" else x + y.sum())
        return known[len(xs) :]

    xs = tensors((4,), (6,), (5,))
    whole = program(function, *xs) if any(op != "call" for *_, op in steps) else None
    if whole is None:
        return
    again, stages = in_stages(whole.partition, lambda group: len(group.nodes))
    assert is_in_order(whole.partition, whole.stages)
    assert is_in_order(again, stages)
    assert {s.outputs for s in again.steps} == {s.outputs for s in whole.partition.steps}
    assert all(s.index == i for i, s in enumerate(again.steps) if isinstance(s, Group))
    for seam in again.seams:
        assert seam.value in again.steps[seam.producer].outputs
    for one, other in zip(fusekit.fuse(function)(*xs), function(*xs), strict=True):
        torch.testing.assert_close(one, other)
