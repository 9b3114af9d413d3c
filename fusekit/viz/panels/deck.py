"""The deck of the panel "What if": a table of cards, two of them compared, all of them as JSON."""

from __future__ import annotations

import json
from html import escape
from urllib.parse import quote

from fusekit.bench.trying.targets import HOST, Figures
from fusekit.bench.trying.variant import Race, Variant
from fusekit.errors import UsageError
from fusekit.viz.live.deck import CURRENT, Card, Deck
from fusekit.viz.panels.fields import button, row, select
from fusekit.viz.panels.panel import Fields
from fusekit.viz.tables import cell, head, table
from fusekit.viz.words import bytes_text, plural, ratio_text, seconds_text, visible

__all__ = ["deck_html"]

_HEADS = [
    *("star", "what changes", "groups", "launches", "bytes", "time", "against current"),
    *("against eager", "largest error", "code", "card"),
]


def deck_html(deck: Deck, fields: Fields) -> str:
    """All cards, what two of them differ in, and the plan of one; "" of an empty deck."""
    if not len(deck):
        return ""
    rows = [_card(card) for card in deck]
    cards = table("fk-deck", _HEADS, rows, caption=f"Deck of {plural(len(deck), 'card')}")
    return cards + _plan(deck, fields) + _comparison(deck, fields) + _export(deck)


def _card(card: Card) -> str:
    variant = card.variant
    made, current = variant.made, variant.current
    pressed = "true" if card.starred else "false"
    star = (
        f'<td><button name="star" value="{card.number}" aria-pressed="{pressed}" '
        f'aria-label="star card {card.number}">{"★" if card.starred else "☆"}</button></td>'
    )
    what = escape(visible(f"{card.number}: {variant.change}"))
    at = escape(visible(card.at))
    name = f'<th scope="row">{what}<div class="fk-note">of {at}</div></th>'
    buttons = (
        f'<td class="fk-acts"><button name="plan" value="{card.number}" '
        f'aria-label="plan of card {card.number}">plan</button> '
        f'<button name="remove" value="{card.number}" '
        f'aria-label="remove card {card.number}">remove</button></td>'
    )
    cells = (
        _changed(len(current.groups), len(made.groups)),
        _changed(current.launches, made.launches),
        cell(bytes_text(made.nbytes), "fk-num-cell"),
        *_times(variant),
        _error(variant),
        _code(made.figures, current.figures),
    )
    return f"<tr>{star}{name}{''.join(cells)}{buttons}</tr>"


def _changed(before: int, after: int) -> str:
    return cell(str(after) if before == after else f"{before} → {after}", "fk-num-cell")


def _times(variant: Variant) -> list[str]:
    races = {race.against: race for race in variant.races}
    if not races:
        return [cell("not run here"), cell(""), cell("")]
    first = next(iter(races.values()))
    median = escape(seconds_text(first.seconds))
    spread = escape(f"spread {seconds_text(first.spread)}")
    took = f'<td class="fk-num-cell">{median}<div class="fk-note">{spread}</div></td>'
    return [took, _race(races.get("current")), _race(races.get("eager"))]


def _race(race: Race | None) -> str:
    if race is None:
        return cell("")
    if race.outcome == "cannot tell":
        return f'<td>cannot tell<div class="fk-note">{escape(race.reason)}</div></td>'
    said = f"{ratio_text(race.ratio)} {race.outcome}"
    return f'<td class="fk-out-{race.outcome}"><span class="fk-outcome">{escape(said)}</span></td>'


def _error(variant: Variant) -> str:
    found = variant.agreement
    if found is None:
        return cell(variant.note if variant.was_run else "")
    return cell(str(found), "" if found.holds else "fk-error")


def _code(made: Figures | None, current: Figures | None) -> str:
    """Instructions, registers and spills, and what they are of the current call."""
    if made is None:
        return cell("")
    spilled = f"{made.spills} B of stack" if made.is_gpu else plural(made.spills, "spill")
    lines = [f"{made.registers} registers, {spilled}"]
    if current is not None:
        numbers = f"{current.instructions}, {current.registers}, {current.spills}"
        where = "" if current.target == HOST else f" for {current.target}"
        lines.append(f"current{where}: {numbers}")
    notes = "".join(f'<div class="fk-note">{escape(line)}</div>' for line in lines)
    return f'<td class="fk-num-cell">{made.instructions} instructions{notes}</td>'


def _plan(deck: Deck, fields: Fields) -> str:
    if "plan" not in fields or not fields["plan"].isdecimal():
        return ""
    card = deck[int(fields["plan"])]
    text = escape(json.dumps(card.variant.plan.to_dict(), indent=1))
    groups = "".join(f"<li>{escape(', '.join(g))}</li>" for g in card.variant.made.groups)
    return (
        f"<figure><figcaption>Plan of card {card.number}, for "
        f"<code>fusekit.fuse(fn, plan=...)</code></figcaption>"
        f'<ol class="fk-division" aria-label="groups of card {card.number}">{groups}</ol>'
        f'<pre class="fk-code" tabindex="0">{text}</pre></figure>'
    )


def _comparison(deck: Deck, fields: Fields) -> str:
    choices = {str(CURRENT): "current"}
    choices |= {str(card.number): f"card {card.number}" for card in deck}
    last = list(choices)[-1]
    names = [fields.get(name, "") for name in ("one", "other")]
    first, second = (
        n if n in choices else usual for n, usual in zip(names, ("0", last), strict=True)
    )
    form = row(
        select("compare", "one", choices, first),
        select("with", "other", choices, second),
        button("compare", "compare"),
    )
    if "compare" not in fields:
        return form
    try:
        found = deck.compare(int(first), int(second))
    except UsageError as error:
        return f'{form}<p class="fk-note">{escape(visible(str(error)))}</p>'
    marked = (
        ("both", found.same),
        (f"only {found.names[0]}", found.first),
        (f"only {found.names[1]}", found.second),
    )
    rows = [
        f"<tr>{head(title)}{cell(', '.join(group))}</tr>"
        for title, groups in marked
        for group in groups
    ]
    (one, other), (before, after) = found.launches, found.nbytes
    caption = (
        f"{plural(one, 'launch')} and {bytes_text(before)}, against "
        f"{plural(other, 'launch')} and {bytes_text(after)}"
    )
    return form + table("fk-difference", ["in", "one kernel computes"], rows, caption=caption)


def _export(deck: Deck) -> str:
    """A link that needs no script: the browser saves what is in it."""
    text = quote(deck.dumps())
    return (
        f'<p class="fk-note"><a download="fusekit.deck.json" '
        f'href="data:application/json;charset=utf-8,{text}">save the deck as JSON</a>; '
        f"<code>fusekit.fuse(fn, plan=...)</code> takes it where one card has a star.</p>"
    )
