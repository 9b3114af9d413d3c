"""Memory that is used again: never while anything refers to it, and with nothing to be noticed."""

from __future__ import annotations

import gc
import io
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

import fusekit
from fusekit.runtime import pool as pools
from fusekit.runtime.memory import LARGE
from fusekit.runtime.pool import Pool, pool

SIZE = LARGE // 4
"""float32 elements of a result that the pool makes."""


def double(x: torch.Tensor) -> torch.Tensor:
    return x * 2 + 1


@pytest.fixture
def fused() -> Iterator[Callable[..., torch.Tensor]]:
    gc.collect()
    yield fusekit.fuse(double, engine="llvm")
    gc.collect()


def ones(value: float = 1.0) -> torch.Tensor:
    return torch.full((SIZE,), float(value))


def test_this_pytorch_tells_who_refers_to_a_storage() -> None:
    assert pools._works()


def test_a_dead_result_is_used_again_and_a_live_one_is_not(fused: Any) -> None:
    first = fused(ones())
    address = first.data_ptr()
    second = fused(ones(2))
    assert second.data_ptr() != address
    assert torch.equal(first, ones(3))
    del first
    before = fusekit.stats().reuses
    assert fused(ones(3)).data_ptr() == address
    assert fusekit.stats().reuses == before + 1
    assert torch.equal(second, ones(5))


HOLDERS: dict[str, Callable[[torch.Tensor], Any]] = {
    "a view": lambda x: x[5:7],
    "a reshaped view": lambda x: x.view(-1, 2).t(),
    "detached": lambda x: x.detach(),
    "numpy": lambda x: x.numpy(),
    "a slice of numpy": lambda x: x.numpy()[3:5],
    "a memoryview": lambda x: memoryview(x.numpy()),
    "dlpack": lambda x: x.__dlpack__(),
    "through dlpack": torch.from_dlpack,
    "the storage alone": lambda x: x.untyped_storage(),
    "a typed storage": lambda x: x.storage(),
    "a parameter": torch.nn.Parameter,
    "another dtype": lambda x: x.view(torch.int32),
    "set_": lambda x: torch.empty(0).set_(x.untyped_storage(), 4, (2,), (1,)),
    "data": lambda x: x.data,
    "a list of chunks": lambda x: x.chunk(3)[2],
}


@pytest.mark.parametrize("holder", HOLDERS.values(), ids=HOLDERS)
@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
def test_whatever_refers_to_memory_keeps_it(fused: Any, holder: Callable[..., Any]) -> None:
    result = fused(ones())
    address = result.data_ptr()
    held = holder(result)
    del result
    later = [fused(ones(value)) for value in range(5)]
    assert address not in [each.data_ptr() for each in later]
    del held, later
    gc.collect()
    assert fusekit.stats().idle_bytes == 0


def test_what_is_saved_for_a_backward_stays(fused: Any) -> None:
    leaf = ones().requires_grad_()
    hidden = fusekit.fuse(lambda x: torch.tanh(x) * 1.0)(leaf)
    squared = hidden * hidden  # autograd saves the result, and nobody else holds it
    del hidden
    for value in range(5):
        fused(ones(value))
    squared.sum().backward()
    tanh = torch.tanh(ones())
    assert leaf.grad is not None
    torch.testing.assert_close(leaf.grad, 2 * tanh * (1 - tanh * tanh))


def test_results_are_tensors_like_any_other(fused: Any) -> None:
    for _ in range(2):  # made, then used again
        result = fused(ones())
        fresh = double(ones())
        assert result._version == fresh._version == 0
        assert result._base is None
        assert result.is_leaf
        assert not result.requires_grad
        assert result.storage_offset() == 0
        assert result.untyped_storage().nbytes() == fresh.untyped_storage().nbytes()
        assert result.untyped_storage().resizable()
        assert result.grad is None
        result.mul_(2).note = "kept"  # type: ignore[attr-defined]
        assert result._version == 1
        del result
    assert not hasattr(fused(ones()), "note")


