"""Launching CUDA kernels on torch's current stream: one call of the driver, nothing else.

A launch neither allocates on the device nor synchronises, and can be captured in a CUDA graph.
What calls the driver is the launcher that torch has for Triton's kernels; where a version of torch
lacks it, cuda.core is, which costs 2 us more (of 4 that the driver takes by itself, on the host of
an H200).
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch

from fusekit.codegen import KernelSource
from fusekit.compilers.base import Artifact
from fusekit.ir import DType
from fusekit.runtime.binding import Binding
from fusekit.runtime.gpu_batches import gpu_batch
from fusekit.specs import KernelSpec

__all__ = ["CudaLauncher", "cuda_launcher", "through_core", "through_torch"]

_WARP = 32

Grid = tuple[int, tuple[Any, ...], int]
"""A call's layout for a GPU kernel: how many blocks, the words, the device's index."""

Launch = Callable[..., str]
"""Called with a `Grid`, scalars and addresses; returns what went wrong, or nothing."""

_stream = getattr(torch._C, "_cuda_getCurrentRawStream", None)  # noqa: SLF001  as Triton does


@dataclasses.dataclass(frozen=True)
class CudaLauncher:
    """Launches one kernel.

    Attributes:
        artifact: the loaded kernel.
        function: see `Launch`.
        word: what the words of a `Grid` are wrapped in.
    """

    artifact: Artifact
    function: Launch
    word: Callable[[int], Any]

    def layout(self, binding: Binding, device: int) -> Grid:
        """What `function` takes first."""
        geometry = self.artifact.source.geometry
        assert geometry is not None
        words = tuple(self.word(value) for value in geometry.values(binding.layout))
        return geometry.blocks(binding.layout), words, device

    def batch(
        self, spec: KernelSpec, bindings: Sequence[Binding], device: int, *, stores: bool
    ) -> Callable[..., str]:
        """A table of calls, which the kernel was compiled for."""
        del spec
        return gpu_batch(self.artifact, bindings, device, stores=stores)


def cuda_launcher(artifact: Artifact) -> CudaLauncher:
    """The launcher of a loaded kernel."""
    has_own = hasattr(torch._C, "_StaticCudaLauncher")  # noqa: SLF001  Inductor's own entry
    return through_torch(artifact) if has_own else through_core(artifact)


_CODES = {DType.F64: "d", DType.I64: "l", DType.U32: "I", DType.BOOL: "B"}


def through_torch(artifact: Artifact) -> CudaLauncher:
    """By torch's launcher for kernels that Triton compiled ahead of time."""
    codes = "".join(
        _CODES[parameter.dtype] if parameter.kind in ("scalar", "word") else "O"
        for parameter in artifact.source.parameters
    )
    call: Any = torch._C._StaticCudaLauncher._launch_kernel  # noqa: SLF001
    kernel, warps = artifact.address, _threads(artifact.source) // _WARP

    def launch(grid: Grid, *arguments: Any) -> str:
        blocks, words, device = grid
        given = arguments + words
        try:
            call(kernel, blocks, 1, 1, warps, 0, codes, given, _stream(device))  # type: ignore[misc]
        except RuntimeError as error:
            return str(error)
        return ""

    vars(launch)["keepalive"] = artifact  # it lives as long as the function does
    return CudaLauncher(artifact, launch, int)


def through_core(artifact: Artifact) -> CudaLauncher:
    """By cuda.core."""
    from cuda.core import Device, LaunchConfig, Stream, launch  # noqa: PLC0415  only GPUs need it

    config = functools.partial(LaunchConfig, block=_threads(artifact.source))
    wide = artifact.source.geometry is not None and artifact.source.geometry.args.index_bits > 32
    kernel = artifact.keepalive.get_kernel(artifact.source.symbol)

    @functools.cache
    def stream_of(handle: int, device: int) -> Any:
        Device(device).set_current()
        return Stream.from_handle(handle)

    def run(grid: Grid, *arguments: Any) -> str:
        blocks, words, device = grid
        stream = stream_of(_stream(device), device)  # type: ignore[misc]
        try:
            launch(stream, config(grid=blocks), kernel, *arguments, *words)
        except Exception as error:  # noqa: BLE001  each driver error has a class of its own
            return str(error)
        return ""

    return CudaLauncher(artifact, run, ctypes.c_int64 if wide else ctypes.c_uint32)


def _threads(source: KernelSource) -> int:
    assert source.geometry is not None
    return source.geometry.schedule.block
