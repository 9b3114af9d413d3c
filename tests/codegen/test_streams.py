"""Streaming stores: the same results, whole lines only, nothing of it where it is not asked for."""

from __future__ import annotations

from collections import OrderedDict
from weakref import WeakValueDictionary

import pytest
import torch

import fusekit
from fusekit.codegen import schedule
from fusekit.runtime import kernels, memory


@pytest.fixture
def streaming(monkeypatch):
    """Every call is a large one; the kernels are this test's own."""
    monkeypatch.setattr(schedule, "_STREAM_BYTES", 1)
    monkeypatch.setattr(kernels, "_slots", OrderedDict())
    monkeypatch.setattr(kernels, "_alive", WeakValueDictionary())
    with fusekit.options(disk_cache=False):
        yield


@pytest.mark.parametrize("size", [1, 15, 31, 32, 33, 64, 100, 4096, 100_003])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.int8])
def test_streamed_results_are_those_of_eager(streaming, size, dtype):
    def function(x, y):
        return x * y, x > y

    x, y = (torch.arange(size) % 11).to(dtype), (torch.arange(size, 0, -1) % 7).to(dtype)
    fused = fusekit.fuse(function, engine="llvm")
    for got, wanted in zip(fused(x, y), function(x, y), strict=True):
        assert torch.equal(got, wanted)


@pytest.mark.parametrize("width", [1, 7, 48, 64, 200])
def test_rows_of_any_width(streaming, width):
    x, row = torch.randn(37, width), torch.randn(width)
    fused = fusekit.fuse(lambda x, row: torch.cat([x + row, x * row], dim=1), engine="llvm")
    assert torch.equal(fused(x, row), torch.cat([x + row, x * row], dim=1))


def test_the_decision_is_in_the_kernel(streaming):
    x = torch.randn(64)
    text = fusekit.fuse(lambda x: torch.relu(x) * 2, engine="llvm").source(x)
    assert "!nontemporal !0" in text
    assert "fence seq_cst" in text


def test_large_results_lie_on_huge_pages_or_where_they_always_did():
    def allocate(shape, strides, dtype):
        return torch.empty_strided(shape, strides, dtype=dtype)

    made = memory.with_huge_pages(allocate)((memory.LARGE,), (1,), torch.uint8)
    assert made.fill_(3).sum() == 3 * memory.LARGE
