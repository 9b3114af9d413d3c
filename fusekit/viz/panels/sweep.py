"""The panel "Sweep": the same call at many sizes, stopped when one likes."""

from __future__ import annotations

from fusekit.bench.measuring.sweeping import Point, Sweep, points_of
from fusekit.bench.trying.alteration import DTYPES, LAYOUTS, Alterable
from fusekit.viz.measured.sweepplot import sweep_html
from fusekit.viz.panels.fields import button, number, number_of, row, select
from fusekit.viz.panels.panel import Call, Cancelled, Fields, Panel, Progress
from fusekit.viz.words import plural

__all__ = ["SWEEP"]

_AGAINST = {"eager": "eager PyTorch", "eager inductor": "eager and torch.compile"}


def draw(call: Call, fields: Fields, progress: Progress) -> str:
    """The form, and what was measured last, even if it was stopped."""
    alterable = Alterable(call.args, call.kwargs)
    most = alterable.largest
    start = max(1, alterable.extent // 256)
    low = int(number_of(fields, "low", start, least=1, most=most))
    high = int(number_of(fields, "high", max(alterable.extent, 1), least=1, most=most))
    seconds = number_of(fields, "seconds", 0.5, least=0.1, most=30)
    dtype, layout = fields.get("dtype", ""), fields.get("layout", "")
    against = fields.get("against", "eager")
    if "go" in fields:
        call.kept["note"] = _measure(
            call,
            alterable,
            alterable.powers(low, high),
            (dtype, layout, against, seconds),
            progress,
        )
    as_given = {"": "as given"}
    return row(
        number("sizes from", "low", low, least=1, most=most),
        number("to", "high", high, least=1, most=most),
        select("dtype", "dtype", as_given | {name: name for name in DTYPES}, dtype),
        select("layout", "layout", as_given | {name: name for name in LAYOUTS}, layout),
        select("against", "against", _AGAINST, against),
        number("at most", "seconds", seconds, least=0.1, most=30, unit="s a size"),
        button("measure", "go"),
    ) + _result(call)


def _measure(
    call: Call,
    alterable: Alterable,
    sizes: list[int],
    choice: tuple[str, str, str, float],
    progress: Progress,
) -> str:
    """Measure into the panel's memory; returns the note about what that is."""
    dtype, layout, against, seconds = choice
    found: tuple[Point, ...] = ()
    call.kept["points"] = found
    said = ", ".join(part for part in (dtype, layout) if part)
    try:
        for point in points_of(
            call.fused,
            lambda size: alterable.make(size, dtype, layout),
            sizes,
            against=against.split(),
            seconds=seconds,
            tell=progress.step,
        ):
            call.kept["points"] = found = (*found, point)
    except Cancelled:
        done = f"Stopped after {len(found)} of {plural(len(sizes), 'size')}"
        return f"{done}{': ' + said if said else ''}."
    return f"{plural(len(sizes), 'size')}{', ' + said if said else ''}, engine {call.fused.engine}."


def _result(call: Call) -> str:
    if "points" not in call.kept:
        return '<p class="fk-note">Not measured yet.</p>'
    found = Sweep(call.fused.name, call.kept["points"])
    points = [(entry["size"], entry["timing"]) for entry in found.as_rows()]
    note = f'<p class="fk-note fk-sweep-note">{call.kept["note"]}</p>'
    return f'<div class="fk-result">{note}{sweep_html(points, found.verdict)}</div>'


SWEEP = Panel("sweep", "Sweep", "the same call at many sizes, fused and not", draw)
