"""The table of engines: how kernels of each kind are generated, compiled and launched."""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Mapping
from typing import Any

from fusekit.compilers.base import Compiler
from fusekit.config import current
from fusekit.errors import EngineUnavailableError, UsageError
from fusekit.specs import Decline, Reason

__all__ = ["ENGINES", "Engine", "choose", "switches"]


@dataclasses.dataclass(frozen=True, slots=True)
class Engine:
    """One row.

    Attributes:
        name: what users call it.
        device: the device type it serves; "any" for the reference.
        dialect: "module:class" that generates its source.
        compiler: "module:class" that compiles it; "" if nothing is compiled.
        launcher: "module:function" that turns a compiled artifact into a `Launcher`.
        summary: one line for the user.
    """

    name: str
    device: str
    dialect: str
    compiler: str
    launcher: str
    summary: str

    def load_dialect(self) -> Any:
        """The dialect class; imported at first use, because some drag in much."""
        return _load(self.dialect)

    def load_compiler(self) -> Compiler:
        """The compiler, one for the process."""
        made: Compiler = _instance(self.compiler)
        return made

    def load_launcher(self) -> Any:
        """The launcher."""
        return _load(self.launcher)

    def unavailable(self) -> str | None:
        """Why it cannot run on this machine, in a sentence; None if it can."""
        return self.load_compiler().unavailable() if self.compiler else None


ENGINES: Mapping[str, Engine] = {
    row.name: row
    for row in (
        Engine(
            "llvm",
            "cpu",
            "fusekit.codegen.dialects.llvm:LlvmDialect",
            "fusekit.compilers.llvm_jit:LlvmJit",
            "fusekit.runtime.launch:cpu_launcher",
            "LLVM IR with explicit vectors, compiled in process",
        ),
        Engine(
            "cpp",
            "cpu",
            "fusekit.codegen.dialects.cpp:CppDialect",
            "fusekit.compilers.host_cxx:HostCxx",
            "fusekit.runtime.launch:cpu_launcher",
            "readable C++ with OpenMP, compiled by g++ or clang++",
        ),
        Engine(
            "cuda",
            "cuda",
            "fusekit.codegen.dialects.cuda:CudaDialect",
            "fusekit.compilers.nvrtc:Nvrtc",
            "fusekit.runtime.gpu_launch:cuda_launcher",
            "CUDA C++, compiled in process by NVRTC",
        ),
        Engine(
            "reference",
            "any",
            "fusekit.codegen.dialects.reference:ReferenceDialect",
            "",
            "fusekit.runtime.fallback:reference_launcher",
            "the graph node by node in torch, for checking",
        ),
    )
}
"""Every engine, in order of preference."""


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


@functools.cache
def _instance(path: str) -> Any:
    return _load(path)()


@dataclasses.dataclass
class Switches:
    """What the original's override_* functions set."""

    fuse_on_cpu: bool = True
    fuse_on_gpu: bool = True
    only_llvm_on_cpu: bool = False


switches = Switches()


def choose(name: str, device: str) -> Engine | Decline:
    """The engine to use for a device ("cpu" or "cuda"), or why there is none.

    Args:
        name: an engine's name, or "auto" for the option `engine`, or for the best that works.
        device: a torch device type.

    Raises:
        UsageError: no engine has that name.
        EngineUnavailableError: the engine asked for by name cannot run here.
    """
    wanted = current().engine if name == "auto" else name
    if wanted != "auto" and wanted not in ENGINES:
        raise UsageError(f"no engine {wanted!r}; there are auto, {', '.join(ENGINES)}")
    allowed = {"cpu": switches.fuse_on_cpu, "cuda": switches.fuse_on_gpu}
    if not allowed.get(device, True):
        switch = {"cpu": "override_can_fuse_on_cpu", "cuda": "override_can_fuse_on_gpu"}[device]
        return Decline(Reason.DISABLED, f"device {device}", advice=f"call fusekit.{switch}(True)")
    if device == "cpu" and switches.only_llvm_on_cpu:
        if wanted not in ("auto", "llvm"):
            return Decline(Reason.NO_ENGINE, "only llvm may serve the CPU (override_must_use_llvm)")
        wanted = "llvm"
    if wanted != "auto":
        return _by_name(ENGINES[wanted], device)
    reasons = []
    for engine in ENGINES.values():
        if engine.device == device:
            reason = engine.unavailable()
            if reason is None:
                return engine
            reasons.append(f"{engine.name}: {reason}")
    return Decline(Reason.NO_ENGINE, "; ".join(reasons) or f"no engine for device {device}")


def _by_name(engine: Engine, device: str) -> Engine | Decline:
    if engine.device not in (device, "any"):
        serving = [row.name for row in ENGINES.values() if row.device in (device, "any")]
        detail = f"engine {engine.name} does not serve device {device}"
        advice = f"leave the engine open, or ask for {' or '.join(serving)}"
        return Decline(Reason.NO_ENGINE, detail, advice=advice)
    reason = engine.unavailable()
    if reason is not None:
        raise EngineUnavailableError(f"engine {engine.name}: {reason}")
    return engine
