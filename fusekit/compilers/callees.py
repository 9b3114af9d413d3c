"""Which functions of a generated text a value calls: those that are not inlined compute it, too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from fusekit.codegen.source import Spans

__all__ = ["with_callees"]

_HEAD = re.compile(r"(?:define [^@]*@|[^\s#/].*?\b(?=\w+\())([\w.$-]+)\(.*\{$")
"""A function of LLVM, or one of C on a single line: a kernel's entry point takes several."""

_NAME = re.compile(r"[\w$-][\w.$-]*")


def with_callees(text: str, lines: Iterable[tuple[int, Spans]]) -> Iterator[tuple[int, Spans]]:
    """`lines` of a text, each value with the functions that its lines call, directly or not."""
    rows = text.splitlines()
    functions = dict(_functions(rows))
    called = {
        name: {word for row in rows[first:last] for word in _NAME.findall(row)} & functions.keys()
        for name, (first, last) in functions.items()
    }
    for value, spans in lines:
        own = {
            word
            for first, last in spans
            for row in rows[first - 1 : last]
            for word in _NAME.findall(row)
        }
        found = own & functions.keys()
        waiting = [*found]
        while waiting:
            more = called[waiting.pop()] - found
            found |= more
            waiting += more
        yield value, (*sorted(functions[name] for name in found), *spans)


def _functions(rows: list[str]) -> Iterator[tuple[str, tuple[int, int]]]:
    """Name, and first and last line."""
    name, first = "", 0
    for number, row in enumerate(rows, start=1):
        if head := _HEAD.match(row):
            name, first = head[1], number
        elif row.startswith("}") and name:
            yield name, (first, number)
            name = ""
