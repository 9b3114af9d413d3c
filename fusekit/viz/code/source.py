"""Highlighted source: one element per line, carrying the values that the line computes.

Pygments names the tokens and a style sheet colours them, so nothing here breaks a dark theme; and
without the style sheet (a sanitizer drops it) the text is still there, with its line numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from html import escape
from typing import Any

from fusekit.viz.model.schema import Model, Source
from fusekit.viz.need import have
from fusekit.viz.palette import GROUP_COLOURS
from fusekit.viz.words import plural, visible

__all__ = [
    "LIMIT",
    "code_html",
    "line_html",
    "source_html",
    "tokens",
    "user_html",
    "values_by_line",
]

LIMIT = 3000
"""Lines shown of one text; the rest is said to be there."""

_LEAD = 12
"""Lines shown before the first that is linked, in a text that is cut."""

_LEXERS = {
    "cpp": ("pygments.lexers.c_cpp", "CppLexer"),
    "cuda": ("pygments.lexers.c_like", "CudaLexer"),
    "python": ("pygments.lexers.python", "PythonLexer"),
    "ir": ("fusekit.viz.code.lexer", "IRLexer"),
}

_ASSEMBLY = re.compile(
    r"(?P<label>[^\s:]+:)?(?P<gap>\s*(?:/\*[0-9a-f]+\*/ )?)(?P<name>(?:@\S+\s+)?[A-Za-z.][\w.]*)?"
    r"(?P<rest>.*?)(?P<remark>(?:  (?:#|//) .*)?)",
    re.DOTALL,
)
_LLVM = re.compile(
    r"(?P<label>[\w.$-]+:(?=\s|$))?(?P<gap>\s*)(?P<result>%[\w.$-]+(?= = ))?(?P<is>(?: = )?)"
    r"(?P<name>(?:[a-z][\w.]*)?)(?P<rest>[^;]*)(?P<remark>(?:;.*)?)",
    re.DOTALL,
)
_LINES = {"llvm": _LLVM, "asm": _ASSEMBLY, "ptx": _ASSEMBLY, "sass": _ASSEMBLY}
_PARTS = {"label": "fk-fn", "result": "fk-var", "name": "fk-kw", "remark": "fk-com"}
"""What is long has the colours it needs for reading, and no more: each takes room in a notebook."""

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

_TAGS = {"fk-kw": "b", "fk-com": "i", "fk-var": "var"}
"""What is most frequent has an element instead of a class: a notebook holds thousands."""

Lines = list[list[tuple[str, str]]]


def source_html(source: Source, limit: int | None = None) -> str:
    """One generated text as `<pre>`: numbered lines, linked to values.

    Of a text of more than `limit` lines, those from the first that is linked to anything, and of
    each value that would be missing, its first line.
    """
    values = values_by_line(source)
    linked = {n: f' data-v="{escape(" ".join(found))}"' for n, found in values.items()}
    count = source["text"].rstrip("\n").count("\n") + 1
    return code_html(
        source["text"],
        source["language"],
        attribute=lambda n: linked.get(n, ""),
        shown=_shown(values, count, limit or LIMIT),
    )


def _shown(values: Mapping[int, Sequence[str]], count: int, limit: int) -> set[int] | None:
    """The numbers of the lines of a long text that are shown; None for all."""
    if count <= limit:
        return None
    first: dict[str, int] = {}
    for number in sorted(values):
        for value in values[number]:
            first.setdefault(value, number)
    start = max(1, min(min(values, default=1) - _LEAD, count - limit + 1))
    apart: list[int] = []
    for _ in range(2):  # what stands apart takes room from the others
        stop = start + max(limit - len(apart), limit // 2)
        apart = sorted({n for n in first.values() if n >= stop})[: limit // 2]
    return {*range(start, start + limit - len(apart)), *apart}


def values_by_line(source: Source) -> dict[int, list[str]]:
    """Line, counted from 1 -> the values that it computes."""
    found: dict[int, list[str]] = {}
    for value, runs in source["lines"].items():
        for first, last in runs:
            for number in range(first, last + 1):
                found.setdefault(number, []).append(value)
    return found


def user_html(model: Model) -> str:
    """The user's function as `<pre>`: numbered as in the file, marked with groups and remarks."""
    user = model["user"]
    order = {group["id"]: index for index, group in enumerate(model["groups"])}
    groups: dict[int, list[int]] = {}
    for node in model["graph"]["nodes"]:
        if node["line"] is not None and node["group"]:
            groups.setdefault(node["line"], []).append(order[node["group"]])
    values: dict[int, list[str]] = {}
    for node in model["graph"]["nodes"]:
        if node["line"] is not None and node["kind"] in ("op", "opaque"):
            values.setdefault(node["line"], []).append(str(node["value"]))
    remarks: dict[int, list[str]] = {}
    for item in model["declined"]:
        if item["line"] is not None:
            operator = f"{item['op']}: " if item["op"] else ""
            text = f"{item['code']}  {operator}{item['reason']}"
            remarks.setdefault(item["line"], []).append(text)

    def attribute(number: int) -> str:
        found = sorted(set(groups.get(number, ())))
        stripe = f' data-c="{found[0] % GROUP_COLOURS}"' if found else ""
        made = f' data-w="{" ".join(values[number])}"' if number in values else ""
        return f' data-l="{number}"{made}{stripe}'

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
    shown: Collection[int] | None = None,
    beside: Mapping[int, str] | None = None,
) -> str:
    """`text` as `<pre class="fk-code">`, one `<span class="fk-l">` for each line.

    Args:
        text: what to show; all of it is escaped.
        language: a key of the lexers above; anything else is shown uncoloured.
        first: number of the first line.
        attribute: line number -> attributes for its element, escaped by the caller.
        remark: line number -> remarks to show beneath it.
        shown: numbers of the lines to show, None for the first of all; where others are left out
            stands how many.
        beside: line number -> what to show in a column of its own before the text.
    """
    lines = tokens(text.replace("\r\n", "\n").rstrip("\n"), language)
    width = len(str(first + len(lines) - 1))
    column = max(map(len, beside.values()), default=0) if beside else 0
    parts = []
    left = 0
    for number, line in enumerate(lines, start=first):
        if number not in shown if shown is not None else number - first >= LIMIT:
            left += 1
            continue
        if left:
            parts.append(_more(left, "here" if number - first > left else "above"))
            left = 0
        body = line_html(line)
        digits = f'<span class="fk-no">{number:>{width}} </span>'
        if beside is not None:
            digits += f'<b class="fk-beside">{escape(beside.get(number, "")):>{column}}</b>  '
        parts.append(f'<span class="fk-l"{attribute(number)}>{digits}{body}\n</span>')
        pad = " " * (width + 1)
        parts += [
            f'<span class="fk-remark">{pad}▲ {escape(visible(said))}\n</span>'
            for said in remark(number)
        ]
    if left:
        parts.append(_more(left, "below"))
    return f'<pre class="fk-code">{"".join(parts)}</pre>'


def _more(count: int, where: str) -> str:
    more = plural(count, "more line")
    return f'<span class="fk-remark">... {more} {where}: view.source() has all\n</span>'


def line_html(line: Sequence[tuple[str, str]]) -> str:
    """A line of `tokens`, escaped and coloured."""
    return "".join(_span(cls, part) for cls, part in line)


def _span(cls: str, part: str) -> str:
    # What controls a terminal or turns the direction of text would show other code than there is.
    shown = escape("\t".join(visible(piece) for piece in part.split("\t")))
    tag = _TAGS.get(cls)
    if tag:
        return f"<{tag}>{shown}</{tag}>"
    return f'<span class="{cls}">{shown}</span>' if cls else shown


def tokens(text: str, language: str) -> Lines:
    """Lines of (class, text); without Pygments (or a lexer for it) everything is plain."""
    if language in _LINES:
        return [_instruction(line, _LINES[language]) for line in text.split("\n")]
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


def _instruction(line: str, parts: re.Pattern[str]) -> list[tuple[str, str]]:
    found = parts.fullmatch(line)
    named = found.groupdict() if found else {"rest": line}
    return [(_PARTS.get(name, ""), part) for name, part in named.items() if part]


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
