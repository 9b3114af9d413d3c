"""fusekit: fused tensor kernels for PyTorch that you can look into.

import fusekit

    @fusekit.fuse
    def swish(x, scale):
        return x * torch.sigmoid(x * scale)

In a notebook, `%load_ext fusekit` brings `%%fuse`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fusekit.api import FusedFunction, explain, explore, fuse, stats
    from fusekit.bench import compare, crossover, roofline, sweep
    from fusekit.config import options
    from fusekit.errors import (
        CompileError,
        EngineUnavailableError,
        FusekitError,
        FusionDeclined,
        GraphError,
        ParseError,
        PlanRefused,
        StackError,
        UnknownKeyError,
        UsageError,
    )
    from fusekit.fusion.plan import Plan
    from fusekit.interface import (
        CPU_DEVICE,
        can_fuse_on_cpu,
        can_fuse_on_gpu,
        debug_get_fused_kernel_code,
        debug_launch_graph,
        n_compiled_kernels,
        override_can_fuse_on_cpu,
        override_can_fuse_on_gpu,
        override_must_use_llvm_on_cpu,
        register_fusion,
        run_fusion,
    )
    from fusekit.runtime.diagnosis import doctor
    from fusekit.specs import Decline, Reason
    from fusekit.viz.quiz.quiz import quiz
    from fusekit.viz.quiz.results import quiz_results
    from fusekit.viz.view import FusionView, load

__version__ = "0.1.0"

_HOMES = {
    "api": ("FusedFunction", "explain", "explore", "fuse", "stats"),
    "bench": ("compare", "crossover", "roofline", "sweep"),
    "config": ("options",),
    "errors": (
        "CompileError",
        "EngineUnavailableError",
        "FusekitError",
        "FusionDeclined",
        "GraphError",
        "ParseError",
        "PlanRefused",
        "StackError",
        "UnknownKeyError",
        "UsageError",
    ),
    "fusion.plan": ("Plan",),
    "interface": (
        "CPU_DEVICE",
        "can_fuse_on_cpu",
        "can_fuse_on_gpu",
        "debug_get_fused_kernel_code",
        "debug_launch_graph",
        "n_compiled_kernels",
        "override_can_fuse_on_cpu",
        "override_can_fuse_on_gpu",
        "override_must_use_llvm_on_cpu",
        "register_fusion",
        "run_fusion",
    ),
    "runtime.diagnosis": ("doctor",),
    "specs": ("Decline", "Reason"),
    "viz.quiz.quiz": ("quiz",),
    "viz.quiz.results": ("quiz_results",),
    "viz.view": ("FusionView", "load"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "CPU_DEVICE",
    "CompileError",
    "Decline",
    "EngineUnavailableError",
    "FusedFunction",
    "FusekitError",
    "FusionDeclined",
    "FusionView",
    "GraphError",
    "ParseError",
    "Plan",
    "PlanRefused",
    "Reason",
    "StackError",
    "UnknownKeyError",
    "UsageError",
    "can_fuse_on_cpu",
    "can_fuse_on_gpu",
    "compare",
    "crossover",
    "debug_get_fused_kernel_code",
    "debug_launch_graph",
    "doctor",
    "explain",
    "explore",
    "fuse",
    "load",
    "n_compiled_kernels",
    "options",
    "override_can_fuse_on_cpu",
    "override_can_fuse_on_gpu",
    "override_must_use_llvm_on_cpu",
    "quiz",
    "quiz_results",
    "register_fusion",
    "roofline",
    "run_fusion",
    "stats",
    "sweep",
]


def __getattr__(name: str) -> Any:
    """Import a public name, or a submodule, when it is first asked for."""
    if name in _HOME:
        value = getattr(importlib.import_module(f"fusekit.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    if name in ("ir", "config", "events", "specs", "errors", "bench", "viz", "vecmath", "api"):
        return importlib.import_module(f"fusekit.{name}")
    raise AttributeError(f"module 'fusekit' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names."""
    return sorted((*__all__, "ir"))


def load_ipython_extension(ipython: Any) -> None:
    """What `%load_ext fusekit` calls."""
    importlib.import_module("fusekit.magics").load_ipython_extension(ipython)
