"""Line information for generated LLVM text: each instruction is located at its own line.

The text that comes out is only read, never run: kernels are compiled from the text without.
"""

from __future__ import annotations

import re

__all__ = ["with_lines"]

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
