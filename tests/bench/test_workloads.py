"""The named workloads, the arguments of the command line, the distance to float64."""

from __future__ import annotations

import math

import pytest
import torch

import fusekit
from fusekit.bench.accuracy import distance, reference
from fusekit.bench.arguments import parse_arguments
from fusekit.bench.workloads import WORKLOADS, workload
from fusekit.errors import UsageError


@pytest.mark.parametrize("work", WORKLOADS.values(), ids=lambda w: w.name)
def test_every_workload_fuses_into_one_kernel_and_is_as_good_as_eager(work):
    args = work.make_args(1 << 13)
    fused = fusekit.fuse(work.function)
    with torch.no_grad():
        result, eager = fused(*args), work.function(*args)
        exact = reference(work.reference or work.function, args, {})
    assert len(fused.explain(*args).groups) == 1
    ours, theirs = distance(result, exact), distance(eager, exact)
    assert ours.ulp <= max(2.0, 1.5 * theirs.ulp)


@pytest.mark.parametrize("work", WORKLOADS.values(), ids=lambda w: w.name)
def test_arguments_are_the_same_each_time_and_leave_the_generator_alone(work):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    once, again = work.make_args(1 << 10), work.make_args(1 << 10)
    assert torch.equal(torch.get_rng_state(), before)
    for a, b in zip(once, again, strict=True):
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def test_an_unknown_workload_is_told_the_known_ones():
    with pytest.raises(UsageError, match="relu_tanh"):
        workload("softmax")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_distance_counts_in_units_of_the_last_place(dtype):
    one = torch.ones(3, dtype=dtype)
    above = torch.nextafter(one, 2 * one) if dtype is torch.float32 else one + 2 * _eps(dtype)
    steps = 1.0 if dtype is torch.float32 else 2.0
    assert distance(above, one.double()).ulp == pytest.approx(steps)
    assert distance(one, one.double()).absolute == 0.0


def _eps(dtype):
    return torch.finfo(dtype).eps


def test_distance_passes_over_what_is_not_finite():
    exact = torch.tensor([math.inf, math.nan, 1.0], dtype=torch.float64)
    assert distance(torch.tensor([1.0, 1.0, 1.0]), exact).ulp == 0.0


def test_parse_arguments():
    args, kwargs = parse_arguments(
        "float32[4,1024], i64[], bool[2], -2.5, (1, 2), None, approximate='ta,nh', k=3"
    )
    assert (args[0].shape, args[0].dtype) == ((4, 1024), torch.float32)
    assert (args[1].shape, args[1].dtype) == ((), torch.int64)
    assert args[2].dtype is torch.bool
    assert args[3:] == (-2.5, (1, 2), None)
    assert kwargs == {"approximate": "ta,nh", "k": 3}
    assert parse_arguments("") == ((), {})


@pytest.mark.parametrize(
    "text",
    [
        "float33[2]",
        "float32[-1]",
        "float32[2,,3]",
        "f32[99999999999]",
        "__import__('os')",
        "x",
        "1,,2",
        "k=1, 2",
        "[",
    ],
)
def test_what_is_no_argument_is_said_to_be_none(text):
    with pytest.raises(UsageError, match="--args"):
        parse_arguments(text)
