"""Line information for generated LLVM text: each instruction is located at its own line.

The text that comes out is only read, never run: kernels are compiled from the text without.
"""

from __future__ import annotations

import contextlib
import functools
import mmap
import re
from collections.abc import Iterator
from pathlib import Path

import llvmlite.binding as llvm

__all__ = ["lines_kept", "with_lines"]

_KEEPING = "pick-merged-source-locations"
"""LLVM's option. Without it, an instruction that moves to another block is at no line at all."""

_FUNCTION = re.compile(r'define [^@]*@(?:"[^"]*"|([\w.$-]+))\(')
_INSTRUCTION = re.compile(r"  [^\s;]")
_METADATA = re.compile(r"^!(\d+) = ", re.MULTILINE)


def with_lines(text: str) -> str:
    """`text` with a location for each instruction, and nothing else changed."""
    taken = max((int(number) for number in _METADATA.findall(text)), default=-1)
    unit, file, kind, version, number = (taken + offset for offset in range(1, 6))
    facts = [
        (
            f"!{unit} = distinct !DICompileUnit(language: DW_LANG_C, file: !{file}, "
            "emissionKind: LineTablesOnly)"
        ),
        f'!{file} = !DIFile(filename: "kernel.ll", directory: "")',
        f"!{kind} = !DISubroutineType(types: !{{}})",
        f'!{version} = !{{i32 2, !"Debug Info Version", i32 3}}',
    ]
    lines, scope = [], None
    for at, line in enumerate(text.splitlines(), start=1):
        shown = line
        if function := _FUNCTION.match(line):
            scope = number
            number += 1
            shown = f"{line.removesuffix('{')}!dbg !{scope} {{"
            facts.append(
                f'!{scope} = distinct !DISubprogram(name: "{function[1]}", file: !{file}, '
                f"line: {at}, type: !{kind}, unit: !{unit}, spFlags: DISPFlagDefinition)"
            )
        elif line == "}":
            scope = None
        elif scope is not None and _INSTRUCTION.match(line):
            shown = f"{line}, !dbg !{number}"
            facts.append(f"!{number} = !DILocation(line: {at}, scope: !{scope})")
            number += 1
        lines.append(shown)
    named = [f"!llvm.dbg.cu = !{{!{unit}}}", f"!llvm.module.flags = !{{!{version}}}"]
    return "\n".join([*lines, *named, *facts]) + "\n"


@contextlib.contextmanager
def lines_kept() -> Iterator[None]:
    """Have LLVM keep the lines of instructions that it moves, until the end of the `with`.

    The option is the process's; it changes line information and nothing else.
    """
    if not _has_option():
        yield
        return
    llvm.set_option("fusekit", f"-{_KEEPING}")
    try:
        yield
    finally:
        llvm.set_option("fusekit", f"-{_KEEPING}=false")


@functools.cache
def _has_option() -> bool:
    """Looked for in LLVM's file: an option that it does not know would end the process."""
    for path in Path(llvm.__file__).parent.glob("*llvmlite.*"):
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            if text.find(_KEEPING.encode()) >= 0:
                return True
    return False
