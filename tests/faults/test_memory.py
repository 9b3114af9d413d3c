"""Memory, stack and disk that run out: eager's result or its error, and life goes on."""

from __future__ import annotations

import collections
import resource
import sys
from pathlib import Path

import pytest
import torch

import fusekit
from tests.faults.children import codes, fresh, in_child, right

X = torch.linspace(-3, 3, 53)


def allow(more: int | None) -> None:
    """Limit this process to its present address space and so many bytes more; None lifts it."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    now = pages * resource.getpagesize()
    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (most if more is None else now + more, most))


@pytest.mark.parametrize("engine", ["llvm", "cpp"])
@pytest.mark.parametrize("megabytes", [0, 8, 40])
def test_no_memory_to_compile(engine, megabytes):
    def work() -> dict[str, int]:
        right(fresh(engine), X)
        fused = fresh(engine)
        allow(megabytes << 20)
        for _ in range(2):
            right(fused, X)
        found = codes(fused)
        allow(None)
        right(fused, X)
        new = fresh(engine)
        right(new, X)
        assert not codes(new)
        if "FK0303" not in found:  # the host's compiler, which says no more than that it failed
            assert codes(fused) == found  # what failed for want of memory is tried again
        return found

    found = in_child(work)
    if engine == "llvm":
        assert found == {"FK0309": 2}
    else:
        assert sum(found.values()) in (0, 2)


def test_no_memory_for_the_result():
    def work() -> str:
        x = torch.zeros(1 << 24)
        fused = fresh()
        right(fused, x[:100])
        held = fused(x)  # or its memory would serve again
        allow(32 << 20)
        said = []
        for function in (fused, fused.function):
            try:
                function(x)
            except Exception as error:  # noqa: BLE001  compared below
                said.append((type(error), str(error).partition("\n")[0]))
        assert len(said) == 2
        assert said[0][0] is said[1][0]
        assert "allocate" in said[0][1]
        assert "allocate" in said[1][1]
        right(fused, x[:100])
        allow(None)
        right(fused, x)
        del held
        return str(codes(fused))

    assert in_child(work) == "{}"


def depth() -> int:
    """How many frames the caller stands on."""
    frame, count = sys._getframe(1), 0
    while frame is not None:
        frame, count = frame.f_back, count + 1
    return count


def test_no_stack_to_prepare_kernels():
    """With any depth that eager PyTorch lives with, and a few frames more, the call is served."""

    def work() -> tuple[int, dict[str, int]]:
        served, found = 0, collections.Counter()
        limit, here = sys.getrecursionlimit(), depth()
        for left in range(16, 200, 4):
            fused = fresh()
            sys.setrecursionlimit(here + left)
            try:
                made = fused(X)
            except RecursionError:
                assert left < 40, left
                continue
            finally:
                sys.setrecursionlimit(limit)
            served += 1
            torch.testing.assert_close(made, fused.function(X), rtol=0, atol=0)
            assert set(codes(fused)) <= {"FK0309"}, (left, str(fused.history()))
            found.update(codes(fused))
            right(fused, X)
            assert sum(codes(fused).values()) <= 1  # it was not remembered
        return served, found

    served, found = in_child(work)
    assert served > 30
    assert found["FK0309"] > 2


def test_a_function_that_never_ends_to_recurse():
    def function(x):
        return function(x + 1)

    fused = fusekit.fuse(function)
    for _ in range(2):
        with pytest.raises(RecursionError):
            fused(X)
    assert codes(fused) == {"FK0309": 2}
    right(fresh(), X)
