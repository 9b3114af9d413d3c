"""What a machine is, and how it is set up, as far as it can be read without rights or tools."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from pathlib import Path

import torch

import fusekit
from fusekit.bench.gpu.machine import this_machine as this_gpu
from fusekit.bench.suite.results import Machine
from fusekit.bench.workers import processor
from fusekit.compilers.toolchain import Toolchain, find_command
from fusekit.errors import CompileError

__all__ = ["this_machine"]

_CPU = Path("/sys/devices/system/cpu/cpu0")
_HUGE = Path("/sys/kernel/mm/transparent_hugepage/enabled")

_PACKAGES = ("numpy", "llvmlite", "triton", "numexpr", "jax", "cupy-cuda12x", "cupy-cuda13x")
"""Whose versions matter: what is compared, and what compiles for it."""


def this_machine() -> Machine:
    """This one, now."""
    return Machine(_hardware(), _software(), _conditions())


def _hardware() -> dict[str, str]:
    found = {
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "last cache": _last_cache(),
        "memory": _memory(),
        "huge pages": _chosen(_read(_HUGE)),
        "governor": _read(_CPU / "cpufreq" / "scaling_governor") or "not shown",
        "virtual": "yes" if "hypervisor" in _cpuinfo().get("flags", "").split() else "no",
    }
    policy = os.environ.get("OMP_WAIT_POLICY")  # decides how long threads wait for work
    return found | {"OMP_WAIT_POLICY": policy or "not set"} | _gpu()


def _gpu() -> dict[str, str]:
    return {"GPU": this_gpu().device if torch.cuda.is_available() else "none"}


def _software() -> dict[str, str]:
    found = {
        "fusekit": fusekit.__version__,
        "torch": str(torch.__version__),
        "Python": platform.python_version(),
        "system": f"{platform.system()} {_release()} {platform.machine()}",
        "C++": _compiler(),
    }
    if torch.cuda.is_available():
        found["driver"] = this_gpu().driver
    return found | _versions()


def _release() -> str:
    """The kernel's version without what its builder calls it."""
    return platform.release().partition("-")[0]


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _conditions() -> dict[str, str]:
    """Other work at the beginning: the mean length of the queue for the cores in a minute."""
    try:
        return {"load before": f"{os.getloadavg()[0]:.2f}"}
    except OSError:
        return {}


def _compiler() -> str:
    """The first line of what the C++ compiler says of itself."""
    command = find_command(os.environ)
    if isinstance(command, str):
        return "none"
    try:
        return Toolchain.probe(command).version.partition("\n")[0].strip()
    except CompileError:
        return "does not work"


def _cpuinfo() -> Mapping[str, str]:
    """What Linux says of the first core."""
    first = _read(Path("/proc/cpuinfo")).partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _last_cache() -> str:
    """The largest level that the first core has, such as "32768K"."""
    levels = {
        int(_read(path / "level") or 0): _read(path / "size")
        for path in sorted(_CPU.glob("cache/index*"))
    }
    return levels[max(levels)] if levels else "unknown"


def _memory() -> str:
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return "unknown"
    return f"{size / 2**30:.0f} GiB"


def _chosen(text: str) -> str:
    """`always [madvise] never` chooses madvise."""
    return text.partition("[")[2].partition("]")[0] or "unknown"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
