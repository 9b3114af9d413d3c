"""Reading PTX and SASS that were compiled with line information."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fusekit.compilers.listing import NOWHERE, Listing, instruction

__all__ = ["ptx_listing", "sass_listing"]

_LOC = re.compile(r"\s*\.loc\s+\d+\s+(\d+)\s+(\d+)(?:.*inlined_at\s+\d+\s+(\d+)\s+(\d+))?")
_DIRECTIVE = re.compile(
    r"\s*\.(?:version|target|address_size|file|loc|maxntid|minnctapersm|pragma|section)\b"
)
_DEBUG = re.compile(r"\s*\.section\s")
_SASS_LINE = re.compile(r"\s*//## File .*?, line (\d+)")
_SASS_CODE = re.compile(r"\s*(/\*[0-9a-f]{4,}\*/)\s+(.*?)\s*;?\s*$")
_SASS_LABEL = re.compile(r"(\.L_x_\d+|[A-Za-z]\w*):")
_PADDING = re.compile(r"\s+/\*[0-9a-f]+\*/ NOP$")


def ptx_listing(text: str) -> Listing:
    """PTX without its header and debug sections.

    A `.loc` names the line and column of the call that it was inlined at (PTX ISA, `.loc`), which
    was named itself before, if it is inlined, too.
    """
    return Listing.of("ptx", _ptx(text))


def _ptx(text: str) -> Iterator[tuple[str, int]]:
    origin = NOWHERE
    outermost: dict[tuple[str, str], int] = {}
    for line in text.splitlines():
        if located := _LOC.match(line):
            number, column, call, call_column = located.groups()
            origin = outermost.get((call, call_column), int(call)) if call else int(number)
            outermost[number, column] = origin
        elif _DEBUG.match(line):
            return  # all that follows is for a debugger
        elif not line.strip() or line.lstrip().startswith("//") or _DIRECTIVE.match(line):
            continue
        elif line[0] in "\t " and line.rstrip().endswith(";") and not line.strip().startswith("."):
            yield instruction(line.strip().replace(" \t", " ")), origin
        else:
            yield line.replace("\t", "  " if line[0] == "\t" else " ").rstrip(), NOWHERE


def sass_listing(text: str) -> Listing:
    """SASS as nvdisasm prints it with option -gi, without directives and padding.

    In front of an instruction stand the lines it stems from, the outermost call last.
    """
    lines = list(_sass(text))
    while lines and (_PADDING.match(lines[-1][0]) or lines[-1][0].endswith(":")):
        lines.pop()
    return Listing.of("sass", lines)


def _sass(text: str) -> Iterator[tuple[str, int]]:
    origin = NOWHERE
    for line in text.splitlines():
        if located := _SASS_LINE.match(line):
            origin = int(located[1])
        elif code := _SASS_CODE.match(line):
            yield f"  {code[1]} {' '.join(code[2].split())}", origin
        elif label := _SASS_LABEL.match(line):
            yield f"{label[1]}:", NOWHERE
