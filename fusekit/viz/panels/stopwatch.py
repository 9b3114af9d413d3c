"""The panel "Stopwatch": time the call again, against whom and for how long one likes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch.utils import _pytree as pytree

from fusekit.viz.collect.stopwatch import measured
from fusekit.viz.measured.timing import prediction, times_html
from fusekit.viz.model.schema import Model, Timing
from fusekit.viz.panels.fields import button, number, number_of, row, select
from fusekit.viz.panels.panel import Call, Fields, Panel, Progress

__all__ = ["STOPWATCH", "drawn", "label_of"]

_AGAINST = {
    "eager": "eager PyTorch",
    "inductor": "torch.compile",
    "eager inductor": "both, eager first",
}

_FLUSH = {"yes": "written over before each sample", "no": "warm, as in a loop"}

_LEAST, _MOST, _USUAL = 0.2, 120.0, 3.0


def label_of(call: Call) -> tuple[Any, ...]:
    """What a result belongs to: the engine, and the shapes of the arguments."""
    leaves = pytree.tree_leaves((call.args, call.kwargs))
    shapes = tuple(tuple(leaf.shape) for leaf in leaves if isinstance(leaf, torch.Tensor))
    return call.fused.engine, shapes


def draw(call: Call, fields: Fields, progress: Progress) -> str:
    """The form and the latest result for the call as it is now."""
    timed = functools.partial(measured, call.fused, call.args, call.kwargs)
    return drawn(call.kept, label_of(call), timed, fields, progress, model=call.model)


def drawn(
    kept: dict[str, Any],
    label: Hashable,
    timed: Callable[..., Timing],
    fields: Fields,
    progress: Progress,
    *,
    model: Model,
) -> str:
    """The same for whatever `timed` measures; results are kept under `label`."""
    against = fields.get("against", "eager")
    seconds = number_of(fields, "seconds", _USUAL, least=_LEAST, most=_MOST)
    flush = fields.get("flush", "yes")
    if "go" in fields:
        found = timed(
            against=[name for name in against.split() if name in _AGAINST],
            seconds=seconds,
            flush=flush == "yes",
            tell=progress.step,
        )
        kept["result"] = label, found
    form = row(
        select("against", "against", _AGAINST, against),
        number("at most", "seconds", seconds, least=_LEAST, most=_MOST, unit="s"),
        select("caches", "flush", _FLUSH, flush),
        button("measure", "go"),
    )
    known, timing = kept.get("result", (None, None))
    if timing is None or known != label:
        return form + '<p class="fk-note">Not measured yet for this size and engine.</p>'
    said = times_html(timing, prediction(model, timing))
    return f'{form}<div class="fk-result">{said}</div>'


STOPWATCH = Panel(
    "stopwatch", "Stopwatch", "fused against PyTorch, until the difference is certain", draw
)
