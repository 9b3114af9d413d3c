"""What differs between two generated texts, line by line and word by word.

Texts that were made for other engines or machines differ in the names of their values, too; a
person reads over that, so nothing is renamed here.
"""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any, Literal

from fusekit.errors import UsageError
from fusekit.viz.code.section import label
from fusekit.viz.code.source import line_html, tokens, values_by_line
from fusekit.viz.model.schema import Model, Source
from fusekit.viz.words import plural, visible

__all__ = ["DiffLine", "SourceDiff", "Variant", "diff", "find"]

_CONTEXT = 3
"""Equal lines shown around a change; the rest is folded."""

_ALIKE = 0.5
"""Two lines of which at least this part agrees are one line, changed; their words are marked."""

_WORD = re.compile(r"\w+|\s+|.")

_SIGNS = {"equal": " ", "removed": "-", "added": "+"}
_CLASSES = {"equal": "fk-same", "removed": "fk-old", "added": "fk-new"}


@dataclasses.dataclass(frozen=True, slots=True)
class Variant:
    """What a kernel's text may be made for, other than it is.

    Attributes:
        engine: whose; "" for the text's own.
        target: the compiler's name of a machine, such as "x86-64-v3" or "sm_80"; "" for this one.
        fast: see `fusekit.options`; None for as it is.
    """

    engine: str = ""
    target: str = ""
    fast: bool | None = None

    def __str__(self) -> str:
        fast = {None: "", True: "fast", False: "not fast"}[self.fast]
        return ", ".join(filter(None, (self.engine, self.target, fast)))


@dataclasses.dataclass(frozen=True, slots=True)
class DiffLine:
    """A line of one of two texts, or of both.

    Attributes:
        kind: where it is: in both, in the first alone, in the second alone.
        old: its number in the first text, from 1; 0 if it is not there.
        new: the same for the second.
        text: what it says, without the line's end.
        marks: (start, end) of the characters that changed, in a line that has a partner.
    """

    kind: Literal["equal", "removed", "added"]
    old: int
    new: int
    text: str
    marks: tuple[tuple[int, int], ...] = ()


