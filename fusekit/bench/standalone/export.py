"""A kernel to take away: its source, a program that runs it, and the one command for both."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from fusekit.bench.standalone.driver import Driven, checksum, driver_text, pattern
from fusekit.codegen import KernelSource
from fusekit.compilers.host_cxx import HostCxx
from fusekit.errors import EngineUnavailableError
from fusekit.runtime.engines import Engine
from fusekit.runtime.kernel_memory import KernelMemory, memory_of
from fusekit.runtime.kernels import kernel_for
from fusekit.runtime.program import KernelCall

__all__ = ["write_standalone"]

_FILES = {"cpp": "kernel.cpp", "llvm": "kernel.ll", "cuda": "kernel.cu"}
_IMAGES = {"llvm": "kernel.o", "cuda": "kernel.cubin"}
"""Machine code that goes along, where no compiler that everybody has makes it."""

_NOT_FOR_PROGRAMS = ("-shared", "-nodefaultlibs", "-fPIC")
_SLEEF = re.compile(r"^declare [^@]*@Sleef_", re.MULTILINE)


def write_standalone(
    directory: Path, engine: Engine, call: KernelCall, scalars: Sequence[Any]
) -> list[Path]:
    """Write a kernel, its driver, a Makefile and a README into a directory; the files.

    The checksum that the driver expects is computed here and now, by the engine's own kernel on
    the driver's pattern.

    Raises:
        FusionDeclined: the kernel does not compile.
    """
    kernel = kernel_for(engine, call.spec, call.binding.args)
    memory = memory_of(call)
    device = call.binding.args.device
    expected = _expected(kernel.launcher, call, memory, scalars, device)
    moved = sum(nbytes for _, nbytes in call.traffic())
    driven = Driven(kernel.source, call.binding, memory, tuple(scalars), moved, expected)
    directory.mkdir(parents=True, exist_ok=True)
    language = kernel.source.language
    files = {
        _FILES[language]: kernel.source.text,
        "driver.cpp": driver_text(driven),
        "Makefile": _makefile(kernel.source),
        "README.md": _readme(kernel.source, call, memory),
    }
    written = []
    for name, text in files.items():
        written.append(directory / name)
        written[-1].write_text(text, encoding="utf-8", newline="\n")
    if language in _IMAGES:
        written.append(directory / _IMAGES[language])
        written[-1].write_bytes(engine.load_compiler().image(kernel.source))
    return written


def _expected(
    launcher: Any, call: KernelCall, memory: KernelMemory, scalars: Sequence[Any], device: str
) -> int:
    contents = [region.to(device) for region in pattern(memory)]
    addresses = [
        contents[place.base].data_ptr() + place.offset * contents[place.base].element_size()
        for place in memory.places
    ]
    index = torch.cuda.current_device() if device == "cuda" else 0
    launcher.function(launcher.layout(call.binding, index), *scalars, *addresses)
    return checksum([memory.view(contents, place).cpu() for place in memory.outputs])


def _command() -> tuple[str, str]:
    """The C++ compiler's name, and the flags that the meaning of a kernel rests on."""
    try:
        words = HostCxx().command()
    except EngineUnavailableError:
        return "g++", "-O3 -std=c++17 -fopenmp -ffp-contract=off"
    program = next(i for i, word in enumerate(words) if word.startswith("-"))
    flags = [w for w in words[program:] if w not in _NOT_FOR_PROGRAMS and not w.startswith("-Wl")]
    return Path(words[program - 1]).name, " ".join(w for w in flags if w != "-lm")


def _makefile(source: KernelSource) -> str:
    compiler, flags = _command()
    parts = {"cpp": "kernel.cpp", "llvm": "kernel.o", "cuda": ""}[source.language]
    libraries = {"cpp": "-lm", "llvm": "-fopenmp -lm", "cuda": "-l:libcuda.so.1"}[source.language]
    torch_place = ""
    if source.language == "llvm" and _SLEEF.search(source.text):
        # vector functions that PyTorch's library carries
        torch_place = (
            "TORCH = $(shell python -c "
            '"import os, torch; print(os.path.dirname(torch.__file__))")/lib\n'
        )
        libraries += " -L$(TORCH) -ltorch_cpu -lc10 -Wl,-rpath,$(TORCH)"
    return f"""\
# `make run` compiles the driver with the kernel, and runs it.
CXX = {compiler}
CXXFLAGS = {flags}
{torch_place}
run: driver
\t./driver

driver: driver.cpp {parts or "kernel.cubin"}
\t$(CXX) $(CXXFLAGS) driver.cpp {parts} -o driver {libraries}

clean:
\trm -f driver
.PHONY: run clean
"""


_MADE = {
    "cpp": "It is compiled together with the driver.",
    "llvm": (
        "kernel.o is what LLVM made of it for the processor it was exported on; to make it anew: "
        "`clang -O2 -march=native -fPIC -c kernel.ll -o kernel.o`."
    ),
    "cuda": (
        "kernel.cubin is what NVRTC made of it for the GPU it was exported on; to make it anew, "
        "compile kernel.cu by NVRTC with `--fmad=false`."
    ),
}


def _readme(source: KernelSource, call: KernelCall, memory: KernelMemory) -> str:
    rows = []
    for position, place in enumerate(memory.places):
        role = "loaded" if position < memory.n_inputs else "stored"
        region = memory.regions[place.base]
        rows.append(
            f"| {role} | {region.dtype.value} | {list(place.shape)} | {list(place.strides)} | "
            f"{place.base} at {place.offset} |"
        )
    table = "\n".join(rows)
    return f"""\
# {source.symbol}

A kernel that fusekit generated, and a program that runs it by itself:

    make run

The program allocates the tensors below, fills them with a fixed pattern, runs the kernel, and
prints a checksum of what it stored (held against the one that it had when it was exported), the
median time of a run, and the bytes moved in a second: {sum(n for _, n in call.traffic())} bytes a
run, each element once.

The kernel is in {_FILES[source.language]}. {_MADE[source.language]}

| tensor | dtype | extents | strides | memory |
| --- | --- | --- | --- | --- |
{table}
"""
