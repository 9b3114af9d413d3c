"""The panels of a whole program: those that ask about its kernels, its graphs, or all of the call.

The others (what if, edit, element, rounding, duet, sweep, crossover, ladder) change or replay one
captured function, which a program of several graphs is not; so they are not offered.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import torch

from fusekit.viz.collect.joined import Looked
from fusekit.viz.collect.programtime import measured_program, roofline_of_program
from fusekit.viz.panels import cache, diff, roofline, stopwatch
from fusekit.viz.panels.fields import row, select
from fusekit.viz.panels.panel import Fields, Panel, Progress, Shown

__all__ = ["PROGRAM_PANELS", "ProgramCall"]


@dataclasses.dataclass(frozen=True)
class ProgramCall:
    """The call that a live view of a program shows now.

    Attributes:
        looked: how it went on the engine that is chosen.
        args: its positional arguments.
        kwargs: its keyword arguments.
        shown: the view's choices and model.
        kept: the panel's own memory.
    """

    looked: Looked
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    shown: Shown
    kept: dict[str, Any]


def _stopwatch(call: ProgramCall, fields: Fields, progress: Progress) -> str:
    timed = functools.partial(measured_program, call.looked, call.args, call.kwargs)
    model = call.shown.model
    return stopwatch.drawn(call.kept, call.shown.engine, timed, fields, progress, model=model)


def _roofline(call: ProgramCall, fields: Fields, progress: Progress) -> str:
    timed = functools.partial(roofline_of_program, call.looked)
    return roofline.drawn(call.kept, call.shown.engine, timed, fields, progress)


def _diff(call: ProgramCall, fields: Fields, progress: Progress) -> str:
    return diff.drawn(call.shown.model, call.looked.other, fields, progress)


def _cache(call: ProgramCall, fields: Fields, _progress: Progress) -> str:
    """The cache of one graph, which is chosen; a signature that was typed is of the graph before.

    torch.compile computes gradients by graphs of their own, so every graph runs under no_grad.
    """
    served = call.looked.served
    if not served:
        return '<p class="fk-note">No graph of this program runs kernels.</p>'
    chosen = fields.get("graph", "")
    number = int(chosen) if chosen.isdecimal() and int(chosen) < len(served) else 0
    run, before = served[number], call.kept.get("graph")
    call.kept["graph"] = number
    kept = fields if before in (None, number) else {**fields, "asked": ""}
    assert run.dispatcher is not None
    choices = {str(i): f"{i + 1} of {len(served)}" for i in range(len(served))}
    menu = row(select("graph", "graph", choices, str(number), now=True))
    with torch.no_grad():
        return menu + cache.drawn(run.dispatcher, run.args, {}, kept)


PROGRAM_PANELS: tuple[Panel[ProgramCall], ...] = (
    Panel("diff", diff.DIFF.title, diff.DIFF.note, _diff),
    Panel("stopwatch", stopwatch.STOPWATCH.title, stopwatch.STOPWATCH.note, _stopwatch),
    Panel("roofline", roofline.ROOFLINE.title, roofline.ROOFLINE.note, _roofline),
    Panel("cache", "Cache", "what is held for each graph, and what a call would find", _cache),
)
"""All panels, from top to bottom."""
