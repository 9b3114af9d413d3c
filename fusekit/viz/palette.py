"""Colours, for light and for dark: style sheets name them, this module says what they are.

Groups take Okabe and Ito's hues, which colour-blind people tell apart, darkened or lightened until
they stand out from the background; after seven they repeat, and the label tells groups apart.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

__all__ = ["GROUP_COLOURS", "PALETTE", "fill_in", "group_class", "static", "variables"]

PALETTE: dict[str, tuple[str, str]] = {
    "bg": ("#ffffff", "#15181c"),
    "surface": ("#ffffff", "#1c2025"),
    "raised": ("#f5f6f8", "#20252b"),
    "text": ("#1c2127", "#e4e8ed"),
    "muted": ("#59626d", "#9ca6b2"),
    "line": ("#d8dde3", "#353c45"),
    "wire": ("#87919d", "#77828f"),
    "accent": ("#0a62c4", "#6fb5ff"),
    "mark": ("#fff1b3", "#3d320a"),
    "mark-line": ("#b98500", "#f0c541"),
    "seam": ("#b93c04", "#ff9f63"),
    "seam-bg": ("#fff0e6", "#38241a"),
    "old": ("#ffecec", "#331c1f"),
    "old-word": ("#ffc9c9", "#6a2a30"),
    "new": ("#e6f6ea", "#162b1e"),
    "new-word": ("#b4e3c0", "#1f5434"),
    "heat": ("#f0a830", "#b06a00"),
    "good": ("#187336", "#5ccb8a"),
    "bad": ("#c21f2c", "#ff8d84"),
    "c0": ("#0069a8", "#5cb8ee"),
    "c1": ("#007a5a", "#2ecfa2"),
    "c2": ("#a23b78", "#e795c4"),
    "c3": ("#7a6500", "#e0cf3f"),
    "c4": ("#5b4cc0", "#aea3ff"),
    "c5": ("#00717f", "#45cfe0"),
    "c6": ("#6b5b4d", "#c9b5a2"),
    "kw": ("#8a2da5", "#d79cf0"),
    "str": ("#0b6e3f", "#8fd19e"),
    "num": ("#a14a00", "#f5b173"),
    "fn": ("#0a58b5", "#82bdff"),
    "type": ("#00717f", "#66d3df"),
    "com": ("#5e6974", "#95a0ac"),
}

GROUP_COLOURS = 7


def group_class(index: int) -> str:
    """The class that colours the group number `index`."""
    return f"fk-c{index % GROUP_COLOURS}"


@cache
def static(name: str) -> str:
    """The text of a file in `static/`."""
    return resources.files("fusekit.viz").joinpath("static", name).read_text(encoding="utf-8")


def variables(theme: str = "auto") -> str:
    """Declarations of `--fk-*`: for "auto", both colours, chosen by the element's color-scheme."""
    if theme == "auto":
        pairs = ((name, f"light-dark({a},{b})") for name, (a, b) in PALETTE.items())
    else:
        pairs = ((name, both[theme == "dark"]) for name, both in PALETTE.items())
    return "".join(f"--fk-{name}:{value};" for name, value in pairs)


def fill_in(css: str, theme: str) -> str:
    """`css` with the colours of "light" or "dark" in place of the variables."""
    return re.sub(r"var\(--fk-([a-z0-9-]+)\)", lambda m: PALETTE[m[1]][theme == "dark"], css)
