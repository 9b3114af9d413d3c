"""Turning a compiled artifact into something Python can call."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch

from fusekit.compilers.base import Artifact
from fusekit.errors import CompileError
from fusekit.ir import DType
from fusekit.runtime.binding import Binding
from fusekit.runtime.cpu_batches import cpu_batch
from fusekit.specs import KernelSpec

__all__ = ["CpuLauncher", "Launcher", "cpu_launcher"]

_SCALARS = {DType.F64: ctypes.c_double, DType.I64: ctypes.c_int64, DType.BOOL: ctypes.c_bool}


class Launcher(Protocol):
    """What runs a compiled kernel."""

    @property
    def function(self) -> Callable[..., Any]:
        """Called with a layout, scalars, addresses; unless false, PyTorch has to run the call."""

    def layout(self, binding: Binding, device: int) -> Any:
        """What `function` takes first, for one binding on the device of that index."""

    def batch(
        self, spec: KernelSpec, bindings: Sequence[Binding], device: int, *, stores: bool
    ) -> Callable[..., Any] | None:
        """What runs all the bindings as one; None if each takes a launch of its own.

        It is given the scalars and addresses of one call after the other, and returns what
        `function` does. `stores` says that arguments are stored into.
        """


@dataclasses.dataclass(frozen=True)
class CpuLauncher:
    """Calls one kernel.

    Attributes:
        artifact: the kernel.
        function: the entry point; 1 means that it trapped.
    """

    artifact: Artifact
    function: Callable[..., int]

    def layout(self, binding: Binding, device: int) -> Any:
        """The layout array in memory."""
        del device  # there is one CPU
        return binding.layout_array()

    def batch(
        self, spec: KernelSpec, bindings: Sequence[Binding], device: int, *, stores: bool
    ) -> Callable[..., Any] | None:
        """A table of calls; None where LLVM, which compiles the loop over it, does not work."""
        del device, stores
        try:
            return cpu_batch(self.artifact, spec, bindings)
        except CompileError:
            return None


def cpu_launcher(artifact: Artifact) -> CpuLauncher:
    """The kernel as a ctypes function, which releases the GIL while it runs."""
    types: list[Any] = [
        _SCALARS[parameter.dtype] if parameter.kind == "scalar" else ctypes.c_void_p
        for parameter in artifact.source.parameters
    ]
    function: Any = ctypes.CFUNCTYPE(ctypes.c_int32, *types)(artifact.address)
    function.keepalive = artifact  # the code lives as long as this
    return CpuLauncher(artifact, function)


class _Team:
    """Has a forked child run parallel code in one thread, if the parent's team may be needed there.

    The team's threads do not exist in the child, and GCC's runtime would wait for them: for eager
    PyTorch's operators as for kernels. PyTorch's own data loaders do the same.
    """

    def __init__(self) -> None:
        self.is_lost = False
        os.register_at_fork(before=self._look, after_in_child=self._do_without)

    def _look(self) -> None:
        self.is_lost = _n_threads() > threading.active_count()

    def _do_without(self) -> None:
        if self.is_lost:
            torch.set_num_threads(1)


def _n_threads() -> int:
    """Of this process, by the kernel's count; 0 where it does not say."""
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208  a list of names is all it takes
    except OSError:
        return 0


_team = _Team()
