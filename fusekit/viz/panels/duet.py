"""The panel "Duet": eager's operators with what they make, and the kernel's lines beside them."""

from __future__ import annotations

from html import escape

from fusekit.viz.code.source import code_html
from fusekit.viz.numbers.bars import bars_svg
from fusekit.viz.numbers.duet import Duet, Step, duet
from fusekit.viz.numbers.element import Kernel, kernels_of
from fusekit.viz.numbers.links import Links
from fusekit.viz.panels.panel import Call, Fields, Panel, Progress
from fusekit.viz.tables import cell, table
from fusekit.viz.words import visible

__all__ = ["DUET"]


def _draw(call: Call, fields: Fields, progress: Progress) -> str:
    if call.kept.get("of") is not call.fused:
        progress.step(0, 1, "running eager PyTorch")
        program, kernels = kernels_of(call.fused, call.args, call.kwargs)
        call.kept.update(
            of=call.fused,
            found=duet(call.fused, call.args, call.kwargs),
            kernels=kernels,
            links=Links(program),
        )
    found: Duet = call.kept["found"]
    links: Links = call.kept["links"]
    if not found.steps:
        return '<p class="fk-note">Eager PyTorch runs no operator here.</p>'
    at = _play_head(fields, len(found.steps))
    step = found.steps[at]
    return (
        f"{_form(at, len(found.steps))}"
        f'<p class="fk-verdict" aria-live="polite">{escape(_sentence(at, step))}</p>'
        f'<div class="fk-duet">{_eager(found, links, at)}'
        f"{_fused(call.kept['kernels'], links, step)}</div>"
        f'<p class="fk-note">{escape(found.sentence())}</p>'
    )


DUET = Panel(
    "duet", "Duet", "eager's operators one by one, beside the kernel's lines for each", _draw
)


def _play_head(fields: Fields, count: int) -> int:
    text = fields.get("step", "1").strip()
    at = (int(text) if text.isdecimal() else 1) - 1
    if "pick" in fields:
        at = int(fields["pick"])
    at += {"next": 1, "previous": -1}.get(fields.get("move", ""), 0)
    return max(0, min(at, count - 1))


def _form(at: int, count: int) -> str:
    def button(name: str, sign: str, *, usable: bool) -> str:
        state = "" if usable else " disabled"
        return f'<button name="move" value="{name}" id="fk-duet-{name}"{state}>{sign}</button>'

    return (
        '<div class="fk-asked"><button name="show" class="fk-first">show</button>'
        f"{button('previous', '◀ previous', usable=at > 0)}"
        f'<label>operator <input type="number" name="step" min="1" max="{count}" '
        f'value="{at + 1}" data-now></label><span>of {count}</span>'
        f"{button('next', 'next ▶', usable=at + 1 < count)}</div>"
    )


def _sentence(at: int, step: Step) -> str:
    where = f" (line {step.line})" if step.line else ""
    fate = {
        "ghost": f"group {(step.group or 0) + 1} keeps it in registers; it never reaches memory",
        "stored": f"group {(step.group or 0) + 1} computes and stores it",
        "PyTorch": "PyTorch runs it in the fused program, too",
        "view": "a view, which moves no data in either",
        "absent": "the fused program has no step for it",
    }
    return f"{at + 1}. {step.op}{where}: {fate[step.state]}."


def _eager(found: Duet, links: Links, at: int) -> str:
    rows = []
    for number, step in enumerate(found.steps):
        here = ' aria-current="step"' if number == at else ""
        line = f' data-l="{step.line}"' if step.line and not step.values else ""
        button = (
            f'<button name="pick" value="{number}" id="fk-step-{number}" '
            f'aria-label="go to {escape(step.op)}">{number + 1}</button>'
        )
        figures = step.figures
        bars = bars_svg(figures.histogram, _said(step), "fk-fused") if figures else ""
        rows.append(
            f'<tr class="fk-s-{step.state}"{links.attribute(step.values) or line}{here}>'
            f'<th scope="row">{button} {escape(visible(step.op))}</th>'
            f'<td><span class="fk-with-bars">{bars}<span>{escape(str(figures or ""))}</span>'
            f"</span></td>{cell(figures.tensor if figures else '', 'fk-mono')}"
            f"{cell('ghost: ' * (step.state == 'ghost') + step.said)}</tr>"
        )
    heads = ["eager", "least … mean … most", "result", "when fused"]
    return table("fk-steps", heads, rows)


def _said(step: Step) -> str:
    figures = step.figures
    if figures is None:
        return step.op
    some = f"; {figures.looked_at:,} elements looked at" * (figures.looked_at < figures.numel)
    return f"values of {step.op}, least to most: {figures}{some}"


def _fused(kernels: list[Kernel], links: Links, step: Step) -> str:
    """The text of the kernel that the play-head is in, its lines marked."""
    kernel = next((each for each in kernels if each.group == step.group), None)
    if kernel is None:
        text = "No kernel line belongs to this operator." if kernels else "The reference runs it."
        return f'<div class="fk-pane"><p class="fk-note">{escape(text)}</p></div>'
    values: dict[int, list[int]] = {}
    for value, runs in kernel.spans.items():
        for line in (line for first, last in runs for line in range(first, last + 1)):
            values.setdefault(line, []).append(value)
    mine = set(step.values)

    def attribute(line: int) -> str:
        here = ' aria-current="true"' if mine.intersection(values.get(line, ())) else ""
        return links.attribute(values.get(line, ())) + here

    name = f"group {kernel.group + 1} · {kernel.source.language}"
    first, body = kernel.body()
    text = code_html(body, kernel.source.language, first=first, attribute=attribute)
    return f'<div class="fk-pane"><p class="fk-pane-title">{escape(name)}</p>{text}</div>'
