"""The table of the GPU benchmark: bytes counted by hand, results compared on the CPU."""

from __future__ import annotations

import pytest
import torch

import fusekit
from fusekit.bench.gpu.checks import close, same_statistics
from fusekit.bench.gpu.cupy_forms import CUPY_FORMS
from fusekit.bench.gpu.traffic import Traffic, traffic
from fusekit.bench.gpu.workloads import GPU_WORKLOADS, TINY, chosen
from fusekit.errors import UsageError

SIDE = 16

# 256 elements: what goes in, and then what comes out
BYTES = {
    "chain_f32": 2 * 1024 + 1024,
    "chain_bf16": 2 * 512 + 512,
    "bias_gelu": 512 + 32 + 512,
    "swiglu": 2 * 512 + 512,
    "lstm_cell": 2 * 1024 + 256 + 64 + 2 * 256,
    "black_scholes": 3 * 1024 + 2 * 1024,
    "transpose_add": 2 * 1024 + 1024,
    "normalize_image": 192 + 2 * 12 + 768,
    "rotary": 3 * 512 + 512,
    "slices": 2 * 512 + 512,
    "int64": 2 * 2048 + 2048,
    "dropout_residual": 2 * 512 + 512,
}

WORKS = [*GPU_WORKLOADS.values(), TINY]


@pytest.mark.parametrize("work", GPU_WORKLOADS.values(), ids=lambda w: w.name)
def test_the_bytes_are_those_counted_by_hand(work):
    args = work.make_args(SIDE, "cpu")
    found = work.traffic(args, work.function(*args))
    assert found.needed == BYTES[work.name]
    # every second float of two tensors: their sectors are read whole
    moved = {"slices": 2 * 1024 + 512}
    assert found.moved == moved.get(work.name, BYTES[work.name])


@pytest.mark.parametrize("work", WORKS, ids=lambda w: w.name)
def test_fused_is_what_eager_is(work):
    args = work.make_args(SIDE, "cpu")
    with torch.no_grad():
        assert work.check(fusekit.fuse(work.function)(*args), work.function(*args), args) == ""


@pytest.mark.parametrize("work", WORKS, ids=lambda w: w.name)
def test_arguments_are_the_same_each_time(work):
    once, again = work.make_args(SIDE, "cpu"), work.make_args(SIDE, "cpu")
    for a, b in zip(once, again, strict=True):
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def test_a_tensor_is_moved_once_wherever_it_is_broadcast_and_in_whole_sectors():
    row = torch.zeros(8)
    assert traffic([row.expand(100, 8)], []) == Traffic(32, 32)
    assert traffic([torch.zeros(64)[::16]], []) == Traffic(16, 4 * 32)
    assert traffic([torch.zeros(64, dtype=torch.float64)[::2]], []) == Traffic(256, 512)
    assert traffic([torch.zeros(4, 4).t()], [torch.zeros(0, 3)]) == Traffic(64, 64)


def test_what_is_chosen_keeps_the_order_of_the_table():
    assert [work.name for work in chosen(["int64", "swiglu"])] == ["swiglu", "int64"]
    assert len(chosen(None)) == len(GPU_WORKLOADS) == 12
    with pytest.raises(UsageError, match="no GPU workload 'softmax'; there are chain_f32"):
        chosen(["softmax"])


def test_only_what_cupy_can_hold_has_a_form():
    assert set(CUPY_FORMS) <= {*GPU_WORKLOADS, TINY.name}
    for name, (_, views) in CUPY_FORMS.items():
        work = {**GPU_WORKLOADS, TINY.name: TINY}[name]
        dtypes = {view.dtype for view in views(*work.make_args(SIDE, "cpu"))}
        assert torch.bfloat16 not in dtypes


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (torch.ones(3), ""),
        (torch.ones(3) + 1e-5, ""),
        (torch.ones(3) + 1, "off by 1"),
        (torch.ones(3).double(), "float64 [3] instead of float32 [3]"),
        (torch.ones(4), "float32 [4] instead of float32 [3]"),
        ((torch.ones(3), torch.ones(3)), "2 results instead of 1"),
        (1.0, "a float instead of a tensor"),
    ],
)
def test_what_is_wrong_is_said(result, said):
    assert close(result, torch.ones(3), ()) == said


def test_integers_must_be_the_same():
    assert close(torch.tensor([2**40 + 1]), torch.tensor([2**40]), ()) == "integers differ"


def test_dropout_is_judged_by_how_much_it_drops():
    x, y = torch.randn(1 << 16), torch.zeros(1 << 16)
    expected = torch.dropout(x, 0.1, train=True)
    assert same_statistics(torch.dropout(x, 0.1, train=True), expected, (x, y)) == ""
    assert "dropped" in same_statistics(torch.dropout(x, 0.2, train=True), expected, (x, y))
    assert "deviation" in same_statistics(2 * expected, expected, (x, y))
    assert "bfloat16" in same_statistics(expected.bfloat16(), expected, (x, y))
