"""The panel "Cache": what is held for the function, and what a call that is not made would find."""

from __future__ import annotations

import contextlib
from html import escape
from pathlib import Path
from typing import Any

import torch

from fusekit.errors import UsageError
from fusekit.runtime.cached import CachedEntry, FunctionCache
from fusekit.runtime.described import asked_of, text_of
from fusekit.runtime.dispatch import Dispatcher
from fusekit.runtime.guards import Guard
from fusekit.runtime.lookup import Check, Lookup
from fusekit.viz.panels.panel import Call, Fields, Panel, Progress
from fusekit.viz.tables import cell, head, table
from fusekit.viz.words import bytes_text, plural, seconds_text, short, visible

__all__ = ["CACHE", "drawn"]

_MOST_ROWS = 50
"""Entries that are shown; of a function with more, the latest."""


def draw(call: Call, fields: Fields, _progress: Progress) -> str:
    """The form, what it answers, and the tables."""
    quiet = torch.no_grad() if "no_grad" in fields else contextlib.nullcontext()
    checked = " checked" if "no_grad" in fields else ""
    box = f'<label><input type="checkbox" name="no_grad" data-now{checked}>under no_grad</label>'
    with quiet:
        return drawn(call.own or call.fused, call.args, call.kwargs, fields, box)


def drawn(
    function: Dispatcher,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    fields: Fields,
    more: str = "",
) -> str:
    """The same for any dispatcher and a call of it; `more` are fields of the form."""
    cache = FunctionCache(function)
    asked = fields.get("asked", "").strip()
    said = _act(cache, fields)
    number = int(fields["why"]) if fields.get("why", "").isdecimal() else None
    if number is not None:
        found = cache.why(number)
        asked = found.asked
    else:
        asked = asked or text_of(asked_of(function.original, args, kwargs).signature({}))
        try:
            found = cache.would_serve(asked)
        except UsageError as error:
            said = f"{said}{_note(str(error), bad=True)}"
            found = None
    return "".join(
        (
            _form(asked, fields, more),
            said,
            _verdict(found, number),
            _entries(cache, function.name, found),
            _gradients(cache, function.name),
            _kernels(cache),
            _bounds(cache),
        )
    )


def _act(cache: FunctionCache, fields: Fields) -> str:
    """Do what the pressed button says; what was done, in a sentence."""
    for action in ("evict", "pin", "unpin", "export"):
        if not fields.get(action, "").isdecimal():
            continue
        number = int(fields[action])
        if action == "export":
            folder = Path(fields.get("folder") or "fusekit-export") / f"entry-{number}"
            written = cache.export(number, folder)
            return _note(f"{plural(len(written), 'file')} written to {folder}")
        getattr(cache, action)(number)
        done = {
            "evict": "is gone: the next such call captures anew",
            "pin": "is pinned: it stays, however many others come",
            "unpin": "is no longer pinned",
        }
        return _note(f"entry {number} {done[action]}")
    return ""


def _note(text: str, *, bad: bool = False) -> str:
    kind = 'class="fk-error" role="alert"' if bad else 'class="fk-note" role="status"'
    return f"<p {kind}>{escape(visible(text))}</p>"


def _form(asked: str, fields: Fields, more: str) -> str:
    folder = escape(visible(fields.get("folder") or "fusekit-export"))
    return (
        '<p class="fk-cache-ask"><label class="fk-wide">signature '
        f'<input class="fk-mono" name="asked" spellcheck="false" autocomplete="off" '
        f'aria-describedby="fk-cache-help" value="{escape(asked)}"></label>'
        '<button name="look">would serve?</button></p>'
        '<p class="fk-note" id="fk-cache-help">Nothing is run. Tensors as '
        "<code>f32[8,128]</code>, then if need be <code>transposed</code>, "
        "<code>strides(1,8)</code>, <code>requires_grad</code>, <code>cuda</code>; numbers and "
        "strings as in Python; <code>name=</code> for an argument by name.</p>"
        f'<p>{more}<label>export to <input name="folder" value="{folder}"></label></p>'
    )


def _verdict(found: Lookup | None, number: int | None) -> str:
    if found is None:
        return ""
    if number is None:
        return f'<p class="fk-verdict" aria-live="polite">{escape(visible(found.verdict))}</p>'
    nearest = min(found.checks, key=lambda check: len(check.broken), default=None)
    if nearest is None or nearest.first is None:
        said = "it was the first of its kind, or what was like it is forgotten"
    else:
        said = f"nearest was entry {nearest.number}: " + "; ".join(map(str, nearest.broken))
    head_ = f"why entry {number} was a miss: {said}"
    return f'<p class="fk-verdict" aria-live="polite">{escape(visible(head_))}</p>'


