"""The pages about reasons: docs/reasons/FKnnnn.md, which an installed package carries along."""

from __future__ import annotations

from pathlib import Path

from fusekit.errors import UsageError

__all__ = ["overview", "page_of", "reason_codes"]

_PACKAGE = Path(__file__).parent

_PLACES = (_PACKAGE / "reasons", _PACKAGE.parent / "docs" / "reasons")
"""Where a wheel has them (pyproject.toml, force-include), and where a clone has."""


def reason_codes() -> tuple[str, ...]:
    """The codes that there are pages for, sorted."""
    found = (path.stem for place in _PLACES for path in place.glob("FK[0-9][0-9][0-9][0-9].md"))
    return tuple(sorted(set(found)))


def page_of(code: str) -> str:
    """The page of a reason, as Markdown.

    Args:
        code: such as "FK0106"; the case does not matter.

    Raises:
        UsageError: there is no such page.
    """
    name = f"{code.strip().upper()}.md"
    known = reason_codes()
    if name.removesuffix(".md") not in known:
        raise UsageError(f"no reason {code!r}; there are {', '.join(known) or 'no pages here'}")
    path = next(place / name for place in _PLACES if (place / name).is_file())
    return path.read_text(encoding="utf-8")


def overview() -> str:
    """Every code and its sentence, a line for each."""
    titles = (page_of(code).splitlines()[0] for code in reason_codes())
    return "\n".join(title.removeprefix("# ") for title in titles)
