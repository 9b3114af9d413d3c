"""What the runtime asks of a compiler."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

from fusekit.codegen import KernelSource, Target
from fusekit.compilers.listing import Listing

__all__ = ["Artifact", "Compiler"]


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A compiled kernel, loaded into this process.

    Attributes:
        address: of the entry point; on a GPU the driver's handle of the kernel.
        source: what it was compiled from.
        cached: True when the machine code came from the disk cache.
        keepalive: whatever must live as long as the code does.
    """

    address: int
    source: KernelSource
    cached: bool = False
    keepalive: Any = None


class Compiler(Protocol):
    """Turns source text into callable code."""

    def unavailable(self) -> str | None:
        """Why it cannot work on this machine, in a sentence; None if it can."""

    def target(self) -> Target:
        """What it compiles for."""

    def compile(self, source: KernelSource) -> Artifact:
        """Compile and load; CompileError with the log otherwise."""

    def image(self, source: KernelSource) -> bytes:
        """The machine code as a file holds it, compiled now; no cache is asked or filled."""

    def load(self, source: KernelSource, image: bytes) -> Artifact:
        """What `image` made of this source, loaded into the process."""

    def key(self, source: KernelSource) -> str:
        """What its machine code is kept under in the disk cache."""

    def assembly(self, source: KernelSource, language: str = "asm") -> str:
        """The machine code as text; a GPU's also as "sass".

        Raises:
            EngineUnavailableError: this machine lacks what that takes.
        """

    def listing(
        self, source: KernelSource, language: str = "asm", target: Target | None = None
    ) -> Listing:
        """The same instructions to read, each with the line of the source that it stems from.

        Args:
            source: what to compile; for `target`, where its text depends on that.
            language: "asm", or of a GPU's "ptx" and "sass".
            target: another machine, one of `targets`; nothing is run there.

        Raises:
            CompileError: the compiler does not accept the text.
            EngineUnavailableError: this machine lacks what that takes.
        """

    def targets(self) -> tuple[Target, ...]:
        """What it can compile for, to be read; what it does compile for comes first."""
