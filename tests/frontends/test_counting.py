"""arange in kernels: an index and two numbers."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

import fusekit
from fusekit.frontends.fake import result_dtype

DTYPES = (None, torch.int64, torch.int32, torch.uint8, torch.float32, torch.float64)


@given(
    st.integers(-40, 40),
    st.integers(-40, 40),
    st.integers(-5, 5).filter(bool),
    st.sampled_from(DTYPES),
)
def test_an_arange_of_integers_is_eagers(start, end, step, dtype):
    def function(x):
        return x * torch.arange(start, end, step, dtype=dtype), torch.arange(3)

    if (end - start) * step < 0 or (dtype is torch.uint8 and min(start, end) < 0):
        return
    x = torch.randn(3, 1)
    expected, fused = function(x), fusekit.fuse(function)
    for ours, theirs in zip(fused(x), expected, strict=True):
        assert (ours.dtype, ours.stride()) == (theirs.dtype, theirs.stride())
        assert torch.equal(ours, theirs)
    assert not fused.explain(x).declined


def test_masks_are_kernels_and_keep_their_size():
    def causal(x):
        n = x.shape[-1]
        rows, columns = torch.arange(n)[:, None], torch.arange(n)[None, :]
        return torch.where(columns <= rows, x, float("-inf"))

    fused = fusekit.fuse(causal)
    for n in (4, 7, 4, 1, 0):
        x = torch.randn(2, n, n)
        assert torch.equal(fused(x), causal(x))
    explained = fused.explain(torch.randn(2, 5, 5))
    assert (len(explained.groups), explained.declined) == (1, ())


def test_the_numbers_are_arguments_of_one_kernel():
    fused = fusekit.fuse(lambda x, start, step: x + torch.arange(start, start + 4 * step, step))
    x = torch.zeros(4)
    assert torch.equal(fused(x, 3, 2), torch.tensor([3.0, 5, 7, 9]))
    before = fusekit.stats().kernels
    assert torch.equal(fused(x, 10, 3), torch.tensor([10.0, 13, 16, 19]))
    assert fusekit.stats().kernels == before


@pytest.mark.parametrize("numbers", [(0.0, 2.0, 0.3), (0, 1 << 25, 1 << 22), (5, 2, 1), (0, 3, 0)])
def test_what_rounds_or_raises_is_pytorchs(numbers):

    def function(x):
        return x + torch.arange(*numbers, dtype=torch.float32)[:1]

    fused, x = fusekit.fuse(function), torch.ones(1)
    try:
        expected = function(x)
    except RuntimeError:
        with pytest.raises(RuntimeError):
            fused(x)
    else:
        assert torch.equal(fused(x), expected)


def test_nobody_counts_to_learn_a_dtype():
    """Eight terabytes."""
    assert result_dtype(torch.ops.aten.arange.default, (1 << 40,), {}) is torch.int64
