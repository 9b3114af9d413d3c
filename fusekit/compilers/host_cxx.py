"""C++ kernels by the machine's own compiler."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import tempfile
from pathlib import Path

from fusekit import config
from fusekit.codegen import KernelSource, Target
from fusekit.compilers import cache, elf, openmp
from fusekit.compilers.base import Artifact
from fusekit.compilers.host_listing import host_listing
from fusekit.compilers.listing import Listing
from fusekit.compilers.toolchain import Command, Toolchain, cpu_features, find_command, run
from fusekit.compilers.x86 import X86_LEVELS
from fusekit.errors import CompileError, EngineUnavailableError
from fusekit.locks import lock

__all__ = ["HostCxx"]

_WANTED = ("-O3", "-std=c++17")
"""What CXX's own flags may override, like the optional flags."""

_REQUIRED = (
    "-fno-fast-math",
    "-fwrapv",
    "-fno-strict-aliasing",
    "-fno-math-errno",
    "-fno-trapping-math",  # concerns exception flags, not values: selects can be vectorised
    "-fno-exceptions",
    "-fPIC",
)
"""What the meaning of kernels rests on."""

_LINK = ("-shared", "-nodefaultlibs", "-Wl,--no-as-needed", "-lm")
"""Nothing of C++'s runtime is used, and the OpenMP runtime has to be PyTorch's."""


_ASSEMBLY = ("-fno-asynchronous-unwind-tables", "-S")

_LISTED = (*_ASSEMBLY, "-g", "-gdwarf-5", "-dA")
"""With line information; the last flag has g++ and clang say what it means."""

_NATIVE = "-march=native"


class HostCxx:
    """g++ or clang++, found by CXX or on PATH when it is asked for."""

    def __init__(self) -> None:
        self._lock = lock()
        self._known: dict[Command, Toolchain | str] = {}

    def unavailable(self) -> str | None:
        """Why there is no compiler, and what to do; None if there is one."""
        found = self._toolchain()
        return found if isinstance(found, str) else None

    def target(self) -> Target:
        """The host."""
        features = cpu_features()
        width = 64 if "avx512f" in features else 32 if "avx" in features else 16
        return Target(platform.machine(), vector_bytes=width)

    def compile(self, source: KernelSource) -> Artifact:
        """Compile, or fetch from the disk cache, and load.

        Raises:
            CompileError: the compiler failed or took too long, or the result cannot be loaded.
            EngineUnavailableError: there is no compiler.
            OSError: there is no room for its files.
        """
        key = self.key(source)
        kept = cache.get(key)
        if kept is not None:
            with contextlib.suppress(OSError, AttributeError):
                return _artifact(_load(kept), source, cached=True)
        code = self.image(source)
        artifact = self.load(source, code)
        cache.put(key, code)
        return artifact

    def image(self, source: KernelSource) -> bytes:
        """A shared library, compiled now.

        Raises:
            CompileError, EngineUnavailableError, OSError: as for `compile`.
        """
        return run(self.command(), source.text, "kernel.so")

    def load(self, source: KernelSource, image: bytes) -> Artifact:
        """The library of these bytes; CompileError if it cannot be loaded or lacks the function."""
        message = "the kernel was compiled but cannot be loaded (TMPDIR may forbid execution)"
        try:
            library = _load(image)
            message = f"the kernel was compiled but has no function {source.symbol}"
            return _artifact(library, source, cached=False)
        except (OSError, AttributeError) as error:
            command = self.command()
            raise CompileError(
                message, command=command, log=str(error), source=source.text
            ) from error

    def key(self, source: KernelSource) -> str:
        """Of text, flags, compiler and processor; EngineUnavailableError without a compiler."""
        toolchain = self._working()
        return cache.digest("cpp", source.text, *_flags(toolchain), *toolchain.identity)

    def command(self) -> tuple[str, ...]:
        """What makes a library of a kernel's text; EngineUnavailableError without a compiler."""
        toolchain = self._working()
        return (*toolchain.command.program, *_flags(toolchain), *_LINK)

    def assembly(self, source: KernelSource, language: str = "asm") -> str:
        """The compiler's assembly text."""
        del language  # there is one
        toolchain = self._working()
        command = (*toolchain.command.program, *_flags(toolchain), *_ASSEMBLY)
        return run(command, source.text, "kernel.s").decode()

    def listing(
        self, source: KernelSource, language: str = "asm", target: Target | None = None
    ) -> Listing:
        """The assembly with line information, which changes no instruction."""
        del language  # there is one
        toolchain = self._working()
        flags = _flags(toolchain)
        if target is not None and target.name != self.target().name:
            flags = (*(flag for flag in flags if flag != _NATIVE), f"-march={target.name}")
        command = (*toolchain.command.program, *flags, *_LISTED)
        return host_listing(run(command, source.text, "kernel.s").decode())

    def targets(self) -> tuple[Target, ...]:
        """The host, and on x86-64 the levels of its ABI."""
        return (self.target(), *(X86_LEVELS if platform.machine() == "x86_64" else ()))

    def _toolchain(self) -> Toolchain | str:
        """Looked for each time, for CXX may change; but tried only once."""
        command = find_command(os.environ)
        if isinstance(command, str):
            return command
        with self._lock:
            if command not in self._known:
                try:
                    self._known[command] = _tried(command)
                except OSError as error:  # which may be otherwise the next time
                    return f"{command.program[0]} cannot be tried: {error}"
            return self._known[command]

    def _working(self) -> Toolchain:
        found = self._toolchain()
        if isinstance(found, str):
            raise EngineUnavailableError(found)
        return found


def _tried(command: Command) -> Toolchain | str:
    try:
        return Toolchain.probe(command)
    except CompileError as error:
        return f"{command.program[0]} does not compile C++17, try another by setting CXX: {error}"


def _flags(toolchain: Toolchain) -> tuple[str, ...]:
    """In order: ours that CXX may override, CXX's, ours that it may not."""
    contract = "fast" if config.current().fast else "off"
    command = toolchain.command
    return (
        *_WANTED,
        *toolchain.optional,
        *command.flags,
        *_REQUIRED,
        f"-ffp-contract={contract}",
    )


def _load(code: bytes) -> ctypes.CDLL:
    """The library of these bytes, loaded; its file is gone afterwards. OSError if it is none."""
    if not elf.is_whole(code):
        raise OSError("the file ends before its contents do")
    openmp.provides("GOMP_parallel")  # makes the runtime's symbols visible
    with tempfile.TemporaryDirectory(prefix="fusekit-") as folder:
        path = Path(folder, "kernel.so")
        path.write_bytes(code)
        return ctypes.CDLL(str(path), mode=os.RTLD_NOW | os.RTLD_LOCAL)


def _artifact(library: ctypes.CDLL, source: KernelSource, *, cached: bool) -> Artifact:
    """The library's entry point; AttributeError if it has none of that name."""
    address = ctypes.cast(getattr(library, source.symbol), ctypes.c_void_p).value
    assert address is not None
    return Artifact(address, source, cached, keepalive=library)
