"""Turning a compiled artifact into something Python can call."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from fusekit.compilers.base import Artifact
from fusekit.ir import DType

__all__ = ["cpu_launcher"]

_SCALARS = {DType.F64: ctypes.c_double, DType.I64: ctypes.c_int64, DType.BOOL: ctypes.c_bool}


def cpu_launcher(artifact: Artifact) -> Callable[..., int]:
    """The kernel as a function of layout array, scalars and addresses; 1 means it trapped.

    ctypes releases the GIL while the kernel runs.
    """
    types: list[Any] = [
        _SCALARS[parameter.dtype] if parameter.kind == "scalar" else ctypes.c_void_p
        for parameter in artifact.source.parameters
    ]
    function: Any = ctypes.CFUNCTYPE(ctypes.c_int32, *types)(artifact.address)
    function.keepalive = artifact  # the code lives as long as this
    launch: Callable[..., int] = function
    return launch
