"""CUDA C++ by NVRTC, through cuda.core: machine code for any GPU, also where there is none.

NVRTC always gets a real architecture, never a virtual one: it then makes both cubin and PTX, and
needs no driver for either.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import io
import re
from typing import TYPE_CHECKING, Any

import torch

from fusekit import config
from fusekit.codegen import KernelSource, Target
from fusekit.compilers import cache, disassembler
from fusekit.compilers.base import Artifact
from fusekit.compilers.gpu_listing import ptx_listing, sass_listing
from fusekit.compilers.listing import Listing
from fusekit.errors import CompileError, EngineUnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Built", "Nvrtc", "build", "supported", "version", "why_no_nvrtc"]

_DEFAULT_ARCH = "sm_90"
"""What is written for on a machine without a GPU, unless the option `cuda_arch` says otherwise."""

_NO_REMARK = [39, 186]
"""Dividing by a zero, and asking whether an unsigned number is below zero: both the user's."""

_GET = 'pip install "fusekit[cuda]"'


@dataclasses.dataclass(frozen=True, slots=True)
class Built:
    """What NVRTC made of a text.

    Attributes:
        cubin: machine code, an ELF file.
        ptx: the same before registers were assigned.
        log: what NVRTC remarked; empty for every text of ours.
    """

    cubin: bytes
    ptx: str
    log: str


class Nvrtc:
    """Compiles for the current device and loads into all devices of its kind."""

    def unavailable(self) -> str | None:
        """Why no kernel can run here, and what to do; None if one can."""
        if torch.version.hip is not None:
            return "torch is a ROCm build; kernels are CUDA"
        if not torch.cuda.is_available():
            build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "a CPU build"
            return f"no usable NVIDIA GPU (torch is {build})"
        reason = why_no_nvrtc()
        if reason is None and _arch_of_device() is None:
            major, minor = torch.cuda.get_device_capability()
            return f"this NVRTC compiles for no GPU of compute capability {major}.{minor}"
        return reason

    def target(self) -> Target:
        """The current device; without one, what the option `cuda_arch` says."""
        arch = _arch_of_device() if torch.cuda.is_available() else None
        return Target(arch or config.current().cuda_arch or _DEFAULT_ARCH, vector_bytes=0)

    def compile(self, source: KernelSource) -> Artifact:
        """Compile for the current device, or fetch from the disk cache, and load.

        Raises:
            CompileError: NVRTC does not accept the text, or the driver not the machine code.
            EngineUnavailableError: there is no GPU or no NVRTC.
        """
        reason = self.unavailable()
        if reason is not None:
            raise EngineUnavailableError(reason)
        key = self.key(source)
        cubin = cache.get(key)
        is_kept = cubin is not None
        if cubin is None:
            cubin = self.image(source)
            cache.put(key, cubin)
        return dataclasses.replace(self.load(source, cubin), cached=is_kept)

    def image(self, source: KernelSource) -> bytes:
        """A cubin for the target, which need not be there.

        Raises:
            CompileError: NVRTC does not accept the text.
            EngineUnavailableError: there is no NVRTC.
        """
        return build(source, self.target().name).cubin

    def load(self, source: KernelSource, image: bytes) -> Artifact:
        """Load a cubin into the current device's context; CompileError if the driver does not."""
        from cuda.core import ObjectCode  # noqa: PLC0415  takes 60 ms, and only GPUs need it

        try:
            code = ObjectCode.from_cubin(image)
            handle = int(code.get_kernel(source.symbol).handle)
        except Exception as error:
            raise CompileError(
                "the driver does not load the machine code", log=str(error), source=source.text
            ) from error
        return Artifact(handle, source, keepalive=code)

    def key(self, source: KernelSource) -> str:
        """Of text, architecture, options and NVRTC's version."""
        return cache.digest("cuda", source.text, self.target().name, *_options(), version())

    def assembly(self, source: KernelSource, language: str = "asm") -> str:
        """PTX, or "sass" by NVIDIA's disassembler, for the option `cuda_arch` or the device.

        Raises:
            EngineUnavailableError: there is no NVRTC, or for "sass" no disassembler.
            UsageError: this NVRTC knows no such architecture.
        """
        built = build(source, config.current().cuda_arch or self.target().name)
        return disassembler.sass(built.cubin) if language == "sass" else built.ptx

    def listing(
        self, source: KernelSource, language: str = "ptx", target: Target | None = None
    ) -> Listing:
        """PTX, or "sass", compiled with line information, which changes no instruction."""
        arch = target.name if target else config.current().cuda_arch or self.target().name
        built = build(source, arch, lines=True)
        if language == "sass":
            return sass_listing(disassembler.sass(built.cubin, lines=True))
        return ptx_listing(built.ptx)

    def targets(self) -> tuple[Target, ...]:
        """The device or the option `cuda_arch`, and all that NVRTC knows."""
        own = config.current().cuda_arch or self.target().name
        known = () if why_no_nvrtc() else supported()
        names = dict.fromkeys([own, *(f"sm_{number}" for number in known)])
        return tuple(Target(name, vector_bytes=0) for name in names)


