"""What kernels take of a processor, read from machine code: also of one that is not here."""

from __future__ import annotations

import dataclasses
import platform
import re
from collections.abc import Iterable, Mapping

from fusekit.codegen import Target
from fusekit.compilers import nvrtc
from fusekit.compilers.cubin import resources
from fusekit.compilers.llvm_jit import assembly_for
from fusekit.compilers.x86 import X86_INSTRUCTIONS, X86_LEVELS
from fusekit.config import options
from fusekit.errors import UsageError
from fusekit.runtime.engines import ENGINES, Engine
from fusekit.runtime.kernels import generate
from fusekit.runtime.program import Program, rebind

__all__ = ["CPUS", "HOST", "Figures", "figures", "targets"]

CPUS: Mapping[str, Target] = {
    X86_INSTRUCTIONS[level.name].lower().replace("-", ""): level for level in X86_LEVELS[1:]
}
"""The levels of x86-64 with wide registers, by what these are called: "avx2", "avx512"."""

HOST = "here"
"""The processor that kernels run on."""


@dataclasses.dataclass(frozen=True, slots=True)
class Figures:
    """What all kernels of a program take together, on one target.

    Attributes:
        target: "here", "avx2", "sm_90".
        instructions: of the machine code; on a GPU with padding.
        vector_instructions: those of them that name a vector register; 0 on a GPU.
        registers: vector registers used, on a GPU registers of a thread, of the kernel with most.
        spills: stores of vector registers to the stack; on a GPU bytes of stack of a thread.
    """

    target: str
    instructions: int
    vector_instructions: int
    registers: int
    spills: int

    @property
    def is_gpu(self) -> bool:
        """True for a GPU's."""
        return self.target.startswith("sm_")

    def __str__(self) -> str:
        """`avx2: 312 instructions, 214 of them vector, 16 registers, 4 spills`."""
        vector = "" if self.is_gpu else f", {self.vector_instructions} of them vector"
        spilled = f"{self.spills} bytes of stack" if self.is_gpu else f"{self.spills} spills"
        count = f"{self.instructions} instructions{vector}"
        return f"{self.target}: {count}, {self.registers} registers, {spilled}"


def targets(device: str) -> list[str]:
    """The targets that kernels can be compiled for here without running them."""
    cpus = list(CPUS) if platform.machine() in ("x86_64", "AMD64") and device == "cpu" else []
    if nvrtc.why_no_nvrtc() is not None:
        return cpus
    return [*cpus, *(f"sm_{n}" for n in (80, 90, 100) if n in nvrtc.supported())]


def figures(program: Program, target: str = HOST, engine: Engine | None = None) -> Figures | None:
    """What the kernels of a program take on a target; None of an engine that compiles nothing.

    Here, `engine` compiles them; elsewhere LLVM, or NVRTC.

    Raises:
        UsageError: there is no such target, or none of this program's device.
        EngineUnavailableError: this machine lacks what compiling for it takes.
    """
    device = program.capture.device.type
    if target == HOST and device == "cuda":
        target = nvrtc.Nvrtc().target().name
    if target.startswith("sm_"):
        return _gpu_figures(program, target)
    if target == HOST:
        return _figures_here(program, engine or ENGINES["llvm"])
    if target not in CPUS or target not in targets(device):
        raise UsageError(f"no target {target!r} here; there are {', '.join(targets(device))}")
    cpu, llvm = CPUS[target], ENGINES["llvm"]
    texts = [
        assembly_for(generate(llvm, call.spec, call.binding.args, cpu), cpu)
        for call in program.kernels
    ]
    return _cpu_figures(texts, target)


def _figures_here(program: Program, engine: Engine) -> Figures | None:
    if not engine.compiler or engine.unavailable() is not None:
        return None
    compiler = engine.load_compiler()
    sources = (generate(engine, call.spec, call.binding.args) for call in program.kernels)
    return _cpu_figures(map(compiler.assembly, sources), HOST)


_VECTOR = re.compile(r"%[xyz]mm(\d+)")
_SPILL = re.compile(r"^v?mov\w*\s+%[xyz]mm\d+, -?\d*\(%r[sb]p\)")


def _cpu_figures(texts: Iterable[str], target: str) -> Figures:
    instructions = vectors = registers = spills = 0
    for text in texts:
        used: set[str] = set()
        for line in map(str.strip, text.splitlines()):
            if not line or line.startswith((".", "#")) or line.endswith(":"):
                continue
            found = _VECTOR.findall(line)
            instructions += 1
            vectors += bool(found)
            spills += bool(_SPILL.match(line))
            used.update(found)
        registers = max(registers, len(used))
    return Figures(target, instructions, vectors, registers, spills)


def _gpu_figures(program: Program, target: str) -> Figures:
    bound = program if program.capture.device.type == "cuda" else rebind(program, "cuda")
    with options(cuda_arch=target):
        gpu = Target(target, vector_bytes=0)
        built = [
            resources(
                nvrtc.build(
                    generate(ENGINES["cuda"], call.spec, call.binding.args, gpu), target
                ).cubin
            )
            for call in bound.kernels
        ]
    return Figures(
        target,
        sum(each.instructions for each in built),
        0,
        max((each.registers for each in built), default=0),
        sum(each.stack_bytes for each in built),
    )
