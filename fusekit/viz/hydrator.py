"""The script that brings a view to life: what it ships of `static/js`, and how it gets small."""

from __future__ import annotations

import json
import re
from functools import cache

from fusekit.viz.palette import static

__all__ = ["parts_of", "script", "shipped", "squeezed"]

_PARTS = {
    "take": 'class="fk-take"',
    "picture": "data-fk-picture=",
    "graph": 'class="fk-outline"',
    "code": 'class="fk-code"',
    "ladder": "fk-rungs",
    "sorting": "fk-sortable",
    "heat": 'class="fk-heat"',
}
"""What only some views need -> what these have in them."""

_FEATURES = (
    *(("dom", ""), ("take", "take"), ("fold", "picture"), ("picture", "picture"), ("tools", "")),
    *(("sorting", "sorting"), ("ladder", "ladder"), ("diff", "code"), ("code", "code")),
    *(("links", ""), ("keys", ""), ("entries", ""), ("jumps", ""), ("flow", "graph")),
    *(("walk", "graph"), ("card", "graph"), ("search", ""), ("ruler", "code"), ("help", "")),
    *(("heat", "heat"), ("state", ""), ("link", ""), ("hydrate", "")),
)
"""Files, each with the part that it belongs to; later ones use what earlier ones made."""

_STRING = re.compile(r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')""")
_AROUND = re.compile(r" ?([=<>?:,;{}()\[\]|&!*]+) ?")


def parts_of(html: str) -> list[str]:
    """The parts that a view, or a page of them, needs."""
    return [part for part, mark in _PARTS.items() if mark in html]


def script(html: str | None = None) -> str:
    """The hydrator with what is needed by the views in `html`, by default by any.

    It may be on a page any number of times, and brings to life only views that need no more.
    """
    parts = list(_PARTS) if html is None else parts_of(html)
    files = (shipped(name) for name, part in _FEATURES if not part or part in parts)
    return f"const PARTS={json.dumps(parts, separators=(',', ':'))};\n{''.join(files)}"


@cache
def shipped(name: str) -> str:
    """A file of `static/js`, as it is sent."""
    return squeezed(static(f"js/{name}.js"))


def squeezed(text: str) -> str:
    """JavaScript without lines of comment, indentation, and spaces around punctuation.

    It goes line by line, since no string of ours goes on in the next line. A line with a template
    or a slash, which may begin a regular expression, keeps its inner spaces.
    """
    lines = (line.strip() for line in text.splitlines())
    kept = (line for line in lines if line and not line.startswith("//"))
    return "".join(f"{_tight(line)}\n" for line in kept)


def _tight(line: str) -> str:
    pieces = _STRING.split(line)
    if any(sign in piece for piece in pieces[::2] for sign in "`/"):
        return line
    pieces[::2] = (_AROUND.sub(r"\1", piece) for piece in pieces[::2])
    return "".join(pieces)
