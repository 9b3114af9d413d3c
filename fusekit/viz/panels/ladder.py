"""The panel "Ladder": measures the plan after any of its steps."""

from __future__ import annotations

from html import escape

from fusekit.viz.decisions.steps import MeasuredStep, measure_step
from fusekit.viz.panels.fields import button, row, select
from fusekit.viz.panels.panel import Call, Fields, Panel, Progress
from fusekit.viz.tables import cell, table
from fusekit.viz.words import bytes_text, plural, ratio_text, short

__all__ = ["LADDER"]

_STAGES = 4
"""What `what_if` says that it does, at most."""


def draw(call: Call, fields: Fields, progress: Progress) -> str:
    """The steps, with what was measured of them."""
    rungs = call.model["ladder"]
    if len(rungs) < 2:
        return '<p class="fk-note">Nothing was fused, so there are no steps.</p>'
    measured: dict[tuple[object, int], MeasuredStep] = call.kept.setdefault("measured", {})
    at = str([call.fused.engine, *(node["shape"] for node in call.model["graph"]["nodes"])])
    step = min(int(fields.get("step") or len(rungs) - 1), len(rungs) - 1)
    if "measure" in fields:
        told: list[str] = []

        def tell(said: str) -> None:
            told.append(said)
            progress.step(min(len(told) - 1, _STAGES - 1), _STAGES, said)

        measured[at, step] = measure_step(
            call.fused, call.args, call.kwargs, call.model, step, step=tell
        )
    choices = {str(n): f"{n}: {short(rung['text'], 50)}" for n, rung in enumerate(rungs)}
    form = row(select("step", "step", choices, str(step)), button("measure this step", "measure"))
    own = {number: found for (where, number), found in measured.items() if where == at}
    return f"{form}{_table(call, own)}"


def _table(call: Call, measured: dict[int, MeasuredStep]) -> str:
    heads = ["step", "launches", "bytes", "estimate", "measured", ""]
    rows = []
    for number in sorted(measured):
        found = measured[number]
        made = found.variant.made
        flag = "off by more than 2×" if found.disagrees else ""
        rows.append(
            f'<tr><th scope="row">{number}</th>{cell(str(made.launches), "fk-num-cell")}'
            f"{cell(bytes_text(made.nbytes), 'fk-num-cell')}"
            f"{cell(ratio_text(found.estimate), 'fk-num-cell')}"
            f"{cell(found.measured_text, 'fk-num-cell')}{cell(flag)}</tr>"
        )
    note = (
        "Time over that of the plan in force: estimated from bytes alone, and measured in turns "
        "with it (the median ratio, and where it truly lies with 95 %)."
    )
    body = table("fk-steps", heads, rows) if rows else ""
    count = plural(len(call.model["ladder"]) - 1, "step")
    return f'<div aria-live="polite">{body}</div><p class="fk-note">{escape(count)}. {note}</p>'


LADDER = Panel("ladder", "Ladder, measured", "the plan after any step, compiled and timed", draw)
