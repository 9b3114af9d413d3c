"""LLVM inside the process, through llvmlite.

The dialect writes vectors, hoists what does not change, and leaves little to optimise: of the
optimiser, only the inlining of the helper functions pays for its time. Code generation at its
default level takes most of a compile.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import functools
import itertools
import mmap
import os
import platform
import re
import threading
from collections.abc import Iterator

import llvmlite
import llvmlite.binding as llvm
import torch

from fusekit.codegen import KernelSource, Target
from fusekit.compilers import cache
from fusekit.compilers.base import Artifact
from fusekit.compilers.host_listing import host_listing
from fusekit.compilers.listing import Listing
from fusekit.compilers.llvm_lines import lines_kept, with_lines
from fusekit.compilers.x86 import X86_LEVELS
from fusekit.errors import CompileError
from fusekit.locks import Undisturbed

__all__ = ["LlvmJit", "assembly_for"]

_VECTOR_BYTES = {"avx512f": 64, "avx2": 32}
"""CPU feature -> the width of the registers it brings; 16 without any of them."""

_FLAGS = "always-inline codegen=2 pic small"
"""How the passes and the machine below are set up, for the cache's key."""

_lock = threading.Lock()
_llvmlites = llvm.ffi.lib._lock  # noqa: SLF001  whoever lets code go holds this one alone

_numbers = itertools.count()
"""Names of the libraries that are linked: none is ever used again."""

_LINKED = 16
"""Kernels linked by one linker. It keeps 10 KB of each for ever, so it must go in its turn."""

_HEADROOM = 64 << 20
_HEADROOM_OF_TEXT = 2048
"""Bytes that LLVM may want for a kernel, and for each byte of its text: 1800 were measured."""

_MOST_HEADROOM = 1 << 30
"""Beyond this a system that promises no more memory than it has might say no to a mere question."""


def _hold() -> None:
    """Before a fork: no other thread may be inside LLVM, whose own locks it would leave taken."""
    _lock.acquire()
    _llvmlites.__enter__()


def _let_go() -> None:
    _llvmlites.__exit__(None, None, None)
    _lock.release()


os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_let_go)

_DECLARED = re.compile(r"^declare [^@]*@(\w+)\(", re.MULTILINE)


