"""A part of a view that is displayed on its own: the same look, and nothing that comes alive."""

from __future__ import annotations

from html import escape

from fusekit.viz.page import stylesheet
from fusekit.viz.words import visible

__all__ = ["fragment"]

_ROOT = "border:1px solid #8886;border-radius:8px;padding:10px 14px;margin:4px 0"


def fragment(title: str, note: str, body: str) -> str:
    """`body`, which is HTML, under a title, with the style of a view."""
    said = f' <span class="fk-chip">{escape(visible(note))}</span>' if note else ""
    name = escape(visible(title))
    # it says that it is hydrated already, because there is nothing to hydrate
    return (
        f'<div class="fk-view" data-fk-ready="1" style="{_ROOT}"><style>{stylesheet()}</style>'
        f'<div class="fk-top"><strong class="fk-name">{name}</strong>{said}</div>'
        f'<div class="fk-body">{body}</div></div>'
    )
