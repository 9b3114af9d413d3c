"""The OpenMP runtime that PyTorch runs on: kernels use the same, never a second one.

Two runtimes in a process would each keep a team of threads, and `torch.set_num_threads` would
reach only one of them. So compiled kernels are linked against none and find their symbols here.
"""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path

import torch

__all__ = ["provides"]


class _Place(ctypes.Structure):
    """What dladdr(3) tells of an address."""

    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("symbol", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


@functools.cache
def provides(symbol: str) -> bool:
    """True when PyTorch's runtime has `symbol`; from then on any library loaded may refer to it.

    GCC's code calls GOMP_parallel, which LLVM's and Intel's runtimes have too; Clang's calls
    __kmpc_fork_call, which GCC's runtime lacks.
    """
    try:
        torch_cpu = ctypes.CDLL(str(_torch_library()), mode=os.RTLD_NOLOAD | os.RTLD_NOW)
        function = torch_cpu[symbol]  # looked up in what PyTorch depends on
        place = _Place()
        if not ctypes.CDLL(None).dladdr(function, ctypes.byref(place)) or not place.file:
            return False
        ctypes.CDLL(os.fsdecode(place.file), mode=os.RTLD_NOLOAD | os.RTLD_NOW | os.RTLD_GLOBAL)
    except (OSError, AttributeError):
        return False
    return True


def _torch_library() -> Path:
    return Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
