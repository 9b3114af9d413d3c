"""One text/html output that works untrusted and, where scripts may run, comes alive by itself.

The base layer is what sanitizers keep: `<figure><img alt>`, `<details>`, `<table>`, classes. The
style sheet, the links between the parts, folding, tabs, zoom and the theme button come on top.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from html import escape

from fusekit.viz.code.heat import heat_html
from fusekit.viz.code.section import code_html_of
from fusekit.viz.decisions.ladder import ladder_headline, ladder_html
from fusekit.viz.decisions.seams import why_headline, why_html
from fusekit.viz.hydrator import parts_of, script
from fusekit.viz.measured.timing import timing_html
from fusekit.viz.model.schema import Model
from fusekit.viz.outline.outline import outline_html
from fusekit.viz.palette import static, variables
from fusekit.viz.picture.data import picture_data
from fusekit.viz.picture.graph import Picture, layers, picture
from fusekit.viz.picture.graphvizrun import Clock
from fusekit.viz.picture.scene import widest
from fusekit.viz.tables import groups_html, ledger_headline, ledger_html
from fusekit.viz.takeaway.card import markdown
from fusekit.viz.words import bytes_text, plural, summary, visible

__all__ = ["SECTIONS", "block", "page", "stylesheet"]

SECTIONS = ("graph", "source", "why", "ladder", "bytes", "timing")
"""The parts of a view, in the order in which they appear."""

_SHEETS = ("graph", "fusekit", "why", "fold", "take", "code", "walk", "heat")
"""Style sheets of a view; the first serves pictures on their own, too."""

_ROOT = "border:1px solid #8886;border-radius:8px;padding:10px 14px;margin:4px 0"


def block(
    model: Model,
    *,
    hydrate: bool = True,
    sections: Collection[str] = SECTIONS,
    bytes_per_second: float | None = None,
) -> str:
    """The view of `model` as HTML.

    Args:
        model: what is shown.
        hydrate: False leaves out the style sheet and the scripts: only the base layer.
        sections: the parts to show.
        bytes_per_second: of this machine while copying, for live views alone: the seams then say
            what they take, which is not the same in every run.
    """
    why = "Seams" if model["seams"] else "Left to PyTorch"
    bodies = {
        "graph": _graph_section,
        "source": _code_section,
        "why": lambda m: _section(
            "why", why, why_headline(m), why_html(m, bytes_per_second), opened=True
        ),
        "ladder": lambda m: _section("ladder", "Ladder", ladder_headline(m), ladder_html(m)),
        "bytes": lambda m: _section("bytes", "Bytes", ledger_headline(m), ledger_html(m)),
        "timing": _timing_section,
    }
    pieces = [
        _header(model),
        *(bodies[name](model) for name in SECTIONS if name in sections),
        heat_html(model) if {"graph", "source"} & set(sections) else "",
        _taken(model),
    ]
    body = "\n".join(piece for piece in pieces if piece)
    style = f"<style>{stylesheet()}</style>\n" if hydrate else ""
    live = f'<script type="module">{script(body)}</script>\n' if hydrate else ""
    needs = " ".join(parts_of(body))
    head = f'<div class="fk-view" style="{_ROOT}" data-fk-parts="{needs}">'
    return f"{head}\n{style}{body}\n</div>\n{live}"


def page(models: Model | Sequence[Model], *, title: str = "fusekit") -> str:
    """A whole HTML document that holds everything it needs, for one view or several."""
    several = [models] if isinstance(models, dict) else list(models)
    name = several[0]["title"] if len(several) == 1 else title
    blocks = "\n".join(block(model, hydrate=False) for model in several)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(visible(name))} · fusekit</title>"
        f"<style>{stylesheet()}{_PAGE}</style></head>\n<body>\n"
        f"<main data-fk-page>\n<h1>{escape(visible(name))}</h1>\n{blocks}</main>\n"
        f'<script type="module">{script(blocks)}</script>\n</body></html>\n'
    )


_PAGE = (
    ":root{color-scheme:light dark}body{margin:0;background:light-dark(#eef0f3,#0e1013)}"
    "main{max-width:1180px;margin:0 auto;padding:20px 16px;display:grid;gap:20px}"
    # Each view shows its title; the page's is for those who go from heading to heading.
    "h1{position:absolute;width:1px;height:1px;margin:0;overflow:hidden;clip-path:inset(50%)}"
)


def stylesheet() -> str:
    """All rules of a view; each begins with one of our classes, so nothing leaks into a page."""
    sheets = "".join(static(f"{name}.css") for name in _SHEETS)
    return f".fk-view,.fk-vars{{{variables()}}}{sheets}"


def _section(name: str, title: str, note: str, body: str, *, opened: bool = False) -> str:
    """A foldable part; "" without a body."""
    if not body:
        return ""
    state = " open" if opened else ""
    said = f' <span class="fk-said">{escape(visible(note))}</span>' if note else ""
    return (
        f'<details class="fk-sec fk-{name}"{state}><summary><b>{title}</b>{said}</summary>'
        f'<div class="fk-body">{body}</div></details>'
    )


def _taken(model: Model) -> str:
    """What the buttons that take a view away hand out: an empty element with the card's text."""
    name = re.sub(r"\W+", "-", model["name"]).strip("-") or "view"
    text = escape(markdown(model)).replace("\n", "&#10;")
    held = f'<span class="fk-take" data-name="{escape(name)}" data-markdown="{text}"></span>'
    return f'<div class="fk-measured">{held}</div><!--fk-measured-->'  # times are in it


