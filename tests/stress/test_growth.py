"""A day's worth of distinct kernels: memory and handles stay where they are."""

from __future__ import annotations

import gc
import resource
from pathlib import Path

import pytest
import torch

import fusekit
from fusekit.runtime import kernels
from tests.faults.children import in_child

X = torch.linspace(-3, 3, 53)


def resident() -> int:
    """Bytes of memory in use."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def handles() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def call_distinct(first: int, last: int) -> None:
    """Fuse, call and drop functions, of which each has a kernel of its own."""
    for number in range(first, last):
        fused = fusekit.fuse(lambda x, n=number: (x + n) * 1.125)
        assert torch.equal(fused(X), fused.function(X))


def growth(first: int, last: int) -> tuple[float, int, int]:
    """Of memory between so many kernels and so many, as a share; handles; kernels compiled."""
    with fusekit.options(disk_cache=False):
        call_distinct(0, first)
        memory, opened = resident(), handles()
        before = fusekit.stats().kernels
        call_distinct(first, last)
        return resident() / memory - 1, handles() - opened, fusekit.stats().kernels - before


def test_memory_stays_where_it_is():
    """In a child, with what a process keeps for nobody in particular cut down in proportion."""

    def work() -> tuple[float, int, int]:
        kernels.MOST_IDLE = 64
        return growth(100, 400)

    share, more_handles, compiled = in_child(work, 200)
    assert compiled == 300
    assert share < 0.03  # as a part of the 20 % that ten thousand may take
    assert more_handles <= 0


@pytest.mark.slow
def test_memory_after_ten_thousand_kernels():
    share, more_handles, compiled = in_child(lambda: growth(1000, 10_000), 3000)
    print(f"memory grew by {share:.1%} from 1,000 to 10,000 kernels")
    assert compiled == 9000
    assert share < 0.2
    assert more_handles <= 0


def test_what_is_used_is_never_compiled_again():
    """The bound is for kernels that nobody holds: a plan's own stay its own."""

    def work() -> int:
        kernels.MOST_IDLE = 8
        function = lambda x: (x - 0.375).abs() * 7  # noqa: E731
        fused = fusekit.fuse(function)
        fused(X)
        with fusekit.options(disk_cache=False):
            call_distinct(20_000, 20_040)
            assert len(kernels._slots) <= 8
            before = fusekit.stats().kernels
            again = fusekit.fuse(function)
            assert torch.equal(again(X), function(X))
            return fusekit.stats().kernels - before

    assert in_child(work) == 0