@dataclasses.dataclass(frozen=True)
class SourceDiff:
    """The difference of two texts; prints itself as a unified diff, and in colour in a notebook.

    Attributes:
        a: what the first text is called.
        b: what the second is called.
        lines: all lines of both.
        first: the first text.
        second: the second.
    """

    a: str
    b: str
    lines: tuple[DiffLine, ...]
    first: Source = dataclasses.field(repr=False)
    second: Source = dataclasses.field(repr=False)

    @property
    def removed(self) -> int:
        """Lines of the first text alone."""
        return sum(line.kind == "removed" for line in self.lines)

    @property
    def added(self) -> int:
        """Lines of the second text alone."""
        return sum(line.kind == "added" for line in self.lines)

    @property
    def headline(self) -> str:
        """How much differs, in a sentence."""
        equal = len(self.lines) - self.removed - self.added
        if equal == len(self.lines):
            return f"the same text, {plural(equal, 'line')}"
        return (
            f"{plural(self.removed, 'line')} only in {self.a}, "
            f"{plural(self.added, 'line')} only in {self.b}, {plural(equal, 'line')} in both"
        )

    @property
    def text(self) -> str:
        """A unified diff, "" if the texts are the same."""
        rows = (_rows(self.first), _rows(self.second))
        found = difflib.unified_diff(*rows, self.a, self.b, n=_CONTEXT, lineterm="")
        return "".join(f"{line}\n" for line in found)

    @property
    def html(self) -> str:
        """The same as `<pre>`: equal runs folded, changed words marked, lines linked to values."""
        return _html(self)

    def __repr__(self) -> str:
        return f"SourceDiff({self.headline})"

    def __str__(self) -> str:
        return self.text or f"{self.headline}\n"

    def _repr_html_(self) -> str:
        from fusekit.viz.page import stylesheet  # noqa: PLC0415  the page holds diffs, too

        said = escape(visible(self.headline))
        return (
            f'<div class="fk-view"><style>{stylesheet()}</style><div class="fk-body">'
            f'<p class="fk-note">{said}</p>{self.html}</div></div>'
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything but the two sources as plain data, for JSON."""
        return {
            "a": self.a,
            "b": self.b,
            "removed": self.removed,
            "added": self.added,
            "lines": [
                dataclasses.asdict(line) | {"marks": [list(mark) for mark in line.marks]}
                for line in self.lines
            ],
        }


def find(model: Model, name: str | tuple[str, str]) -> Source:
    """The source of that name: "group 1 llvm", as tabs are called, or (group, language).

    Raises:
        UsageError: there is none; the message lists what there is.
    """
    wanted = _plain(name if isinstance(name, str) else " ".join(name))
    groups = {group["id"]: group for group in model["groups"]}
    for source in model["sources"]:
        group = groups.get(source["group"] or "")
        names = [label(model, source), f"{source['language']} of {source['engine']}"]
        if group is not None:
            names += [f"{group['id']} {name}" for name in (source["language"], names[1])]
            names += [f"{group['name']} {names[1]}"]
        if len(groups) < 2:
            names.append(source["language"])
        if wanted in [_plain(each) for each in names]:
            return source
    held = ", ".join(repr(label(model, source)) for source in model["sources"])
    raise UsageError(f"no source {wanted!r} in this view; it holds {held or 'none'}")


def _plain(name: str) -> str:
    return " ".join(name.replace("·", " ").lower().split())


def diff(a: str, first: Source, b: str, second: Source) -> SourceDiff:
    """The difference of two sources, called `a` and `b`."""
    return SourceDiff(a, b, tuple(_lines(_rows(first), _rows(second))), first, second)


def _lines(old: Sequence[str], new: Sequence[str]) -> Iterator[DiffLine]:
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for kind, i, i_end, j, j_end in matcher.get_opcodes():
        if kind == "equal":
            for offset in range(i_end - i):
                yield DiffLine("equal", i + offset + 1, j + offset + 1, old[i + offset])
            continue
        marks = [_marks(x, y) for x, y in zip(old[i:i_end], new[j:j_end], strict=False)]
        for at in range(i, i_end):
            marked = marks[at - i][0] if at - i < len(marks) else ()
            yield DiffLine("removed", at + 1, 0, old[at], marked)
        for at in range(j, j_end):
            marked = marks[at - j][1] if at - j < len(marks) else ()
            yield DiffLine("added", 0, at + 1, new[at], marked)


_Marks = tuple[tuple[int, int], ...]


def _marks(old: str, new: str) -> tuple[_Marks, _Marks]:
    """What changed in each of two lines that stand for each other; nothing if they do not."""
    words: list[list[str]] = [_WORD.findall(line) for line in (old, new)]
    matcher = difflib.SequenceMatcher(None, words[0], words[1], autojunk=False)
    if matcher.ratio() < _ALIKE:
        return (), ()
    codes = [code for code in matcher.get_opcodes() if code[0] != "equal"]
    return (
        tuple(_characters(words[0], code[1], code[2]) for code in codes if code[1] < code[2]),
        tuple(_characters(words[1], code[3], code[4]) for code in codes if code[3] < code[4]),
    )


def _characters(words: Sequence[str], first: int, end: int) -> tuple[int, int]:
    start = sum(map(len, words[:first]))
    return start, start + sum(map(len, words[first:end]))


# as HTML


def _html(found: SourceDiff) -> str:
    painter = _Painter(found)
    runs = [
        (is_equal, [painter.line(line) for line in run])
        for is_equal, run in itertools.groupby(found.lines, lambda line: line.kind == "equal")
    ]
    parts: list[str] = []
    for index, (is_equal, lines) in enumerate(runs):
        before = _CONTEXT if index else 0
        after = _CONTEXT if index + 1 < len(runs) else 0
        parts += _folded(lines, before, after) if is_equal else lines
    return f'<pre class="fk-code fk-diff">{"".join(parts)}</pre>'


def _folded(lines: Sequence[str], before: int, after: int) -> list[str]:
    """Equal lines: those next to a change, and the others behind a line that unfolds them."""
    end = len(lines) - after
    if end - before < 2:
        return [*lines]
    fold = (
        f'<details class="fk-fold"><summary>{plural(end - before, "equal line")}</summary>'
        f"{''.join(lines[before:end])}</details>"
    )
    return [*lines[:before], fold, *lines[end:]]


class _Painter:
    """Lines of two texts, coloured and linked."""

    def __init__(self, found: SourceDiff) -> None:
        self._old, self._new = (
            (tokens("\n".join(_rows(source)), source["language"]), values_by_line(source))
            for source in (found.first, found.second)
        )
        self._width = len(str(max((max(line.old, line.new) for line in found.lines), default=1)))

    def line(self, line: DiffLine) -> str:
        (coloured, of_old), (coloured_new, of_new) = self._old, self._new
        values = dict.fromkeys([*of_old.get(line.old, ()), *of_new.get(line.new, ())])
        link = f' data-v="{escape(" ".join(values))}"' if values else ""
        numbers = " ".join(f"{number or '':>{self._width}}" for number in (line.old, line.new))
        parts = coloured[line.old - 1] if line.old else coloured_new[line.new - 1]
        body = _marked(line) if line.marks else line_html(parts)
        return (
            f'<span class="fk-l {_CLASSES[line.kind]}"{link}>'
            f'<span class="fk-no">{numbers} {_SIGNS[line.kind]} </span>{body}\n</span>'
        )


def _marked(line: DiffLine) -> str:
    parts, at = [], 0
    for start, end in line.marks:
        parts += [_plainly(line.text[at:start]), f"<mark>{_plainly(line.text[start:end])}</mark>"]
        at = end
    return "".join(parts) + _plainly(line.text[at:])


def _plainly(text: str) -> str:
    return line_html([("", text)])


def _rows(source: Source) -> list[str]:
    return source["text"].replace("\r\n", "\n").rstrip("\n").split("\n")
