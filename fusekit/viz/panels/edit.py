"""The panel "Edit": a kernel's text to change, compile, check and measure."""

from __future__ import annotations

from html import escape

from fusekit.api import FusedFunction
from fusekit.bench.editing.editor import CompilerMessage, EditResult, KernelEditor
from fusekit.errors import FusionDeclined, UsageError
from fusekit.runtime.engines import ENGINES
from fusekit.viz.panels.panel import Call, Fields, Panel, Progress
from fusekit.viz.tables import cell, head, table
from fusekit.viz.words import ratio_text, seconds_text, visible

__all__ = ["EDIT"]

_PHASES = ("start", "compile", "run", "time")
_SAID = {
    "start": "starting a process to try it in",
    "compile": "compiling",
    "run": "running it once, on copies of the arguments",
    "time": "measuring it and the generated kernel in turns",
}
_HEADS = {
    "right": "right",
    "wrong": "wrong result",
    "refused": "does not compile",
    "crashed": "crashed",
    "endless": "did not end",
    "trespassed": "writes where it must not",
}


def draw(call: Call, fields: Fields, progress: Progress) -> str:
    """The editor, and what came of the text that was compiled."""
    entry = call.fused.entry(call.args, call.kwargs)
    if entry.plan is None or entry.program is None:
        return f'<p class="fk-note">{escape(visible(str(entry.decline)))}</p>'
    languages = _languages(entry.program.capture.device.type, entry.plan.engine.name)
    language = _chosen(fields.get("language"), languages)
    launched = [i for i, k in enumerate(entry.program.kernels) if k.binding.numel]
    if language is None or not launched:
        return '<p class="fk-note">no kernel of this call can be compiled here</p>'
    group = int(fields["kernel"]) if fields.get("kernel", "").isdecimal() else launched[0]
    group = group if group in launched else launched[0]
    try:
        editor = _editor(call.fused, call, language, group)
    except (FusionDeclined, UsageError) as error:
        return f'<p class="fk-error" role="alert">{escape(visible(str(error)))}</p>'
    is_same = fields.get("of") == f"{language} {group}"
    text = fields.get("text", "").replace("\r\n", "\n")
    if not is_same or "revert" in fields or not text.strip():
        text = editor.source
    result = None
    if "compile" in fields and is_same:
        result = editor.compile(text, tick=lambda phase, _: _tell(progress, phase))
    return "".join(
        (
            _choices(languages, language, launched, group),
            _text(editor, text, result),
            _answer(result, is_changed=text != editor.source),
            f'<input type="hidden" name="of" value="{language} {group}">',
        )
    )


def _languages(device: str, running: str) -> list[str]:
    """What kernels for the device can be written in here, what runs first."""
    found = [
        engine.name
        for engine in ENGINES.values()
        if engine.compiler and engine.device == device and engine.unavailable() is None
    ]
    # C++ is what people read and write, so it comes first where it can be compiled
    return sorted(found, key=lambda name: (name != "cpp", name != running))


def _chosen(wanted: str | None, known: list[str]) -> str | None:
    return wanted if wanted in known else next(iter(known), None)


def _editor(fused: FusedFunction, call: Call, language: str, group: int) -> KernelEditor:
    return fused.edit(*call.args, language=language, group=group, **call.kwargs)


def _tell(progress: Progress, phase: str) -> None:
    progress.step(_PHASES.index(phase), len(_PHASES), _SAID[phase])


def _choices(languages: list[str], language: str, groups: list[int], group: int) -> str:
    def options(values: list[tuple[str, str]], chosen: str) -> str:
        return "".join(
            f'<option value="{value}"{" selected" if value == chosen else ""}>{said}</option>'
            for value, said in values
        )

    kernels = [(str(i), f"group {i + 1}") for i in groups]
    return (
        f'<p><label>kernel <select name="kernel" data-now>{options(kernels, str(group))}</select>'
        '</label><label>language <select name="language" data-now>'
        f"{options([(name, name) for name in languages], language)}</select></label></p>"
    )


def _text(editor: KernelEditor, text: str, result: EditResult | None) -> str:
    lines = text.split("\n")
    bad = {each.line for each in result.errors if each.kind == "error"} if result else set()
    numbers = "".join(
        f'<span class="fk-bad-line">{i}</span>' if i in bad else f"<span>{i}</span>"
        for i in range(1, len(lines) + 1)
    )
    marks = " ".join(str(line) for line in sorted(line for line in bad if line is not None))
    columns = max(60, *(len(line.expandtabs(4)) + 1 for line in lines))
    return (
        f'<div class="fk-editor"><div class="fk-gutter" aria-hidden="true">{numbers}</div>'
        f'<textarea name="text" rows="{len(lines)}" cols="{columns}" wrap="off" '
        f'spellcheck="false" autocapitalize="off" autocomplete="off" data-errors="{marks}" '
        f'aria-label="text of {escape(editor.symbol)} in {editor.language}" '
        f'aria-describedby="fk-edit-help">\n{escape(text, quote=False)}</textarea></div>'
        '<p class="fk-edit-go"><button name="compile" value="1">compile and time</button>'
        '<button name="revert" value="1">revert</button> '
        '<span class="fk-note" id="fk-edit-help">Tab indents; Escape, then Tab leaves the text; '
        "Ctrl and Enter compiles. It is tried in a process of its own, on copies of the arguments; "
        "no call is ever served by it.</span></p>"
    )


def _answer(result: EditResult | None, *, is_changed: bool) -> str:
    if result is None:
        note = "changed, not compiled" if is_changed else "the text as it was generated"
        return f'<p class="fk-note">{note}</p>'
    kind = "fk-ok" if result.ok else "fk-error"
    # what carries no line is said by the headline already
    listed = [each for each in result.errors if each.line is not None or len(result.errors) > 1]
    items = "".join(f"<li>{_message(each)}</li>" for each in listed)
    log = f'<ol class="fk-messages">{items}</ol>' if items else ""
    said = escape(visible(result.detail))
    return (
        f'<p class="fk-verdict {kind}" role="status" aria-live="polite">'
        f"{_HEADS[result.status]}: {said}</p>{log}{_times(result)}"
    )


def _message(each: CompilerMessage) -> str:
    text = f"{escape(each.kind)}: {escape(visible(each.text))}"
    if each.line is None:
        return text
    return (
        f'<button type="button" data-line="{each.line}" data-column="{each.column or 1}">'
        f"line {each.line}</button> {text}"
    )


def _times(result: EditResult) -> str:
    if result.seconds is None or result.generated_seconds is None:
        return ""
    ratio = "" if result.outcome == "cannot tell" else ratio_text(result.ratio)
    rows = [
        (
            f"<tr>{head('generated')}{cell(seconds_text(result.generated_seconds), 'fk-num-cell')}"
            f"{cell('')}{cell('baseline')}</tr>"
        ),
        (
            f"<tr>{head('edited')}{cell(seconds_text(result.seconds), 'fk-num-cell')}"
            f"{cell(ratio, 'fk-num-cell')}{cell(f'{result.outcome}: {result.reason}')}</tr>"
        ),
    ]
    return table("fk-edit-times", ["text", "time", "as fast", "verdict"], rows)


EDIT = Panel("edit", "Edit", "change a kernel's text, check it and time it", draw)