def _entries(cache: FunctionCache, name: str, found: Lookup | None) -> str:
    """Entries down, what they ask about across: a tick, or the first guard that fails."""
    checks = {check.number: check for check in found.checks} if found else {}
    entries = [entry for entry in cache.entries if entry.function == name]
    shown = entries[-_MOST_ROWS:]
    subjects = list(
        dict.fromkeys(
            (
                *(guard.subject for entry in shown for guard in entry.guards),
                *(broken.subject for check in checks.values() for broken in check.broken),
            )
        )
    )
    rows = [_entry_row(entry, checks.get(entry.number), subjects) for entry in shown]
    heads = ["entry", *map(escape, map(visible, subjects)), "runs", "calls", "what to do"]
    caption = "What is held, and what of it the signature meets"
    if len(entries) > len(shown):
        caption += f" (the latest {len(shown)} of {len(entries)})"
    if not rows:
        return '<p class="fk-note">nothing is held yet</p>'
    return table("fk-cache", heads, rows, caption=caption)


def _entry_row(entry: CachedEntry, check: Check | None, subjects: list[str]) -> str:
    cells = [_guard_cell(entry, check, subject) for subject in subjects]
    runs = str(entry.decline.code) if entry.decline else entry.engine
    served = ' class="fk-serves"' if check is not None and check.fits else ""
    calls = "" if entry.calls is None else str(entry.calls)
    pin = "unpin" if entry.pinned else "pin"
    actions = "".join(
        f'<button name="{name}" value="{entry.number}" '
        f'aria-label="{name} entry {entry.number}">{name}</button>'
        for name in ("why", pin, "export", "evict")
    )
    number = f"{entry.number}{' pinned' if entry.pinned else ''}"
    return (
        f"<tr{served}>{head(number)}{''.join(cells)}{cell(runs)}{cell(calls, 'fk-num-cell')}"
        f'<td class="fk-acts">{actions}</td></tr>'
    )


def _guard_cell(entry: CachedEntry, check: Check | None, subject: str) -> str:
    guards = [guard for guard in entry.guards if guard.subject == subject]
    broken = [each for each in check.broken if each.subject == subject] if check else []
    if broken:
        first = broken[0]
        said = f"{first.fact} {first.wanted}, given {first.given}"
        more = f" (+{len(broken) - 1})" if len(broken) > 1 else ""
        is_first = check is not None and check.first is first
        text = escape(short(said, 90) + more)
        text = f"<strong>{text}</strong>" if is_first else text
        return f'<td class="fk-no-fit">✗ {text}</td>'
    words = escape(short(_words(subject, guards), 60))
    return f'<td class="fk-fit">{"✓ " if check else ""}{words}</td>'


def _words(subject: str, guards: list[Guard]) -> str:
    """A subject's guards as short as they can be said."""
    if subject in ("context", "arguments"):
        return guards[0].value if subject == "arguments" and guards else ""
    facts = {guard.fact: guard.value for guard in guards}
    known = [facts.pop(name) for name in ("dtype", "shape", "type", "value") if name in facts]
    known += [f"strides {facts['strides']}"] if "strides" in facts else []
    known += [facts["device"]] if facts.get("device", "cpu") != "cpu" else []
    known += ["requires grad"] if facts.get("requires_grad") == "True" else []
    known += [facts["identity"]] if "identity" in facts else []
    return " ".join(known)


def _gradients(cache: FunctionCache, name: str) -> str:
    """Entries of backwards: nobody calls these by hand."""
    rows = [
        f"<tr>{head(str(entry.number))}{cell(entry.function)}"
        f"{cell(short(entry.asked, 100), 'fk-mono')}{cell(entry.engine)}"
        f"{cell('' if entry.calls is None else str(entry.calls), 'fk-num-cell')}"
        f'<td class="fk-acts"><button name="evict" value="{entry.number}" '
        f'aria-label="evict entry {entry.number}">evict</button></td></tr>'
        for entry in cache.entries
        if entry.function != name
    ]
    heads = ["entry", "function", "signature", "runs", "calls", "what to do"]
    return table("fk-grads", heads, rows, caption="Of its gradients") if rows else ""


def _kernels(cache: FunctionCache) -> str:
    rows = []
    for kernel in cache.kernels:
        origin = "disk" if kernel.from_disk else "compiled"
        size = "no" if kernel.disk_bytes is None else bytes_text(kernel.disk_bytes)
        rows.append(
            f"<tr>{head(kernel.symbol)}{cell(kernel.engine)}{cell(origin)}"
            f"{cell(seconds_text(kernel.seconds), 'fk-num-cell')}{cell(size, 'fk-num-cell')}"
            f"{cell(str(kernel.launches), 'fk-num-cell')}{cell(kernel.key[:16], 'fk-mono')}</tr>"
        )
    heads = ["kernel", "engine", "from", "took", "on disk", "launches", "spec"]
    return table("fk-kernels", heads, rows, caption="Kernels of these") if rows else ""


def _bounds(cache: FunctionCache) -> str:
    held = cache.to_dict()
    limit = held["most_disk_bytes"]
    assert isinstance(limit, int)
    return (
        f'<p class="fk-note">Room for {held["most_signatures"]} signatures and '
        f"{held['most_of_one']} entries of each, the oldest goes first; for {bytes_text(limit)} of "
        "machine code on disk, what was used longest ago goes first. Pinned entries stay.</p>"
    )


CACHE = Panel("cache", "Cache", "what is held for this function, and what a call would find", draw)
