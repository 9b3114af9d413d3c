"""Memory of large results: the operating system zeroes it page by page, at first touch.

For a result of 64 MB that costs several times what computing it does. With huge pages there are 512
times fewer faults.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = ["LARGE", "with_huge_pages"]

LARGE = 4 << 20
"""Bytes from which asking for huge pages pays, which are 2 MiB each, and so does looking for memory
that was used before."""

_MADV_HUGEPAGE = 14
_PAGE = mmap.PAGESIZE  # of the small ones


def with_huge_pages(allocate: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """`allocate`, but what it returns lies on huge pages where it may: at least `LARGE` bytes."""
    advise = _madvise()
    if advise is None:
        return allocate

    def new(shape: Any, strides: Any, dtype: torch.dtype) -> torch.Tensor:
        tensor = allocate(shape, strides, dtype)
        start = tensor.data_ptr()
        first = -(-start // _PAGE) * _PAGE  # advice is for whole pages, of this tensor alone
        # a refusal (a kernel without huge pages) changes nothing
        advise(first, (start + tensor.nbytes) // _PAGE * _PAGE - first, _MADV_HUGEPAGE)
        return tensor

    return new


@functools.cache
def _madvise() -> Callable[[int, int, int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    function: Any = getattr(ctypes.CDLL(None), "madvise", None)
    if function is None:
        return None
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    function.restype = ctypes.c_int
    advise: Callable[[int, int, int], int] = function
    return advise