@pytest.mark.parametrize("size", [2 * SIZE, SIZE // 2])
def test_a_resized_result_is_not_used_again(fused: Any, size: int) -> None:
    result = fused(ones())
    result.resize_(size)
    result.fill_(7)
    again = fused(ones())
    assert torch.equal(again, ones(3))
    assert (result == 7).all()
    del result, again
    for _ in range(3):
        assert torch.equal(fused(ones()), ones(3))


@pytest.mark.parametrize("nbytes", [0, 8, 8 * SIZE])
def test_nor_is_one_whose_storage_was(fused: Any, nbytes: int) -> None:
    result = fused(ones())
    result.untyped_storage().resize_(nbytes)
    del result
    for _ in range(3):
        assert torch.equal(fused(ones()), ones(3))


def test_a_shared_result_leaves_the_pool(fused: Any) -> None:
    result = fused(ones()).share_memory_()
    address = result.data_ptr()
    assert result.is_shared()
    kept = result.numpy()
    del result
    again = fused(ones(5))
    assert again.data_ptr() != address
    assert not again.is_shared()
    assert (kept == 3).all()


def test_copies_are_copies(fused: Any) -> None:
    result = fused(ones())
    copied = pickle.loads(pickle.dumps(result))
    file = io.BytesIO()
    torch.save(result, file)
    clone = result.clone()
    del result
    fused(ones(9))
    file.seek(0)
    for each in (copied, clone, torch.load(file)):
        assert torch.equal(each, ones(3))


def test_modes_of_autograd(fused: Any) -> None:
    with torch.inference_mode():
        result = fused(ones())
        assert result.is_inference()
        del result
    outside = fused(ones())
    assert not outside.is_inference()
    outside.requires_grad_()
    (outside * 2).sum().backward()
    assert outside.grad is not None
    del outside
    with torch.inference_mode():
        assert fused(ones()).is_inference()


def test_threads_never_share_a_result(fused: Any) -> None:
    fused(ones())
    wrong: list[float] = []

    def work(value: float) -> None:
        kept = []
        for number in range(30):
            result = fused(ones(value + number))
            kept.append((value + number, result))
            if len(kept) > number % 3:
                was, oldest = kept.pop(0)
                if not torch.equal(oldest, ones(2 * was + 1)):
                    wrong.append(was)

    workers = [threading.Thread(target=work, args=(100.0 * n,)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_the_option_bounds_it_and_switches_it_off(fused: Any) -> None:
    with fusekit.options(pool_bytes=3 * LARGE):
        kept = [fused(ones(value)) for value in range(6)]
        assert [each[0].item() for each in kept] == [2.0 * v + 1 for v in range(6)]
        del kept
        assert fusekit.stats().idle_bytes <= 3 * LARGE
    gc.collect()
    before = fusekit.stats().reuses
    with fusekit.options(pool_bytes=0):
        for _ in range(3):
            fused(ones())
    assert fusekit.stats().reuses == before
    assert fusekit.stats().idle_bytes == 0


def test_other_sizes_and_dtypes_push_out_what_is_not_used() -> None:
    fused = fusekit.fuse(double, engine="llvm")
    with fusekit.options(pool_bytes=4 * LARGE):
        for size in (SIZE, 2 * SIZE, 3 * SIZE, SIZE, 4 * SIZE, SIZE):
            for dtype in (torch.float32, torch.float64):
                x = torch.ones(size, dtype=dtype)
                assert torch.equal(fused(x), double(x))
            assert fusekit.stats().idle_bytes <= 4 * LARGE


def test_collecting_garbage_gives_it_back(fused: Any) -> None:
    fused(ones())
    assert fusekit.stats().idle_bytes >= LARGE
    gc.collect()
    assert fusekit.stats().idle_bytes == 0


def test_a_collection_while_the_pool_is_locked() -> None:
    with pool._lock:
        gc.collect()  # must not wait for the lock


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_child_begins_anew(fused: Any) -> None:
    result = fused(ones())
    with pool._lock:  # as if another thread had it
        child = os.fork()
        if not child:
            os._exit(0 if not pool._lock.locked() and not pool._kept else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert torch.equal(result, ones(3))


def test_a_pytorch_that_does_not_tell_has_no_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "_uses", None)
    pools._works.cache_clear()
    try:
        allocate = pools.pooled(lambda shape, strides, dtype: torch.empty(shape, dtype=dtype))
        assert allocate((3,), (1,), torch.float32, 12).shape == (3,)
    finally:
        monkeypatch.undo()
        pools._works.cache_clear()
        gc.callbacks.remove(pools._collected)
        assert pools._works()


def test_a_count_that_is_wrong_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "_uses", lambda number: 1)
    pools._works.cache_clear()
    try:
        assert not pools._works()
    finally:
        monkeypatch.undo()
        pools._works.cache_clear()
        gc.callbacks.remove(pools._collected)
        assert pools._works()


def test_an_allocation_that_fails_changes_nothing() -> None:
    own = Pool()

    def fails(*_: Any) -> torch.Tensor:
        raise MemoryError

    with pytest.raises(MemoryError):
        own.new(fails, (SIZE,), (1,), torch.float32, LARGE)
    assert own.idle_bytes() == 0
