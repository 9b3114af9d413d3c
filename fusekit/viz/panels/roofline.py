"""The panel "Roofline": each kernel against the ceilings of this machine."""

from __future__ import annotations

from fusekit.bench.roofs import roofline_of
from fusekit.viz.measured.roofplot import roofline_html
from fusekit.viz.panels.fields import button, number, number_of, row
from fusekit.viz.panels.panel import Call, Fields, Panel, Progress
from fusekit.viz.panels.stopwatch import label_of

__all__ = ["ROOFLINE"]

_LEAST, _MOST, _USUAL = 0.5, 120.0, 5.0


def draw(call: Call, fields: Fields, progress: Progress) -> str:
    """The form, and what was measured last for the call as it is now."""
    seconds = number_of(fields, "seconds", _USUAL, least=_LEAST, most=_MOST)
    if "go" in fields:
        found = roofline_of(call.fused, call.args, call.kwargs, seconds=seconds, tell=progress.step)
        call.kept["result"] = label_of(call), found
    form = row(
        number("at most", "seconds", seconds, least=_LEAST, most=_MOST, unit="s"),
        button("measure", "go"),
    )
    label, found = call.kept.get("result", (None, None))
    if found is None or label != label_of(call):
        return form + '<p class="fk-note">Not measured yet for this size and engine.</p>'
    return f'{form}<div class="fk-result">{roofline_html(found)}</div>'


ROOFLINE = Panel(
    "roofline", "Roofline", "how near each kernel is to what this machine can do", draw
)
