"""Finding a C++ compiler, and running it: as an argument vector, in a private folder, not forever.

CXX may be a command with flags, quoted as in a shell: `CXX="ccache g++ -march=x86-64-v3"`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import os
import platform
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fusekit.compilers import cache, openmp
from fusekit.errors import CompileError

__all__ = [
    "TIMEOUT_SECONDS",
    "Command",
    "CompileTimeoutError",
    "Toolchain",
    "cpu_features",
    "find_command",
    "run",
]

TIMEOUT_SECONDS = 60.0

_LOG_BYTES = 1 << 20
"""How much of what a compiler prints is kept: the end, where the verdict is."""

_LOOK_SECONDS = 0.1
"""How often to look whether it has ended, while a process that it left behind stays silent."""

_CANDIDATES = ("g++", "clang++", "c++")

_PROBE = """#include <stdint.h>
extern "C" int32_t probe(int64_t size, float* out) {
#pragma omp parallel for simd if (parallel: size > 1000)
  for (int64_t i = 0; i < size; ++i) out[i] = out[i] * 2.0f;
  return 0;
}
"""


class CompileTimeoutError(CompileError):
    """The compiler was still running after TIMEOUT_SECONDS."""


@dataclasses.dataclass(frozen=True, slots=True)
class Command:
    """A compiler as CXX or PATH names it.

    Attributes:
        program: what to run, with anything that wraps it: ("/usr/bin/ccache", "g++").
        flags: what CXX adds.
    """

    program: tuple[str, ...]
    flags: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Toolchain:
    """A compiler that was seen to work.

    Attributes:
        command: how it is called.
        version: what it says of itself.
        optional: those of the flags one would like that it accepts.
    """

    command: Command
    version: str
    optional: tuple[str, ...]

    @classmethod
    def probe(cls, command: Command) -> Toolchain:
        """Try a small kernel with ever fewer flags; CompileError if it compiles with none."""
        version = _version(command)
        key = cache.digest("probe", _PROBE, *command.program, *command.flags, version, *_host())
        known = cache.get(key)
        if known is not None:
            return cls(command, version, tuple(known.decode().split()))
        for last, optional in _optional_flags(version):
            try:
                run([*command.program, *optional, *command.flags, "-std=c++17", "-c"], _PROBE)
            except CompileError as error:
                if last or isinstance(error, CompileTimeoutError):
                    raise
            else:
                cache.put(key, " ".join(optional).encode())
                break
        return cls(command, version, optional)

    @property
    def identity(self) -> tuple[str, ...]:
        """What decides, besides source and flags, which machine code comes out."""
        command = (*self.command.program, "", *self.command.flags, "", *self.optional)
        return (*command, self.version, *_host())


def find_command(environ: Mapping[str, str]) -> Command | str:
    """The compiler to use, or a sentence that says what to do to have one."""
    text = environ.get("CXX", "").strip()
    search = environ.get("PATH")
    if not text:
        found = (shutil.which(name, path=search) for name in _CANDIDATES)
        path = next(filter(None, found), None)
        missing = f"no C++ compiler on PATH ({', '.join(_CANDIDATES)}): install one, or set CXX"
        return Command((path,)) if path else missing
    try:
        words = shlex.split(text)
    except ValueError as error:
        return f"CXX={text!r} is not a command ({error}): quote it as in a shell"
    program = list(itertools.takewhile(lambda word: not word.startswith("-"), words))
    path = shutil.which(program[0], path=search) if program else None
    if path is None:
        return f"CXX={text!r} names no program that is there: correct it, or unset it"
    # Compilers run in a folder of their own, where a relative path would lead nowhere.
    return Command((str(Path(path).absolute()), *program[1:]), tuple(words[len(program) :]))


def run(arguments: Sequence[str], source: str, output: str = "kernel.out") -> bytes:
    """Compile `source` with `arguments`; the bytes of the output file.

    Raises:
        CompileError: the compiler failed, took too long, or wrote nothing.
        OSError: there is no room for its files.
    """
    command = (*arguments, "-o", output, "kernel.cpp")
    with _private_folder() as folder:
        Path(folder, "kernel.cpp").write_text(source, encoding="utf-8")
        status, log = _execute(command, folder)
        if status == 0:
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                if made := Path(folder, output).read_bytes():
                    return made
    raise _failure(command, status, log, source)


def _private_folder() -> tempfile.TemporaryDirectory[str]:
    """For this user alone: 0700. A compiler may have removed it, or made it odd, in the end."""
    return tempfile.TemporaryDirectory(prefix="fusekit-", ignore_cleanup_errors=True)


def cpu_features() -> frozenset[str]:
    """What the processor can do, in the kernel's words; empty where it does not say."""
    for line in _first_processor():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def _execute(command: Sequence[str], folder: str) -> tuple[int | None, str]:
    """Exit status (None: out of time) and what was printed."""
    try:
        process = subprocess.Popen(  # noqa: S603  a vector, no shell; the text is data in a file
            command,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        return -1, str(error)
    try:
        log = _printed(process)
    finally:
        if process.poll() is None:  # also at Ctrl-C: the driver's children too must go
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert process.stdout is not None
        process.stdout.close()
    return (None, "") if log is None else (process.returncode, log.decode(errors="replace"))


def _printed(process: subprocess.Popen[bytes]) -> bytes | None:
    """The end of what it prints, when it has ended; None if it is out of time.

    What it leaves behind (a server of a compiler cache) may hold its output open for ever.
    """
    assert process.stdout is not None
    descriptor, deadline = process.stdout.fileno(), time.monotonic() + TIMEOUT_SECONDS
    poll, log = select.poll(), bytearray()
    poll.register(descriptor, select.POLLIN)
    while (left := deadline - time.monotonic()) > 0:
        has_ended = process.poll() is not None  # before looking: what it printed is there then
        if poll.poll(0 if has_ended else min(left, _LOOK_SECONDS) * 1e3):
            data = os.read(descriptor, 1 << 16)
            if not data and not has_ended:  # it closed its output
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(left)
                return bytes(log) if process.returncode is not None else None
            log += data
            del log[:-_LOG_BYTES]
            has_ended = has_ended and not data
        if has_ended:
            return bytes(log)
    return None


def _failure(
    command: tuple[str, ...], status: int | None, log: str, source: str = ""
) -> CompileError:
    name = Path(command[0]).name
    if status is None:
        message = f"{name} did not finish in {TIMEOUT_SECONDS:g} s"
        return CompileTimeoutError(message, command=command, log=log, source=source)
    message = f"{name} {f'failed with status {status}' if status else 'wrote no output'}"
    return CompileError(message, command=command, log=log, source=source)


def _version(command: Command) -> str:
    """What `--version` prints."""
    call = (*command.program, "--version")
    with _private_folder() as folder:
        status, text = _execute(call, folder)
    if status != 0:
        raise _failure(call, status, text)
    return text


def _optional_flags(version: str) -> Iterator[tuple[bool, tuple[str, ...]]]:
    """(is it the last, flags), from the most wanted to none.

    One who compiles for the processor but has an older assembler loses -march=native alone, and
    only a failing probe loses OpenMP: no kernel's own error ever does.
    """
    entry = "__kmpc_fork_call" if "clang" in version else "GOMP_parallel"
    native, simd = "-march=native", "-fopenmp-simd"
    if openmp.provides(entry):
        yield False, (native, "-fopenmp")
        yield False, ("-fopenmp",)
    yield False, (native, simd)
    yield False, (simd,)
    yield True, ()


@functools.cache
def _host() -> tuple[str, ...]:
    """The processor, as far as it changes what -march=native means."""
    models = [line for line in _first_processor() if line.startswith(("model name", "CPU part"))]
    return (platform.machine(), *models, *sorted(cpu_features()))


def _first_processor() -> Iterator[str]:
    """The first block of /proc/cpuinfo; on a large machine all of it takes long to read."""
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open(encoding="utf-8") as file:
        for line in file:
            if not line.strip():
                return
            yield line
