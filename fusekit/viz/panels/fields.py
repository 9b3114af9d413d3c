"""Fields of forms, with their labels, and how panels read them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from fusekit.errors import UsageError

__all__ = ["button", "checks", "in_words", "number", "number_of", "row", "select", "slider"]


def row(*parts: str) -> str:
    """Fields beside one another, as far as there is room."""
    style = "display:flex;flex-wrap:wrap;align-items:center;gap:4px 0;margin-bottom:6px"
    return f'<div class="fk-fields" style="{style}">{"".join(parts)}</div>'


def select(
    label: str, name: str, choices: Mapping[str, str], chosen: str, *, now: bool = False
) -> str:
    """A menu: value -> what it says; `now` sends the form when it changes."""
    options = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>'
        f"{escape(said)}</option>"
        for value, said in choices.items()
    )
    sent = " data-now" if now else ""
    return f'<label>{escape(label)} <select name="{name}"{sent}>{options}</select></label>'


def number(
    label: str, name: str, value: float, *, least: float, most: float, unit: str = ""
) -> str:
    """A field for a number."""
    bounds = f'min="{least:.12g}" max="{most:.12g}" step="any"'
    field = f'<input type="number" name="{name}" value="{value:.12g}" {bounds} style="width:5.5em">'
    return f"<label>{escape(label)} {field} {escape(unit)}</label>"


def slider(label: str, name: str, value: int, stops: Sequence[int], *, now: int, most: int) -> str:
    """A slider over `stops` with a field for any other number; sent when it is let go.

    Args:
        label: of both.
        name: of the field, which is what is sent.
        value: what is chosen.
        stops: in increasing order; `now` is one of them, and marked.
        now: what holds as long as nobody chooses.
        most: the largest number that the field takes.
    """
    last = max(len(stops) - 1, 1)
    at = min(range(len(stops)), key=lambda i: abs(math.log(stops[i] / value)))
    marks = "".join(
        f'<i{" class=fk-own" if stop == now else ""} style="--fk-at:{i / last:.4f}">'
        f"{'now' if stop == now else ''}</i>"
        for i, stop in enumerate(stops)
    )
    said, of_stops = in_words(value, now), "|".join(in_words(stop, now) for stop in stops)
    return (
        f'<fieldset class="fk-slider" data-stops="{" ".join(map(str, stops))}" '
        f'data-said="{of_stops}"><span class="fk-track"><label>{escape(label)} '
        f'<input type="range" name="{name}-slider" min="0" max="{len(stops) - 1}" step="1" '
        f'value="{at}" aria-valuetext="{said}"></label>'
        f'<span class="fk-ticks" aria-hidden="true">{marks}</span></span>'
        f'<input type="number" name="{name}" value="{value}" min="1" max="{most}" step="1" '
        f'aria-label="{escape(label)}, as a number" data-now><output>{said}</output></fieldset>'
    )


def in_words(value: int, now: int) -> str:
    """`8,192, twice as now`: a number, and how it compares with what holds now."""
    if value == now:
        return f"{value:,}, as now"
    if value == 2 * now:
        return f"{value:,}, twice as now"
    if now == 2 * value:
        return f"{value:,}, half of now"
    if now % value == 0:
        return f"{value:,}, 1/{now // value:,} of now"
    return f"{value:,}, {value / now:,.3g} times as now"


def checks(legend: str, name: str, choices: Sequence[str], chosen: Sequence[str]) -> str:
    """Boxes to tick, each a field of its own: `name.choice`."""
    boxes = "".join(
        f'<label><input type="checkbox" name="{name}.{escape(choice)}"'
        f"{' checked' if choice in chosen else ''}> {escape(choice)}</label>"
        for choice in choices
    )
    style = "display:flex;flex-wrap:wrap;align-items:center;min-width:0"
    lead = f'<span style="margin:0 10px 6px 0">{escape(legend)}</span>'
    return f'<fieldset aria-label="{escape(legend)}" style="{style}">{lead}{boxes}</fieldset>'


def button(said: str, name: str) -> str:
    """What sends the form."""
    return f'<button name="{name}" value="1" style="margin:0 0 6px">{escape(said)}</button>'


def number_of(
    fields: Mapping[str, str], name: str, default: float, *, least: float, most: float
) -> float:
    """What a field for a number holds; UsageError if it is none, or out of its bounds."""
    text = fields.get(name, "")
    if not text.strip():
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise UsageError(f"{name} is a number from {least:.12g} to {most:.12g}, not {text!r}")
    return value
