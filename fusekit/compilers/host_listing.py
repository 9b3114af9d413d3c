"""Reading a host compiler's assembly: GNU syntax, as LLVM, clang and g++ write it.

LLVM and clang remark at each `.loc` which calls were inlined. g++ says it in the debug information
alone, which its option -dA makes readable: entries DW_TAG_inlined_subroutine name the line of the
call and the labels around its instructions (DWARF 5, sections 2.17.3 and 3.3.8).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from fusekit.compilers.listing import NOWHERE, Listing, instruction

__all__ = ["host_listing"]

_LOC = re.compile(r"\s+\.loc\s+\d+\s+(\d+)")
_OUTERMOST = re.compile(r"@\[ [^\]:]+:(\d+)[^@]*$")
_LABEL = re.compile(r"([\w.$@]+):")
_INSTRUCTION = re.compile(r"\s+[A-Za-z]")
_DATA = re.compile(r"\s+\.(?:long|quad|short|value|byte|zero|ascii|string|octa|xword|word|set)\b")
_SECTION = re.compile(r"\s+\.(?:section\s+(\S+)|text\b|data\b)")
_ARM = re.compile(r"\s// ")
"""Comments of AArch64, where # stands before a number."""

_REFERENCE = re.compile(r"\.L\w+")
_BLOCK = re.compile(r"\.L(B[BE])(\d+):")
_IN_BLOCK = re.compile(r"\.LBB(\d+)")
_ENTRY = re.compile(r"# \(DIE \(0x[0-9a-f]+\) (\w+)\)")
_NUMBER = re.compile(r"\s+\.\w+\s+(0x[0-9a-f]+|\d+)")


def host_listing(text: str) -> Listing:
    """What is left of a compiler's assembly text when directives go.

    Constants stand at the end, those alone that an instruction names.
    """
    lines = text.splitlines()
    comment = "//" if _ARM.search(text) else "#"
    calls = _calls(lines)
    code: list[tuple[str, int]] = []
    data: dict[str, list[str]] = {}
    origin, is_code, label = NOWHERE, True, ""
    around: set[str] = set()
    for line in lines:
        if section := _SECTION.match(line):
            is_code = section[1] is None or section[1].startswith(".text")
            label = ""
        elif located := _LOC.match(line):
            outer = _OUTERMOST.search(line)
            origin = int(outer[1] if outer else located[1])
        elif block := _BLOCK.match(line):
            (around.add if block[1] == "BB" else around.discard)(block[2])
        elif found := _LABEL.match(line):
            label = found[1]
            if is_code:
                code.append((f"{label}:", NOWHERE))
        elif _DATA.match(line):
            alias = re.match(r"\s+\.set\s+(\S+),", line)
            data.setdefault(alias[1] if alias else label, []).append(_plain(line, comment))
        elif is_code and _INSTRUCTION.match(line):
            outer_calls = [calls[number] for number in around if number in calls]
            code.append((instruction(line, comment), max([origin, *outer_calls])))
    return Listing.of("asm", _needed(code, data))


def _plain(line: str, comment: str) -> str:
    data, sign, remark = line.partition(comment)
    return " ".join(f"{data} {sign} {remark}".split())


def _calls(lines: list[str]) -> dict[str, int]:
    """Number of a block of g++'s labels -> the line of the outermost call that it was inlined for.

    Helpers stand above what calls them, so that the outermost call has the highest line.
    """
    ranges = _ranges(lines)
    found: dict[str, int] = {}
    is_inlined, called, blocks = False, NOWHERE, set[str]()
    for line in [*lines, "# (DIE (0x0) end)"]:
        if entry := _ENTRY.search(line):
            for block in blocks if is_inlined else ():
                found[block] = max(called, found.get(block, NOWHERE))
            is_inlined = entry[1] == "DW_TAG_inlined_subroutine"
            called, blocks = NOWHERE, set()
        elif is_inlined and "DW_AT_call_line" in line and (number := _NUMBER.match(line)):
            called = int(number[1], 0)
        elif is_inlined and ("DW_AT_ranges" in line or "DW_AT_low_pc" in line):
            for label in _REFERENCE.findall(line):
                blocks |= ranges.get(label, set(_IN_BLOCK.findall(label)))
    return found


def _ranges(lines: list[str]) -> dict[str, set[str]]:
    """Label of a list of ranges -> the numbers of the blocks in it."""
    found: dict[str, set[str]] = {}
    current: set[str] | None = None
    for line in lines:
        if label := _LABEL.match(line):
            current = found.setdefault(label[1], set()) if "LLRL" in label[1] else None
        elif current is not None:
            current.update(_IN_BLOCK.findall(line))
    return found


def _needed(code: list[tuple[str, int]], data: dict[str, list[str]]) -> Iterator[tuple[str, int]]:
    """Code without the labels that nothing names, then the constants that something names."""
    named = {
        label for line, _ in code if line.startswith(" ") for label in _REFERENCE.findall(line)
    }
    wanted = [*named]
    while wanted:  # a constant may be another name for a part of a second one
        others = {x for line in data.get(wanted.pop(), ()) for x in _REFERENCE.findall(line)}
        wanted += others - named
        named |= others
    for line, origin in code:
        if line.startswith(" ") or not line.startswith(".L") or line[:-1] in named:
            yield line, origin
    for label, values in data.items():
        if label in named:
            yield f"{label}: {'; '.join(_counted(values))}", NOWHERE


def _counted(lines: Iterable[str]) -> Iterator[str]:
    """Equal neighbours become one line that says how many."""
    last, times = "", 0
    for line in [*lines, ""]:
        if line == last:
            times += 1
            continue
        if last:
            yield f"{last} ({times} times)" if times > 1 else last
        last, times = line, 1