class LlvmJit:
    """Compiles LLVM assembly for this CPU and loads it into the process.

    LLVM starts when it is first needed, and is entered by one thread at a time, which Ctrl-C does
    not disturb; code that is loaded runs without locks.
    """

    def unavailable(self) -> str | None:
        """Why it cannot work on this machine, in a sentence; None if it can."""
        if _address("GOMP_parallel") is None:
            return "the OpenMP runtime that PyTorch loaded has no GOMP_parallel"
        return None

    def target(self) -> Target:
        """This CPU."""
        return _host()

    def compile(self, source: KernelSource) -> Artifact:
        """Compile and load, or load what the disk cache holds; CompileError with the log."""
        key = self.key(source)
        kept = cache.get(key)
        if kept is not None and (artifact := self._load_kept(source, kept)):
            return artifact
        image = self.image(source)
        artifact = self.load(source, image)
        cache.put(key, image)
        return artifact

    def image(self, source: KernelSource) -> bytes:
        """An object file.

        Raises:
            CompileError: LLVM does not accept the text.
            MemoryError: it might need more than there is, and would then end the process.
        """
        with Undisturbed(), _lock:
            _check_headroom(source)
            with _optimised(source) as module:
                emitted: bytes = _machine().emit_object(module)
            return emitted

    def load(self, source: KernelSource, image: bytes) -> Artifact:
        """Link the object file into the process; CompileError if that cannot be done."""
        with Undisturbed(), _lock:
            return self._load(source, image)

    def key(self, source: KernelSource) -> str:
        """Of text, LLVM's version and processor."""
        host = _host()
        return cache.digest(
            "llvm", llvmlite.__version__, host.name, host.features, _FLAGS, source.text
        )

    def assembly(self, source: KernelSource, language: str = "asm") -> str:
        """The machine code as assembly text."""
        del language  # there is one
        with Undisturbed(), _lock, _optimised(source) as module:
            return str(_machine().emit_assembly(module))

    def listing(
        self, source: KernelSource, language: str = "asm", target: Target | None = None
    ) -> Listing:
        """The assembly of the text with line information, which changes no instruction."""
        del language  # there is one
        located = dataclasses.replace(source, text=with_lines(source.text))
        with Undisturbed(), _lock, lines_kept():
            machine = _new_machine(target)
            machine.set_asm_verbosity(True)  # remarks name the calls that were inlined
            with _optimised(located, machine) as module:
                text = str(machine.emit_assembly(module))
        return host_listing(text)

    def targets(self) -> tuple[Target, ...]:
        """This CPU, and on x86-64 the levels of its ABI."""
        return (_host(), *(X86_LEVELS if platform.machine() == "x86_64" else ()))

    def _load_kept(self, source: KernelSource, image: bytes) -> Artifact | None:
        """Load an entry of the cache; None if it does not link, whatever the reason."""
        try:
            with Undisturbed(), _lock:
                return self._load(source, image, cached=True)
        except CompileError:
            return None

    def _load(self, source: KernelSource, image: bytes, *, cached: bool = False) -> Artifact:
        """Link machine code into the process. It is unloaded with the artifact."""
        _check_headroom(source)
        library = llvm.JITLibraryBuilder().add_object_img(image).add_current_process()
        for name in _DECLARED.findall(source.text):
            address = _address(name)
            if address is None:
                raise CompileError(f"no library here has the function {name}", source=source.text)
            library.import_symbol(name, address)
        library.export_symbol(source.symbol)
        number = next(_numbers)
        try:
            tracker = library.link(_linker(number // _LINKED), f"kernel{number}")
        except RuntimeError as error:
            raise CompileError(
                "the machine code does not link", log=str(error), source=source.text
            ) from error
        return Artifact(tracker[source.symbol], source, cached, keepalive=tracker)


def assembly_for(source: KernelSource, target: Target) -> str:
    """The machine code of a text for a CPU of this kind that need not be there, as assembly."""
    with Undisturbed(), _lock:
        machine = _new_machine(target)
        with _optimised(source, machine) as module:
            return str(machine.emit_assembly(module))


def _check_headroom(source: KernelSource) -> None:
    """MemoryError where LLVM might run out of memory: it would end the process."""
    size = min(_HEADROOM + _HEADROOM_OF_TEXT * len(source.text), _MOST_HEADROOM)
    try:
        mmap.mmap(-1, size).close()  # only addresses: no page of it is touched
    except OSError as error:
        raise MemoryError(f"compiling a kernel may take {size >> 20} MiB") from error


@contextlib.contextmanager
def _optimised(
    source: KernelSource, machine: llvm.TargetMachine | None = None
) -> Iterator[llvm.ModuleRef]:
    """The module of a text, until the block ends; CompileError where LLVM does not accept it.

    Its context goes with it: the global one would keep constants and the names of types for ever.
    """
    machine = machine or _machine()
    with contextlib.closing(llvm.create_context()) as context:
        try:
            module = llvm.parse_assembly(source.text, context)
        except RuntimeError as error:
            raise _refusal(source, error) from error
        with contextlib.closing(module):
            try:
                module.verify()
            except RuntimeError as error:
                raise _refusal(source, error) from error
            module.triple = machine.triple
            module.data_layout = str(machine.target_data)
            _inline(module, machine)
            yield module


def _refusal(source: KernelSource, error: RuntimeError) -> CompileError:
    message = "LLVM does not accept the generated text"
    return CompileError(message, log=str(error), source=source.text)


def _inline(module: llvm.ModuleRef, machine: llvm.TargetMachine) -> None:
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options()))


@functools.cache
def _start() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


@functools.cache
def _host() -> Target:
    features = llvm.get_host_cpu_features()
    widths = (size for name, size in _VECTOR_BYTES.items() if features.get(name))
    return Target(llvm.get_host_cpu_name(), features.flatten(), next(widths, 16))


def _new_machine(target: Target | None = None) -> llvm.TargetMachine:
    _start()
    target = target or _host()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=target.name, features=target.features, opt=2, reloc="pic", codemodel="small"
    )


_machine = functools.cache(_new_machine)
"""The one that generates code."""


@functools.lru_cache(maxsize=1)
def _linker(turn: int) -> llvm.LLJIT:
    """The linker of the moment; earlier ones live on while code that they loaded does."""
    del turn
    return llvm.create_lljit_compiler(_new_machine(), use_jit_link=True, suppress_errors=True)


@functools.cache
def _torch_libraries() -> ctypes.CDLL:
    """PyTorch and all it depends on: OpenMP, Sleef (in libtorch_cpu), libm."""
    return ctypes.CDLL(torch._C.__file__)  # noqa: SLF001  the one library whose path torch tells


def _address(symbol: str) -> int | None:
    """Where a function of PyTorch's libraries is; None if there is none of that name."""
    try:
        function = getattr(_torch_libraries(), symbol)
    except AttributeError:
        return None
    return ctypes.cast(function, ctypes.c_void_p).value