def _header(model: Model) -> str:
    chips = '<span class="fk-dot"> · </span>'.join(
        f'<span class="fk-chip{" fk-warn" if "[" in part else ""}">{escape(part)}</span>'
        for part in summary(model).split(" · ")
    )
    title = escape(visible(model["title"]))
    return f'<div class="fk-top"><strong class="fk-name">{title}</strong> {chips}</div>'


def _graph_section(model: Model) -> str:
    clock = Clock()
    drawn = _figure(model, picture(model, clock=clock), clock)
    body = drawn + groups_html(model) + outline_html(model)
    note = plural(len(model["graph"]["nodes"]), "node")
    return _section("graph", "Graph", note, body, opened=True)


def _figure(model: Model, drawn: Picture, clock: Clock) -> str:
    note = f"{escape(drawn.note)}. " if drawn.note else ""
    if not drawn.svg:
        text = escape(layers(model)) if drawn.note else ""
        listed = f'<pre class="fk-layers">{text}</pre>' if text else ""
        return f'<p class="fk-note">{note}</p>{listed}'
    # A wide picture scrolls: shrunk to the column, nobody could read it.
    style = f' style="min-width:{drawn.width * 7 // 10}px"' if drawn.width > 1100 else ""
    data = escape(picture_data(model, clock=clock), quote=False).replace("'", "&#39;")
    folds = f" data-fk-picture='{data}'" if data else ""
    return (
        f'<figure class="fk-figure" style="margin:0;overflow:auto"{folds}>'
        f'<img class="fk-img" alt="{escape(drawn.alt)}" src="{drawn.uri}"{style}>'
        f'<figcaption class="fk-note">{note}{_legend(model)}</figcaption></figure>'
    )


def _legend(model: Model) -> str:
    legend = "Solid: one fused kernel · dashed: left to PyTorch"
    most = widest(model)
    if not most:
        return legend
    return (
        f"{legend} · orange: a seam, data that crosses memory; its width is its bytes, "
        f"up to {bytes_text(most)}"
    )


def _code_section(model: Model) -> str:
    body, texts = code_html_of(model)
    note = plural(texts, "generated text") if texts else ""
    return _section("code", "Code", note, body, opened=True)


def _timing_section(model: Model) -> str:
    body = timing_html(model)
    note = "measured" if model["timing"] else "compiled"
    return _section("time", "Time", note, body, opened=model["timing"] is not None)
