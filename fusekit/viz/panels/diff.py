"""The panel "Diff": a kernel's text beside what it would be on another engine or machine."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from fusekit.compilers.x86 import X86_INSTRUCTIONS
from fusekit.errors import UsageError
from fusekit.runtime.engines import ENGINES
from fusekit.viz.code.diff import Variant, diff
from fusekit.viz.code.section import label
from fusekit.viz.collect.sources import ASSEMBLY, Texts
from fusekit.viz.model.schema import Model, Source
from fusekit.viz.panels.panel import Call, Fields, Panel, Progress
from fusekit.viz.words import visible

__all__ = ["DIFF", "drawn"]

_FAST = {"": "as it is", "yes": "fast", "no": "exact"}
"""What is sent -> what the menu says of rounding."""

_NOTHING = "no kernel of this call has a text to compare"


def _draw(call: Call, fields: Fields, progress: Progress) -> str:
    program = call.fused.entry(call.args, call.kwargs).program
    if program is None:
        raise UsageError(_NOTHING)
    return drawn(call.model, Texts(program).other, fields, progress)


def drawn(
    model: Model,
    other: Callable[[Source, Variant], Source],
    fields: Fields,
    progress: Progress,
) -> str:
    """The menus, and a text of the model beside what `other` makes of it."""
    texts = {label(model, s): s for s in model["sources"] if s["engine"] in ASSEMBLY}
    if not texts:
        raise UsageError(_NOTHING)
    name = fields.get("text", "")
    if name not in texts:
        name = next((n for n, s in texts.items() if s["language"] == "asm"), next(iter(texts)))
    source = texts[name]
    engines = _engines(source)
    engine = fields.get("engine", "") if fields.get("engine") in engines else ""
    targets = _targets(engine or source["engine"])
    target = fields.get("target", "x86-64-v3" if len(targets) > 1 else "")
    target = target if target in targets else ""
    fast = fields.get("fast", "") if fields.get("fast") in _FAST else ""
    variant = Variant(engine, target, {"": None, "yes": True, "no": False}[fast])
    menus = (
        _menu("text", "text", {n: n for n in texts}, name)
        + _menu("engine", "engine", {e: e or f"{source['engine']} (this)" for e in engines}, engine)
        + _menu("target", "machine", {t: _machine(t, source) for t in targets}, target)
        + _menu("fast", "rounding", _FAST, fast)
    )
    progress.step(0, 1, f"compiling for {variant}")
    made = other(source, variant)
    found = diff(name, source, f"{name}, {variant}" if str(variant) else name, made)
    said = escape(visible(found.headline))
    return f'{menus}<p class="fk-note" aria-live="polite">{said}</p>{found.html}'


def _engines(source: Source) -> list[str]:
    """Those that make such a text, "" for its own; an engine's own text is compared with another's.

    Texts for a GPU come from one engine alone.
    """
    device = ENGINES[source["engine"]].device
    others = [row for row in ENGINES.values() if row.device == device and row.unavailable() is None]
    return ["", *(row.name for row in others if row.name != source["engine"])]


def _targets(engine: str) -> list[str]:
    """What the engine's compiler can be asked for, "" for what it compiles for."""
    return ["", *(target.name for target in ENGINES[engine].load_compiler().targets()[1:])]


def _machine(target: str, source: Source) -> str:
    if not target:
        return f"{ENGINES[source['engine']].load_compiler().target().name} (this)"
    also = X86_INSTRUCTIONS.get(target)
    return f"{target} ({also})" if also else target


def _menu(name: str, title: str, choices: dict[str, str], chosen: str) -> str:
    """A labelled menu that is sent at once; none where there is no choice."""
    if len(choices) < 2:
        return ""
    options = "".join(_option(value, said, chosen) for value, said in choices.items())
    return f'<label>{title} <select name="{name}" data-now>{options}</select></label> '


def _option(value: str, said: str, chosen: str) -> str:
    mark = " selected" if value == chosen else ""
    return f'<option value="{escape(value)}"{mark}>{escape(visible(said))}</option>'


DIFF = Panel("diff", "Diff", "the same kernel for another engine, machine or rounding", _draw)
