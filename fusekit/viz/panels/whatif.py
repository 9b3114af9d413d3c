"""The panel "What if": change the plan, the engine, the arguments or the processor, and compare."""

from __future__ import annotations

import os
from collections.abc import Mapping
from html import escape
from typing import Any

import torch
from torch.utils import _pytree as pytree

from fusekit.bench import what_if
from fusekit.bench.trying.alteration import DTYPES, LAYOUTS, Alterable
from fusekit.bench.trying.targets import targets
from fusekit.errors import PlanRefused, UsageError
from fusekit.fusion import Plan
from fusekit.runtime.plans import judge_plan
from fusekit.runtime.program import Program
from fusekit.specs import Decline
from fusekit.viz.live.deck import Deck
from fusekit.viz.live.whatif import Operator, Option, operators, options_for
from fusekit.viz.panels.deck import deck_html
from fusekit.viz.panels.fields import button, row, select, slider
from fusekit.viz.panels.panel import Call, Fields, Panel, Progress
from fusekit.viz.tables import cell, head, table
from fusekit.viz.words import plural, visible

__all__ = ["WHAT_IF"]

_STEPS = ("dividing", "counting instructions", "checking against eager", "timing")
"""What `what_if` says that it does."""

_AS_NOW = {"": "as now"}


def draw(call: Call, fields: Fields, progress: Progress) -> str:
    """The form, what can be done with what is pinned, and the deck."""
    program = call.fused.entry(call.args, call.kwargs).captured()
    deck: Deck = call.kept.setdefault("deck", Deck())
    plan = call.fused.plan(*call.args, **call.kwargs)
    change = _change(fields)
    form = _form(call, program, change, fields)
    try:
        refused = _act(call, deck, change, fields, progress)
        tried = _tried(call, deck, change, fields)
        verdict = refused or tried or _verdict(program, plan, change)
    except UsageError as error:  # the form stays: what was typed can be mended
        verdict = f'<p class="fk-error">{escape(visible(str(error)))}</p>'
    return (
        f'{form}<div aria-live="polite">{verdict}</div>'
        f"{_pinned(program, plan, fields.get('pinned', ''))}{deck_html(deck, fields)}"
    )


WHAT_IF = Panel(
    "what-if",
    "What if",
    "other groups, engines, arguments or processors: tried, checked, timed, compared",
    draw,
)


# what the user wants


def _change(fields: Fields) -> str:
    """The change of the plan, with what a button adds to it."""
    typed = fields.get("change", "").strip()
    if "clear" in fields:
        return ""
    added = fields.get("add", "")
    parts = [part.strip() for part in typed.split(";") if part.strip()]
    return "; ".join(parts if not added or added in parts else [*parts, added])


def _act(call: Call, deck: Deck, change: str, fields: Fields, progress: Progress) -> str:
    """Do what the button says; why that is refused, or ""."""
    for name, act in (("star", deck.star), ("remove", deck.remove)):
        if name in fields:
            act(_number(fields[name]))
    if "try" not in fields:
        return ""

    def step(said: str) -> None:
        done = _STEPS.index(said) if said in _STEPS else 0
        progress.step(done, len(_STEPS), said)

    try:
        variant = what_if(
            call.fused, call.args, call.kwargs, change=change, step=step, **_others(call, fields)
        )
    except PlanRefused as refused:
        return _explained(refused.decline)
    card = deck.add(variant, _at(call))
    call.kept.setdefault("tried", {})[_choices(call, change, fields)] = card.number
    return ""


def _choices(call: Call, change: str, fields: Fields) -> tuple[str, ...]:
    """What makes a variant: equal for equal ones."""
    return change, _at(call), *(f"{name}={x}" for name, x in sorted(_others(call, fields).items()))


