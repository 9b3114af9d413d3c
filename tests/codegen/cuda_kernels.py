"""CUDA kernels of functions, on any machine: captured and bound as for tensors on a GPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from fusekit.codegen import KernelSource
from fusekit.compilers.nvrtc import why_no_nvrtc
from fusekit.frontends.fx import capture
from fusekit.runtime.engines import ENGINES
from fusekit.runtime.kernels import generate
from fusekit.runtime.program import build, rebind

_MISSING = why_no_nvrtc()

needs_nvrtc = pytest.mark.skipif(bool(_MISSING), reason=str(_MISSING))
"""Skips where CUDA C++ cannot be compiled. No GPU is needed."""


def cuda_kernels(
    function: Callable[..., Any], *args: Any, index_bits: int | None = None, calls: int = 0
) -> list[KernelSource]:
    """The kernels of a function, with indices of a width, for batches of a size of one's choice."""
    program = rebind(build(capture(function, args, {}, name="f"), 1024), "cuda")
    made = []
    for call in program.kernels:
        bound = call.binding.args
        bits = index_bits or bound.index_bits
        bound = dataclasses.replace(bound, index_bits=bits, calls=calls)
        made.append(generate(ENGINES["cuda"], call.spec, bound))
    return made


def cuda_kernel(function: Callable[..., Any], *args: Any, **options: Any) -> KernelSource:
    """The only kernel of a function."""
    (kernel,) = cuda_kernels(function, *args, **options)
    return kernel
