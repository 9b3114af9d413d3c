"""Tables in a page that people write: what stands between two marks is replaced, nothing else.

A mark is an HTML comment, `<!-- measured: cpu-goals -->`, and the end is `<!-- /measured -->`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from fusekit.errors import UsageError

__all__ = ["filled", "marks"]

_MARK = re.compile(
    r"(?P<begin><!-- measured: (?P<name>[a-z-]+) -->\n)(?P<old>.*?)(?P<end>^<!-- /measured -->$)",
    re.DOTALL | re.MULTILINE,
)


def marks(page: str) -> list[str]:
    """The names of the sections that a page has marks for."""
    return [found["name"] for found in _MARK.finditer(page)]


def filled(page: str, sections: Mapping[str, str]) -> str:
    """The page with these sections in the places of their names; the others stay as they are.

    An empty page becomes one of all sections, each between its marks.

    Raises:
        UsageError: a page that is not empty has no place for any of them.
    """
    if not page.strip():
        return "\n\n".join(_marked(name, text) for name, text in sections.items()) + "\n"
    if not {*marks(page)} & {*sections}:
        names = ", ".join(sections)
        raise UsageError(f"the page has no mark <!-- measured: ... --> for any of {names}")

    def new(found: re.Match[str]) -> str:
        text = sections.get(found["name"])
        return found[0] if text is None else _marked(found["name"], text)

    return _MARK.sub(new, page)


def _marked(name: str, text: str) -> str:
    return f"<!-- measured: {name} -->\n\n{text.strip()}\n\n<!-- /measured -->"