def _tried(call: Call, deck: Deck, change: str, fields: Fields) -> str:
    """Which card the choices in the form have led to, if they have been tried."""
    number = call.kept.get("tried", {}).get(_choices(call, change, fields))
    if number not in [card.number for card in deck]:
        return ""
    return f'<p class="fk-verdict">This is card {number} of the deck below.</p>'


def _others(call: Call, fields: Fields) -> dict[str, Any]:
    """What changes beside the plan."""
    found: dict[str, Any] = {
        name: fields[name] for name in ("engine", "dtype", "layout", "target") if fields.get(name)
    }
    for name, key in (("threads", "threads"), ("extent", "shape")):
        if fields.get(name, "").strip():
            found[key] = _number(fields[name])
    if found.get("shape") == Alterable(call.args, call.kwargs).extent:
        del found["shape"]
    if fields.get("fast"):
        found["fast"] = fields["fast"] == "on"
    return found


def _number(text: str) -> int:
    if not text.strip().isdecimal():
        raise UsageError(f"a whole number is meant, not {text!r}")
    return int(text)


def _at(call: Call) -> str:
    """The call as it is: its engine, and the shape of its first tensor."""
    leaves = pytree.tree_leaves((call.args, call.kwargs))
    shape = next((leaf.shape for leaf in leaves if isinstance(leaf, torch.Tensor)), ())
    return f"{call.fused.engine}, {' × '.join(map(str, shape)) or 'one element'}"


# the form


def _form(call: Call, program: Program, change: str, fields: Fields) -> str:
    typed = (
        '<label class="fk-change">change of the groups <input name="change" '
        f'value="{escape(change)}" placeholder="mul_1 - g1; add_1 + g2; ~exp_1" size="38" '
        'autocomplete="off" spellcheck="false" data-now></label>'
    )
    clear = button("clear", "clear") if change else ""
    menus = "".join(
        select(label, name, {**_AS_NOW, **choices}, fields.get(name, ""))
        for label, name, choices in _menus(call, program)
    )
    hint = (
        '<p class="fk-note">a + b: one kernel for both. a + g2: into group 2. a - g1: out of '
        "group 1. a - b: not in one kernel. ~a: left to PyTorch.</p>"
    )
    tried = '<button name="try" value="1" class="fk-try">try it</button>'
    return row(typed, tried, clear) + hint + row(menus) + _shape(call, fields)


def _menus(call: Call, program: Program) -> list[tuple[str, str, Mapping[str, str]]]:
    """(label, name, choices) of each menu."""
    device = program.capture.device.type
    available = call.fused.engines(*call.args, **call.kwargs)
    engines = {name: name for name, missing in available.items() if missing is None}
    most = os.cpu_count() or 1
    counts = sorted({n for n in (1 << k for k in range(most.bit_length())) if n <= most} | {most})
    menus: list[tuple[str, str, Mapping[str, str]]] = [("engine", "engine", engines)]
    if device == "cpu":
        menus.append(("threads", "threads", {str(n): str(n) for n in counts}))
    menus += [
        ("number type", "dtype", {name: name for name in DTYPES}),
        ("layout", "layout", {name: name.replace("_", " ") for name in LAYOUTS}),
        ("fast arithmetic", "fast", {"on": "on", "off": "off"}),
        ("processor", "target", {name: f"{name}, not run" for name in targets(device)}),
    ]
    return menus


def _shape(call: Call, fields: Fields) -> str:
    """The slider of the first extent: powers of two up to four times it, and it."""
    variants = Alterable(call.args, call.kwargs)
    now, most = variants.extent, variants.largest
    if not now:
        return ""
    value = _number(fields["extent"]) if fields.get("extent", "").strip() else now
    if not 1 <= value <= most:
        raise UsageError(f"the first extent is from 1 to {most:,} here, not {value:,}")
    stops = sorted({*variants.powers(1, min(4 * now, most)), now})
    return row(slider("first extent", "extent", value, stops, now=now, most=most))


# legality


