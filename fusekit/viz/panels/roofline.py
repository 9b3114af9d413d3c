"""The panel "Roofline": each kernel against the ceilings of this machine."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any

from fusekit.bench.limits.roofs import Roofline, roofline_of
from fusekit.viz.measured.roofplot import roofline_html
from fusekit.viz.panels.fields import button, number, number_of, row
from fusekit.viz.panels.panel import Call, Fields, Panel, Progress
from fusekit.viz.panels.stopwatch import label_of

__all__ = ["ROOFLINE", "drawn"]

_LEAST, _MOST, _USUAL = 0.5, 120.0, 5.0


def draw(call: Call, fields: Fields, progress: Progress) -> str:
    """The form, and what was measured last for the call as it is now."""
    timed = functools.partial(roofline_of, call.fused, call.args, call.kwargs)
    return drawn(call.kept, label_of(call), timed, fields, progress)


def drawn(
    kept: dict[str, Any],
    label: Hashable,
    timed: Callable[..., Roofline],
    fields: Fields,
    progress: Progress,
) -> str:
    """The same for whatever `timed` measures; results are kept under `label`."""
    seconds = number_of(fields, "seconds", _USUAL, least=_LEAST, most=_MOST)
    if "go" in fields:
        kept["result"] = label, timed(seconds=seconds, tell=progress.step)
    form = row(
        number("at most", "seconds", seconds, least=_LEAST, most=_MOST, unit="s"),
        button("measure", "go"),
    )
    known, found = kept.get("result", (None, None))
    if found is None or known != label:
        return form + '<p class="fk-note">Not measured yet for this size and engine.</p>'
    return f'{form}<div class="fk-result">{roofline_html(found)}</div>'


ROOFLINE = Panel(
    "roofline", "Roofline", "how near each kernel is to what this machine can do", draw
)
