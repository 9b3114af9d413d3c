"""CUDA C++ by NVRTC, through cuda.core: machine code for any GPU, also where there is none.

NVRTC always gets a real architecture, never a virtual one: it then makes both cubin and PTX, and
needs no driver for either.
"""

from __future__ import annotations

import functools
import importlib.util
from typing import TYPE_CHECKING, Any

import torch

from fusekit import config
from fusekit.codegen import KernelSource, Target
from fusekit.compilers import cache, disassembler
from fusekit.compilers.base import Artifact
from fusekit.errors import CompileError, EngineUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Nvrtc"]

_DEFAULT_ARCH = "sm_90"
"""What is written for on a machine without a GPU, unless the option `cuda_arch` says otherwise."""

_GET = 'pip install "fusekit[cuda]" nvidia-cuda-nvrtc'


class Nvrtc:
    """Compiles for the current device and loads into all devices of its kind."""

    def unavailable(self) -> str | None:
        """Why no kernel can run here, and what to do; None if one can."""
        if not torch.cuda.is_available():
            build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "a CPU build"
            return f"no usable NVIDIA GPU (torch is {build})"
        reason = _why_no_nvrtc()
        if reason is None and _arch_of_device() is None:
            major, minor = torch.cuda.get_device_capability()
            return f"this NVRTC compiles for no GPU of compute capability {major}.{minor}"
        return reason

    def target(self) -> Target:
        """The current device; without one, what the option `cuda_arch` says."""
        arch = _arch_of_device() if torch.cuda.is_available() else None
        return Target(arch or _chosen_arch(), vector_bytes=0)

    def compile(self, source: KernelSource) -> Artifact:
        """Compile for the current device, or fetch from the disk cache, and load.

        Raises:
            CompileError: NVRTC does not accept the text, or the driver not the machine code.
            EngineUnavailableError: there is no GPU or no NVRTC.
        """
        reason = self.unavailable()
        if reason is not None:
            raise EngineUnavailableError(reason)
        arch = self.target().name
        key = cache.digest("cuda", source.text, arch, *_options(), _version())
        cubin = cache.get(key)
        is_kept = cubin is not None
        if cubin is None:
            cubin, _ = _compiled(source, arch)
            cache.put(key, cubin)
        from cuda.core import ObjectCode  # noqa: PLC0415  takes 60 ms, and only GPUs need it

        try:
            code = ObjectCode.from_cubin(cubin)
            handle = int(code.get_kernel(source.symbol).handle)
        except Exception as error:
            raise CompileError(
                "the driver does not load the machine code", log=str(error), source=source.text
            ) from error
        return Artifact(handle, source, is_kept, keepalive=code)

    def assembly(self, source: KernelSource, language: str = "asm") -> str:
        """PTX, or "sass" by NVIDIA's disassembler, for the option `cuda_arch` or the device."""
        reason = _why_no_nvrtc()
        if reason is not None:
            raise EngineUnavailableError(reason)
        arch = config.current().cuda_arch or self.target().name
        cubin, ptx = _compiled(source, arch)
        return disassembler.sass(cubin) if language == "sass" else ptx


def _chosen_arch() -> str:
    return config.current().cuda_arch or _DEFAULT_ARCH


def _why_no_nvrtc() -> str | None:
    if importlib.util.find_spec("cuda") is None or importlib.util.find_spec("cuda.core") is None:
        return f"cuda.core is not installed: {_GET}"
    try:
        _version()
    except Exception as error:  # noqa: BLE001  whatever a missing library makes the binding raise
        return f"NVRTC cannot be loaded ({error}): {_GET}"
    return None


@functools.cache
def _version() -> str:
    from cuda.bindings import nvrtc  # noqa: PLC0415  as above

    _, major, minor = nvrtc.nvrtcVersion()
    return f"{major}.{minor}"


@functools.cache
def _supported() -> Sequence[int]:
    from cuda.bindings import nvrtc  # noqa: PLC0415  as above

    _, archs = nvrtc.nvrtcGetSupportedArchs()
    return tuple(archs)


def _arch_of_device() -> str | None:
    """The best architecture for the current device: code of one minor version runs on later ones.

    None if there is none, or no NVRTC.
    """
    if _why_no_nvrtc() is not None:
        return None
    major, minor = torch.cuda.get_device_capability()
    fitting = [n for n in _supported() if n // 10 == major and n % 10 <= minor]
    return f"sm_{max(fitting)}" if fitting else None


def _options() -> tuple[str, ...]:
    """Everything of the options that changes machine code."""
    return ("fast",) if config.current().fast else ()


def _compiled(source: KernelSource, arch: str) -> tuple[bytes, str]:
    """Machine code and PTX."""
    from cuda.bindings import nvrtc  # noqa: PLC0415  as above
    from cuda.core import Program, ProgramOptions  # noqa: PLC0415  as above

    fast = config.current().fast
    options: dict[str, Any] = {"std": "c++17", "minimal": True, "fma": fast, "prec_div": not fast}
    try:
        program = Program(source.text, "c++", ProgramOptions(arch=arch, **options))
        cubin = program.compile("cubin").code
    except Exception as error:
        raise CompileError(
            f"NVRTC did not compile for {arch}", log=str(error), source=source.text
        ) from error
    _, size = nvrtc.nvrtcGetPTXSize(program.handle)
    ptx = b" " * size
    nvrtc.nvrtcGetPTX(program.handle, ptx)
    return bytes(cubin), ptx.rstrip(b"\0").decode()