def _verdict(program: Program, plan: Plan, change: str) -> str:
    """Whether the change would be legal."""
    if not change:
        return ""
    try:
        found = judge_plan(program, plan.but(change))
    except UsageError as error:
        return f'<p class="fk-error">{escape(visible(str(error)))}</p>'
    if found.decline is not None:
        return _explained(found.decline)
    count = plural(len(found.plan.groups or ()), "group")
    return f'<p class="fk-legal">Would be legal: {count}.</p>{_groups(found.plan)}'


def _groups(plan: Plan) -> str:
    items = "".join(f"<li>{escape(', '.join(group))}</li>" for group in plan.groups or ())
    return f'<ol class="fk-division" aria-label="groups of the changed plan">{items}</ol>'


def _explained(decline: Decline) -> str:
    """The rule that forbids a plan, with its operands."""
    where = f" at line {decline.loc.line}" if decline.loc else ""
    linked = f' data-l="{decline.loc.line}"' if decline.loc else ""
    detail = f": {decline.detail}" if decline.detail else ""
    return (
        f'<p class="fk-illegal"{linked}><b>Not legal.</b> '
        f'<span class="fk-id">{decline.code}</span> '
        f"{escape(visible(decline.reason.sentence + detail + where))}.</p>"
        f'<p class="fk-note">{escape(visible(decline.hint))}. '
        f"<code>fusekit why {decline.code}</code> tells more.</p>"
    )


def _pinned(program: Program, plan: Plan, pinned: str) -> str:
    """What can be done with the operators that are pinned."""
    known = operators(program)
    values = {int(word) for word in pinned.split() if word.isdecimal()}
    found = [operator for operator in known if values.intersection(operator.values)]
    listed = _all_operators(known)
    if not found:
        note = '<p class="fk-note">Pin an operator in the graph, or below, to change its group.</p>'
        return f"<div data-pin>{note}{listed}</div>"
    names = "; ".join(
        f"{operator.name}, {operator.place}{_line(operator)}" for operator in found[:4]
    )
    more = f" and {len(found) - 4} more" if len(found) > 4 else ""
    rows = [_option(option) for option in options_for(program, plan, found)]
    heads = ["change", "would it be legal?", "choose"]
    caption = escape(visible(f"Pinned: {names}{more}"))
    none = f'<p class="fk-note">{caption}: nothing can be changed about it.</p>'
    body = table("fk-options", heads, rows, caption=caption) if rows else none
    return f"<div data-pin>{body}{listed}</div>"


def _line(operator: Operator) -> str:
    return "" if operator.line is None else f" (line {operator.line})"


def _option(option: Option) -> str:
    decline, text = option.verdict.decline, escape(option.change)
    if decline is None:
        said = f"legal: {plural(len(option.verdict.plan.groups or ()), 'group')}"
        verdict = cell(said, "fk-legal")
    else:
        detail = f": {decline.detail}" if decline.detail else ""
        said = escape(visible(f"{decline.reason.sentence}{detail}"))
        verdict = f'<td class="fk-illegal"><span class="fk-id">{decline.code}</span> {said}</td>'
    press = (
        f'<td><button name="add" value="{text}" aria-label="{escape(option.said)}">'
        f"{'choose' if decline is None else 'explain'}</button></td>"
    )
    return f"<tr>{head(option.said)}{verdict}{press}</tr>"


def _all_operators(known: list[Operator]) -> str:
    """Every operator with its group: a row pins what it stands for."""
    rows = []
    for operator in known:
        values = " ".join(map(str, operator.values))
        line = "" if operator.line is None else str(operator.line)
        place = cell(operator.place)
        rows.append(f'<tr data-v="{values}">{head(operator.name)}{cell(line)}{place}</tr>')
    body = table("fk-operators", ["operator", "line", "where"], rows)
    return f"<details><summary>all {plural(len(rows), 'operator')}</summary>{body}</details>"