def why_no_nvrtc() -> str | None:
    """What is missing for PTX and machine code, and how to get it; None if nothing is."""
    if importlib.util.find_spec("cuda") is None or importlib.util.find_spec("cuda.core") is None:
        return f"cuda.core is not installed: {_GET}"
    try:
        version()
    except Exception as error:  # noqa: BLE001  whatever a missing library makes the binding raise
        return f"NVRTC cannot be loaded ({error}): {_GET}"
    return None


@functools.cache
def version() -> str:
    """NVRTC's own, such as "13.5"."""
    from cuda.bindings import nvrtc  # noqa: PLC0415  as above

    _, major, minor = nvrtc.nvrtcVersion()
    return f"{major}.{minor}"


@functools.cache
def supported() -> Sequence[int]:
    """The architectures this NVRTC compiles for: 90 is sm_90."""
    from cuda.bindings import nvrtc  # noqa: PLC0415  as above

    _, archs = nvrtc.nvrtcGetSupportedArchs()
    return tuple(archs)


def _arch_of_device() -> str | None:
    """The best architecture for the current device: code of one minor version runs on later ones.

    None if there is none, or no NVRTC.
    """
    if why_no_nvrtc() is not None:
        return None
    major, minor = torch.cuda.get_device_capability()
    fitting = [n for n in supported() if n // 10 == major and n % 10 <= minor]
    return f"sm_{max(fitting)}" if fitting else None


def _options() -> tuple[str, ...]:
    """Everything of the options that changes machine code."""
    return ("fast",) if config.current().fast else ()


def build(source: KernelSource, arch: str, *, lines: bool = False) -> Built:
    """Machine code and PTX for a GPU that need not be there; with `lines`, for readers of both.

    Raises:
        CompileError: NVRTC does not accept the text.
        EngineUnavailableError: there is no NVRTC.
        UsageError: this NVRTC knows no such architecture.
    """
    reason = why_no_nvrtc()
    if reason is not None:
        raise EngineUnavailableError(reason)
    _check(arch)
    from cuda.core import Program, ProgramOptions  # noqa: PLC0415  as above

    fast = config.current().fast
    options: dict[str, Any] = {
        "std": "c++17",
        "minimal": True,
        "fma": fast,
        "prec_div": not fast,
        "diag_suppress": _NO_REMARK,
        "lineinfo": lines,
    }
    if not config.current().disk_cache:
        options["no_cache"] = True  # NVRTC keeps one of its own beside the driver's
    log = io.StringIO()
    try:
        program = Program(source.text, "c++", ProgramOptions(arch=arch, **options))
        cubin = program.compile("cubin", logs=log).code
    except Exception as error:
        raise CompileError(
            f"NVRTC did not compile for {arch}", log=str(error), source=source.text
        ) from error
    return Built(bytes(cubin), _ptx_of(program), log.getvalue().strip("\0 \n"))


def _check(arch: str) -> None:
    """A real architecture: sm_90, or sm_90a with what only that one has."""
    found = re.fullmatch(r"sm_(\d+)[af]?", arch)
    if found is None or int(found[1]) not in supported():
        known = ", ".join(f"sm_{number}" for number in supported())
        raise UsageError(f"NVRTC {version()} knows no GPU {arch!r}; there are {known}")


def _ptx_of(program: Any) -> str:
    """cuda.core hands out PTX only where it compiles to nothing else."""
    from cuda.bindings import nvrtc  # noqa: PLC0415  as above

    _, size = nvrtc.nvrtcGetPTXSize(program.handle)
    ptx = bytes(size)
    nvrtc.nvrtcGetPTX(program.handle, ptx)
    return ptx.rstrip(b"\0").decode()
