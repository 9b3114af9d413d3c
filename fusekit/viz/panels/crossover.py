"""The panel "Crossover": where fused and eager change places, searched for a while."""

from __future__ import annotations

import itertools

from fusekit.bench.crossing.search import Search, search_of
from fusekit.bench.trying.alteration import DTYPES, LAYOUTS, Alterable
from fusekit.viz.measured.crossplot import crossover_html
from fusekit.viz.panels.fields import button, checks, number, number_of, row
from fusekit.viz.panels.panel import Call, Cancelled, Fields, Panel, Progress

__all__ = ["CROSSOVER"]

_LEAST, _MOST, _USUAL = 1.0, 600.0, 15.0


def draw(call: Call, fields: Fields, progress: Progress) -> str:
    """The form, and the map as far as it was found."""
    is_new = set(fields) <= {"pinned"}
    dtypes = ["float32"] if is_new else _ticked(fields, "dtype", list(DTYPES))
    layouts = ["contiguous"] if is_new else _ticked(fields, "layout", list(LAYOUTS))
    alterable = Alterable(call.args, call.kwargs)
    high = int(number_of(fields, "high", max(alterable.extent, 1), least=1, most=alterable.largest))
    seconds = number_of(fields, "seconds", _USUAL, least=_LEAST, most=_MOST)
    if "go" in fields:
        search = search_of(
            call.fused,
            alterable.make,
            alterable.powers(1, high),
            list(itertools.product(dtypes, layouts)),
        )
        call.kept["search"] = search
        try:
            search.run(seconds, progress.step)
        except Cancelled:
            search.finished = False
    return (
        checks("dtypes", "dtype", list(DTYPES), dtypes)
        + checks("layouts", "layout", list(LAYOUTS), layouts)
        + row(
            number("sizes up to", "high", high, least=1, most=alterable.largest),
            number("for", "seconds", seconds, least=_LEAST, most=_MOST, unit="s"),
            button("search", "go"),
        )
        + _result(call.kept.get("search"))
    )


def _ticked(fields: Fields, name: str, choices: list[str]) -> list[str]:
    return [choice for choice in choices if f"{name}.{choice}" in fields]


def _result(search: Search | None) -> str:
    if search is None:
        return '<p class="fk-note">Not searched yet.</p>'
    return f'<div class="fk-result">{crossover_html(search.result())}</div>'


CROSSOVER = Panel(
    "crossover", "Crossover", "from which size on fusing pays, as a map and as code", draw
)
