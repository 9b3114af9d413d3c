"""Large results lie where dead ones did: memory that was touched before costs no page faults.

The pool keeps a reference to the storage of each large result that it made, as PyTorch allocated
it. Once nobody else refers to one, the next result of its size and dtype is a new tensor over it.
Who refers to a storage says PyTorch's own count, which every tensor, view, saved tensor, NumPy
array and DLPack capsule is part of, and Python's, for storages that are held by themselves. So what
is handed out is a tensor like any other: it can be resized, shared, and kept for as long as one
likes, and its memory is given to nobody while it is.

A storage is forgotten when it was resized or moved (to be shared between processes); when the
option `pool_bytes` leaves no room for it, those unused longest first; and when Python collects all
garbage (`gc.collect()`), if it is free. PyTorch's allocator then frees it as usual.
"""

from __future__ import annotations

import collections
import functools
import gc
import os
import sys
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch

from fusekit.config import current

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Pool", "pool", "pooled"]

Allocate = Callable[[Any, Any, torch.dtype], torch.Tensor]

_LOOKS = 4
"""Storages that are looked at for one result, those in use longest first."""

_GUARDS: Any = getattr(getattr(torch._C, "_dynamo", None), "guards", None)  # noqa: SLF001  as Inductor does
_alias: Any = getattr(_GUARDS, "_reinterpret_tensor", None)
_uses: Any = getattr(torch._C, "_storage_Use_Count", None)  # noqa: SLF001  no public one


class _Kept:
    """A storage, and what it looks like while nobody but the pool refers to it."""

    __slots__ = ("_address", "_idle", "_number", "_storage", "base", "nbytes")

    def __init__(self, base: torch.Tensor) -> None:
        self.base = base
        self._storage = base.untyped_storage()
        self._number = self._storage._cdata  # noqa: SLF001  what its count is asked by
        self._address = base.data_ptr()
        self.nbytes = self._storage.nbytes()
        self._idle = self._references()

    def _references(self) -> tuple[int, int]:
        return _uses(self._number), sys.getrefcount(self._storage)

    @property
    def is_free(self) -> bool:
        return self._references() == self._idle

    @property
    def is_whole(self) -> bool:
        """False once somebody has resized it, or has moved it to memory that is shared."""
        return self.base.data_ptr() == self._address and self._storage.nbytes() == self.nbytes


class Pool:
    """Storages by size and dtype. All methods may be called by any thread.

    Attributes:
        reuses: results that lie where an earlier one did.
    """

    def __init__(self) -> None:
        """Empty."""
        self.reuses = 0
        self._bytes = 0
        self._lock = threading.Lock()
        self._kept: collections.OrderedDict[Any, collections.deque[_Kept]] = (
            collections.OrderedDict()
        )

    def new(
        self, allocate: Allocate, shape: Any, strides: Any, dtype: torch.dtype, nbytes: int
    ) -> torch.Tensor:
        """A dense tensor of `nbytes` bytes with any values: by `allocate`, or over a dead one."""
        limit = current().pool_bytes
        if nbytes > limit:
            return allocate(shape, strides, dtype)
        key = nbytes, dtype
        with self._lock:
            found = self._free_one(key)
            if found is not None:
                self.reuses += 1
                return _alias(found.base, shape, strides, 0)  # type: ignore[no-any-return]
        made = _Kept(allocate(shape, strides, dtype))
        with self._lock:
            self._kept.setdefault(key, collections.deque()).append(made)
            self._bytes += made.nbytes
            self._shrink(limit, made)
        return _alias(made.base, shape, strides, 0)  # type: ignore[no-any-return]

    def _free_one(self, key: Any) -> _Kept | None:
        """One that nobody refers to, which is then the last of its kind to be looked at."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        self._kept.move_to_end(key)
        for _ in range(min(len(kept), _LOOKS)):
            first = kept.popleft()
            if not first.is_free:
                kept.append(first)
            elif first.is_whole:
                kept.append(first)
                return first
            else:
                self._bytes -= first.nbytes
        return None

    def _shrink(self, limit: int, made: _Kept) -> None:
        """Forget what is too much: first what is free, then what was handed out longest ago."""
        if self._bytes > limit:
            self._forget(lambda kept: kept is not made and kept.is_free, limit)
            self._forget(lambda kept: kept is not made, limit)

    def _forget(self, may_go: Callable[[_Kept], bool], limit: int) -> None:
        for key, kept in list(self._kept.items()):
            for each in list(kept):
                if self._bytes <= limit:
                    return
                if may_go(each):
                    kept.remove(each)
                    self._bytes -= each.nbytes
            if not kept:
                del self._kept[key]

    def clear(self) -> None:
        """Forget all storages that nobody else refers to, unless the pool is in use just now."""
        if self._lock.acquire(blocking=False):
            try:
                self._forget(lambda kept: kept.is_free, -1)
            finally:
                self._lock.release()

    def idle_bytes(self) -> int:
        """Bytes of storages that nobody else refers to."""
        with self._lock:
            return sum(kept.nbytes for kept in self._all() if kept.is_free)

    def _all(self) -> Iterator[_Kept]:
        for kept in self._kept.values():
            yield from kept

    def forked(self) -> None:
        """In the child of a fork, where no other thread will ever release the lock: begin anew."""
        self._lock = threading.Lock()
        self._kept.clear()
        self._bytes = 0


pool = Pool()
"""The only one."""


def pooled(allocate: Allocate) -> Callable[[Any, Any, torch.dtype, int], torch.Tensor]:
    """`new(shape, strides, dtype, nbytes)`, from the pool where that works."""
    if not _works():
        return lambda shape, strides, dtype, _nbytes: allocate(shape, strides, dtype)
    return functools.partial(pool.new, allocate)


@functools.cache
def _works() -> bool:
    """True if this PyTorch tells who refers to a storage: tried with each kind of reference."""
    if _alias is None or _uses is None:
        return False
    kept = _Kept(torch.empty(64))
    holders: list[Callable[[torch.Tensor], Any]] = [
        lambda tensor: tensor,
        lambda tensor: tensor[3:],
        lambda tensor: tensor.untyped_storage(),
        lambda tensor: tensor.detach().numpy(),
        lambda tensor: tensor.__dlpack__(),
    ]
    for hold in holders:
        held = hold(_alias(kept.base, (64,), (1,), 0))
        if kept.is_free:
            return False
        del held
        if not kept.is_free:
            return False
    gc.callbacks.append(_collected)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=pool.forked)
    return True


def _collected(phase: str, info: Mapping[str, int]) -> None:
    if phase == "start" and info["generation"] == 2:
        pool.clear()
