"""The generated texts of a program: source, assembly and IR, each linked to the view's values."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping

from fusekit import config
from fusekit.codegen import Target
from fusekit.codegen.source import Spans
from fusekit.compilers.callees import with_callees
from fusekit.compilers.listing import runs_of
from fusekit.errors import CompileError, EngineUnavailableError, UsageError
from fusekit.ir import print_graph
from fusekit.runtime.engines import ENGINES, Engine
from fusekit.runtime.kernels import generate
from fusekit.runtime.program import KernelCall, Program, rebind
from fusekit.viz.code.diff import Variant
from fusekit.viz.collect.boxes import boxes, group_name
from fusekit.viz.model.schema import Source

__all__ = ["ASSEMBLY", "Texts", "sources"]

ASSEMBLY: Mapping[str, tuple[str, ...]] = {
    "llvm": ("asm",),
    "cpp": ("asm",),
    "cuda": ("ptx", "sass"),
}
"""Engine -> the languages that its compiler makes of its text."""

_ASSEMBLED = 32
"""Texts beyond which none is assembled unasked: that takes a compiler's time and a page's room."""


def sources(
    program: Program, engine: Engine | None, languages: Collection[str] = ()
) -> list[Source]:
    """The texts of every kernel, the one of `engine` first; groups that share a kernel share them.

    Args:
        program: whose kernels.
        engine: what runs them; None if nothing does.
        languages: of `fusekit.viz.code.section.LANGUAGES`; by default the text of each engine, the
            assembly of `engine` and the IR. What takes a compiler that is not here is left out.
    """
    texts = Texts(program)
    engines = [row for row in ENGINES.values() if row.compiler]
    engines.sort(key=lambda row: row is not engine)
    found: dict[Hashable, Source] = {}
    kernels: dict[Hashable, int] = {}
    for group, call in enumerate(program.kernels):
        number = kernels.setdefault(call.form, len(kernels))
        for row in engines:
            is_read = row is engine and number < _ASSEMBLED
            default = (row.name, *(ASSEMBLY[row.name][:1] if is_read else ()))
            for language in (row.name, *ASSEMBLY[row.name]):
                key = language, row.name, texts.form(group, row)
                if key in found or language in (languages or default):
                    _add(found, key, texts.if_here(group, row.name, language))
        if "ir" in (languages or ("ir",)):
            _add(found, program.kernels[group].spec.key, [texts.ir(group)])
    return list(found.values())


def _add(found: dict[Hashable, Source], key: Hashable, made: Iterable[Source]) -> None:
    """A text that is there already leads to the values of one more group."""
    for source in made:
        same = found.setdefault(key, source)
        if same is not source:
            same["lines"] = {**source["lines"], **same["lines"]}


class Texts:
    """Makes texts of one program's kernels."""

    def __init__(self, program: Program) -> None:
        """Nothing yet."""
        self._program = program
        self._maker = {value: box for box in boxes(program) for value in box.makes}
        self._bound = {program.capture.device.type: program}
        self._made: dict[Hashable, tuple[str, Mapping[int, Spans]]] = {}

    def form(self, group: int, row: Engine) -> Hashable:
        """Equal for groups that share a kernel on an engine."""
        return self._bound_for(row.device).kernels[group].form

    def if_here(self, group: int, engine: str, language: str) -> Iterator[Source]:
        """A text, or none if this machine lacks what it takes."""
        try:
            yield self.text(group, engine, language)
        except (EngineUnavailableError, CompileError):
            return

    def other(self, source: Source, variant: Variant) -> Source:
        """`source` as it would be made for `variant`; errors as below."""
        names = [group_name(number) for number in range(len(self._program.kernels))]
        if not source["engine"] or source["group"] not in names:
            raise UsageError(f"{source['language']} is the same whatever it is made for")
        group = names.index(source["group"])
        return self.text(group, source["engine"], source["language"], variant)

    def text(
        self, group: int, engine: str, language: str, variant: Variant | None = None
    ) -> Source:
        """One text.

        Raises:
            CompileError: the compiler does not accept it.
            EngineUnavailableError: this machine lacks what it takes.
            UsageError: there is no such engine, language or target.
        """
        wanted = variant or Variant()
        name = wanted.engine or engine
        if name not in ASSEMBLY:
            raise UsageError(f"engine {name!r} has no text; there are {', '.join(ASSEMBLY)}")
        if language == engine:
            language = name  # the other engine's own
        if language not in (name, *ASSEMBLY[name]):
            raise UsageError(f"engine {name} has no {language}")
        row = ENGINES[name]
        key = name, language, wanted, self.form(group, row)
        if key not in self._made:
            self._made[key] = self._text(group, row, language, wanted)
        text, lines = self._made[key]
        return self._source(language, text, group, name, lines)

    def _text(
        self, group: int, row: Engine, language: str, wanted: Variant
    ) -> tuple[str, Mapping[int, Spans]]:
        """The text, and where the values of the kernel's own graph are in it."""
        call = self._bound_for(row.device).kernels[group]
        is_other = wanted.fast is not None and wanted.fast != config.current().fast
        with config.options(fast=wanted.fast) if is_other else contextlib.nullcontext():
            target = _target(row, wanted.target)
            source = generate(row, call.spec, call.binding.args, target)
            if language == row.name:
                return source.text, dict(source.lines)
            listing = row.load_compiler().listing(source, language, target)
        return listing.text, listing.links(with_callees(source.text, source.lines))

    def ir(self, group: int) -> Source:
        """The graph that a kernel computes."""
        text = print_graph(self._program.kernels[group].spec.graph)
        lines: dict[int, Spans] = {}
        for number, line in enumerate(text.splitlines(), start=1):
            head = line.strip().partition(":")[0]
            if head.startswith("%") and head[1:].isdecimal():
                lines[int(head[1:])] = ((number, number),)
        return self._source("ir", text, group, "", lines)

    def _bound_for(self, device: str) -> Program:
        """The program as it would run on a device, there or not: its kernels can be read."""
        if device not in self._bound:
            self._bound[device] = rebind(self._program, device)
        return self._bound[device]

    def _source(
        self, language: str, text: str, group: int, engine: str, lines: Mapping[int, Spans]
    ) -> Source:
        call = self._program.kernels[group]
        return Source(
            language=language,
            text=text,
            symbol=call.spec.symbol,
            group=group_name(group),
            engine=engine,
            lines=self._links(call, lines),
        )

    def _links(self, call: KernelCall, lines: Mapping[int, Spans]) -> dict[str, list[list[int]]]:
        """Lines by the value that a box stands for: those of all its nodes."""
        numbers: dict[str, set[int]] = {}
        for old, new in call.numbering.items():
            spans = lines.get(new, ())
            if not spans:
                continue
            box = self._maker.get(old)
            value = str(box.value if box is not None else self._program.graph.viewed(old))
            numbers.setdefault(value, set()).update(_lines(spans))
        return {
            value: [list(run) for run in runs_of(sorted(found))] for value, found in numbers.items()
        }


def _lines(spans: Spans) -> Iterable[int]:
    return (number for first, last in spans for number in range(first, last + 1))


def _target(engine: Engine, name: str) -> Target | None:
    """The target of that name, None for the engine's own; UsageError if it knows none."""
    if not name:
        return None
    known = {target.name: target for target in engine.load_compiler().targets()}
    if name not in known:
        raise UsageError(f"{engine.name} has no target {name!r}; there are {', '.join(known)}")
    return known[name]
