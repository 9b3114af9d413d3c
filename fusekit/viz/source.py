"""Highlighted source: one element per line, carrying the values that the line computes.

Pygments names the tokens and a style sheet colours them, so nothing here breaks a dark theme; and
without the style sheet (a sanitizer drops it) the text is still there, with its line numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any

from fusekit.viz.model import Model, Source
from fusekit.viz.need import have
from fusekit.viz.palette import GROUP_COLOURS
from fusekit.viz.words import visible

__all__ = ["LIMIT", "code_html", "source_html", "user_html"]

LIMIT = 3000
"""Lines shown of one text; the rest is said to be there."""

_LEXERS = {
    "cpp": ("pygments.lexers.c_cpp", "CppLexer"),
    "cuda": ("pygments.lexers.c_like", "CudaLexer"),
    "llvm": ("pygments.lexers.asm", "LlvmLexer"),
    "asm": ("pygments.lexers.asm", "GasLexer"),
    "ptx": ("pygments.lexers.asm", "PtxLexer"),
    "sass": ("pygments.lexers.asm", "GasLexer"),
    "python": ("pygments.lexers.python", "PythonLexer"),
    "ir": ("fusekit.viz.lexer", "IRLexer"),
}

# First letters of Pygments' short token names -> our classes. Anything else is plain text.
_CLASSES = (
    ("kt", "fk-type"),
    ("k", "fk-kw"),
    ("ow", "fk-kw"),
    ("c", "fk-com"),
    ("s", "fk-str"),
    ("m", "fk-num"),
    ("nf", "fk-fn"),
    ("nb", "fk-fn"),
    ("nd", "fk-fn"),
    ("nc", "fk-type"),
    ("nl", "fk-fn"),
    ("nv", "fk-var"),
)

Lines = list[list[tuple[str, str]]]


def source_html(source: Source) -> str:
    """One generated text as `<pre>`: numbered lines, linked to values."""
    values: dict[int, list[str]] = {}
    for value, (first, last) in source["lines"].items():
        for number in range(first, last + 1):
            values.setdefault(number, []).append(value)
    linked = {number: f' data-v="{escape(" ".join(found))}"' for number, found in values.items()}
    return code_html(source["text"], source["language"], attribute=lambda n: linked.get(n, ""))


def user_html(model: Model) -> str:
    """The user's function as `<pre>`: numbered as in the file, marked with groups and remarks."""
    user = model["user"]
    order = {group["id"]: index for index, group in enumerate(model["groups"])}
    groups: dict[int, list[int]] = {}
    for node in model["graph"]["nodes"]:
        if node["line"] is not None and node["group"]:
            groups.setdefault(node["line"], []).append(order[node["group"]])
    remarks: dict[int, list[str]] = {}
    for item in model["declined"]:
        if item["line"] is not None:
            text = f"{item['code']}  {item['op']}: {item['reason']}"
            remarks.setdefault(item["line"], []).append(text)

    def attribute(number: int) -> str:
        found = sorted(set(groups.get(number, ())))
        stripe = f' data-c="{found[0] % GROUP_COLOURS}"' if found else ""
        return f' data-l="{number}"{stripe}'

    return code_html(
        user["text"],
        "python",
        first=user["first"],
        attribute=attribute,
        remark=lambda number: remarks.get(number, ()),
    )


def code_html(
    text: str,
    language: str,
    *,
    first: int = 1,
    attribute: Callable[[int], str] = lambda _: "",
    remark: Callable[[int], Iterable[str]] = lambda _: (),
    beside: Mapping[int, str] | None = None,
) -> str:
    """`text` as `<pre class="fk-code">`, one `<span class="fk-l">` for each line.

    Args:
        text: what to show; all of it is escaped.
        language: a key of the lexers above; anything else is shown uncoloured.
        first: number of the first line.
        attribute: line number -> attributes for its element, escaped by the caller.
        remark: line number -> remarks to show beneath it.
        beside: line number -> what to show in a column of its own before the text.
    """
    lines = _tokens(text.replace("\r\n", "\n").rstrip("\n"), language)
    width = len(str(first + len(lines) - 1))
    column = max(map(len, beside.values()), default=0) if beside else 0
    parts = []
    for number, line in enumerate(lines[:LIMIT], start=first):
        body = "".join(_span(cls, part) for cls, part in line)
        digits = f'<span class="fk-no">{number:>{width}} </span>'
        if beside is not None:
            digits += f'<b class="fk-beside">{escape(beside.get(number, "")):>{column}}</b>  '
        parts.append(f'<span class="fk-l"{attribute(number)}>{digits}{body}\n</span>')
        pad = " " * (width + 1)
        parts += [
            f'<span class="fk-remark">{pad}▲ {escape(visible(said))}\n</span>'
            for said in remark(number)
        ]
    if len(lines) > LIMIT:
        parts.append(f'<span class="fk-remark">... {len(lines) - LIMIT} more lines\n</span>')
    return f'<pre class="fk-code">{"".join(parts)}</pre>'


def _span(cls: str, part: str) -> str:
    # What controls a terminal or turns the direction of text would show other code than there is.
    shown = escape("\t".join(visible(piece) for piece in part.split("\t")))
    return f'<span class="{cls}">{shown}</span>' if cls else shown


def _tokens(text: str, language: str) -> Lines:
    """Lines of (class, text); without Pygments (or a lexer for it) everything is plain."""
    lexer = _lexer(language)
    pieces = lexer.get_tokens(text) if lexer else [((), text)]
    lines: Lines = [[]]
    for token, piece in pieces:
        cls = _class_of(token)
        for index, part in enumerate(piece.split("\n")):
            if index:
                lines.append([])
            if part:
                lines[-1].append((cls, part))
    if len(lines) > 1 and not lines[-1]:
        lines.pop()
    return lines


def _lexer(language: str) -> Any | None:
    module, name = _LEXERS.get(language, ("", ""))
    found = have(module) if module and have("pygments") else None
    # Pygments' own clean-up would shift the lines: it strips blank ones and turns \r into \n.
    return getattr(found, name)(stripnl=False, ensurenl=False) if hasattr(found, name) else None


def _class_of(token: Any) -> str:
    standard = have("pygments.token")
    if not token or standard is None:
        return ""
    while token not in standard.STANDARD_TYPES:
        token = token.parent
    name = standard.STANDARD_TYPES[token]
    return next((cls for start, cls in _CLASSES if name.startswith(start)), "")
