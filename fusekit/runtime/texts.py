"""The texts of a program's kernels, in the language of any engine, or of the machine."""

from __future__ import annotations

from collections.abc import Iterator

from fusekit.errors import UsageError
from fusekit.ir import print_graph
from fusekit.runtime.engines import ENGINES, Engine
from fusekit.runtime.kernels import generate
from fusekit.runtime.program import KernelCall, Program, rebind

__all__ = ["texts"]

_LANGUAGES = {"llvm": "llvm", "cpp": "cpp", "cuda": "cuda", "ptx": "cuda", "sass": "cuda"}
"""Language -> the engine that writes it; "ir" needs none, "asm" is the running engine's."""

_ASSEMBLIES = ("asm", "ptx", "sass")


def texts(program: Program, engine: Engine, language: str | None) -> Iterator[str]:
    """The text of each kernel, as `engine` runs it or in another language.

    Raises:
        EngineUnavailableError: this machine lacks what the language takes.
        UsageError: there is no such language.
    """
    if language not in (None, "ir", "asm", *_LANGUAGES):
        known = ", ".join((*_LANGUAGES, "asm", "ir"))
        raise UsageError(f"no language {language!r}; there are {known}")
    writer = ENGINES[_LANGUAGES[language]] if language in _LANGUAGES else engine
    if writer.device not in (program.capture.device.type, "any"):
        program = rebind(program, writer.device)
    for call in program.kernels:
        yield _text(call, writer, language)


def _text(call: KernelCall, engine: Engine, language: str | None) -> str:
    if language == "ir" or not engine.compiler:
        return print_graph(call.spec.graph)
    source = generate(engine, call.spec, call.binding.args)
    if language in _ASSEMBLIES:
        return engine.load_compiler().assembly(source, language)
    return source.text
