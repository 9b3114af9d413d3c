"""The code section: the user's function beside every text that was generated from it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from fusekit.viz.code.source import source_html, user_html
from fusekit.viz.model.schema import Model, Source
from fusekit.viz.words import visible

__all__ = ["LANGUAGES", "code_html_of", "label"]

LANGUAGES = ("llvm", "cpp", "cuda", "asm", "ptx", "sass", "ir")
"""What a source may be in."""

_OF_MACHINE = frozenset({"llvm", "asm", "ptx", "sass"})
"""What is longer or shorter on another processor: nothing in a page may follow from its length."""

_ROOM = 320
"""Lines shown in one view, all texts together: a notebook holds them all."""

_RESERVED, _SHORTEST = 60, 24
"""Lines reserved for a text of the machine beside others, and shown of any text at least."""


def label(model: Model, source: Source) -> str:
    """What a text is called: "group 1 · asm", or "group 1 · asm of cpp" for an idle engine's."""
    group = next((g for g in model["groups"] if g["id"] == source["group"]), None)
    name = source["language"]
    if name == "asm" and group is not None and source["engine"] not in ("", group["engine"]):
        name = f"asm of {source['engine']}"
    return f"{group['name']} · {name}" if group else name


def code_html_of(model: Model) -> tuple[str, int]:
    """The section's body, "" if there is nothing, and how many generated texts it holds."""
    user = ""
    if model["user"]["text"]:
        name = escape(visible(model["user"]["file"])) or "your function"
        title = f'<p class="fk-pane-title">{name}</p>'
        user = f'<div class="fk-pane fk-user">{title}{user_html(model)}</div>'
    order = {group["id"]: index for index, group in enumerate(model["groups"])}
    limits = _limits(model["sources"])
    sources = []
    for index, source in enumerate(model["sources"]):
        group = source["group"]
        mark = f' data-g="{order[group]}"' if group else ""
        shown = source_html(source, limits[index])
        sources.append(
            f'<details class="fk-src"{" open" if index == 0 else ""}{mark}>'
            f"<summary>{escape(visible(label(model, source)))}</summary>{shown}</details>"
        )
    generated = f'<div class="fk-pane fk-generated">{"".join(sources)}</div>' if sources else ""
    body = f'<div class="fk-panes">{user}{generated}</div>' if user or generated else ""
    return body, len(sources)


def _limits(sources: Sequence[Source]) -> list[int]:
    """How many lines each text may show: the same on every machine.

    Texts of the machine ask for what is reserved for them, and share what the others leave.
    """
    of_machine = [source["language"] in _OF_MACHINE for source in sources]
    asked = [
        _RESERVED if is_fixed else source["text"].count("\n") + 1
        for source, is_fixed in zip(sources, of_machine, strict=True)
    ]
    share = _fair(asked)
    shown = [min(share, lines) for lines in asked]
    left = max(0, _ROOM - sum(shown)) // max(1, sum(of_machine))
    return [
        lines + left if is_fixed else lines
        for lines, is_fixed in zip(shown, of_machine, strict=True)
    ]


def _fair(lengths: Sequence[int]) -> int:
    """Lines that each text may show so that all of them have room."""
    room, waiting = _ROOM, sorted(lengths)
    for index, length in enumerate(waiting):
        share = room // (len(waiting) - index)
        if length > share:
            return max(share, _SHORTEST)
        room -= length
    return max(waiting, default=_SHORTEST)
