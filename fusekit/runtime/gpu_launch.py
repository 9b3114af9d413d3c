"""Launching CUDA kernels on torch's current stream: one call of the driver, nothing else.

The driver takes the arguments as one packed buffer, so a launch builds a bytes object and makes one
foreign call; it neither allocates on the device nor synchronises, and can be captured in a CUDA
graph.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import struct
from collections.abc import Callable
from typing import Any

import torch

from fusekit.compilers.base import Artifact
from fusekit.ir import DType
from fusekit.runtime.binding import Binding

__all__ = ["CudaLauncher", "cuda_launcher"]

_CODES = {DType.F64: "d", DType.I64: "q", DType.U32: "I", DType.BOOL: "?"}
"""dtype -> its code for `struct`, whose native mode pads as the device's ABI does."""

_INVALID_CONTEXT = 201
"""CUDA_ERROR_INVALID_CONTEXT: this thread has not used the device yet."""

_ADDRESS = "P"


class _Extra(ctypes.Structure):
    """The driver's `extra` array: CU_LAUNCH_PARAM_BUFFER_POINTER, CU_LAUNCH_PARAM_BUFFER_SIZE."""

    _fields_ = (
        ("pointer_follows", ctypes.c_void_p),
        ("buffer", ctypes.c_char_p),
        ("size_follows", ctypes.c_void_p),
        ("size", ctypes.c_void_p),
        ("end", ctypes.c_void_p),
    )


Grid = tuple[int, tuple[int, ...], int]
"""A call's layout for a GPU kernel: how many blocks, the words, the device's index."""


@dataclasses.dataclass(frozen=True)
class CudaLauncher:
    """Launches one kernel.

    Attributes:
        artifact: the loaded kernel.
        function: called with a `Grid`, scalars and addresses; returns the driver's result, 0 if all
            went well.
    """

    artifact: Artifact
    function: Callable[..., int]

    def layout(self, binding: Binding, device: int) -> Grid:
        """What `function` takes first."""
        geometry = self.artifact.source.geometry
        assert geometry is not None
        return geometry.blocks(binding.layout), geometry.values(binding.layout), device


def cuda_launcher(artifact: Artifact) -> CudaLauncher:
    """The launcher of a loaded kernel."""
    source = artifact.source
    assert source.geometry is not None
    codes = [
        _CODES[parameter.dtype] if parameter.kind in ("scalar", "word") else _ADDRESS
        for parameter in source.parameters
    ]
    packer = struct.Struct(f"@{''.join(codes)}")
    pack, size = packer.pack, ctypes.c_size_t(packer.size)
    size_address = ctypes.addressof(size)
    call, kernel, threads = _driver(), artifact.address, source.geometry.schedule.block
    stream = torch._C._cuda_getCurrentRawStream  # noqa: SLF001  what Triton's launcher calls too

    def launch(grid: Grid, *arguments: Any) -> int:
        blocks, words, device = grid
        extra = _Extra(1, pack(*arguments, *words), 2, size_address, 0)
        error: int = call(kernel, blocks, 1, 1, threads, 1, 1, 0, stream(device), None, extra)
        if error == _INVALID_CONTEXT:
            torch.cuda.current_stream(device).query()  # makes the context this thread's
            error = call(kernel, blocks, 1, 1, threads, 1, 1, 0, stream(device), None, extra)
        return error

    vars(launch)["keepalive"] = (artifact, size)  # they live as long as it does
    return CudaLauncher(artifact, launch)


@functools.cache
def _driver() -> Any:
    """`cuLaunchKernel`. ctypes releases the GIL while it runs."""
    function = ctypes.CDLL("libcuda.so.1").cuLaunchKernel
    word = ctypes.c_uint
    function.argtypes = [
        ctypes.c_void_p,
        *(word,) * 7,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.POINTER(_Extra),
    ]
    function.restype = ctypes.c_int
    return function
