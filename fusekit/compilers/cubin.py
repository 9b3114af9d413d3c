"""What a kernel takes of a GPU, read from its machine code; no GPU and no tool is needed.

A cubin is an ELF file. Its section `.nv.info` is a list of attributes, such as how many registers
the function of some symbol takes.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator

__all__ = ["Resources", "resources"]

_HEADER = struct.Struct("<40xQ10xHHH")
_SECTION = struct.Struct("<II16xQQ24x")
_REGISTERS, _FRAME = 0x2F, 0x11
"""EIATTR_REGCOUNT, EIATTR_FRAME_SIZE: attributes of one symbol, whose value is a 32-bit word."""

_WITH_SIZE = 4
"""The form of an attribute that is followed by its size; all others take no more room."""

_INSTRUCTION_BYTES = 16
"""Of every GPU since Volta."""


@dataclasses.dataclass(frozen=True, slots=True)
class Resources:
    """What one kernel takes.

    Attributes:
        registers: of each thread.
        stack_bytes: of each thread, in memory; more than 0 where registers did not suffice.
        instructions: length of the code, padding included.
    """

    registers: int
    stack_bytes: int
    instructions: int


def resources(cubin: bytes) -> Resources:
    """What the kernel in a cubin of one kernel takes.

    Raises:
        ValueError: that is no cubin.
    """
    if cubin[:4] != b"\x7fELF":
        raise ValueError("no ELF file")
    try:
        sections = dict(_sections(cubin))
        found = list(_attributes(sections[".nv.info"]))
        registers = max(value for attribute, value in found if attribute == _REGISTERS)
        stack = max((value for attribute, value in found if attribute == _FRAME), default=0)
        code = sum(len(data) for name, data in sections.items() if name.startswith(".text."))
        return Resources(registers, stack, code // _INSTRUCTION_BYTES)
    except (struct.error, LookupError, ValueError) as error:
        raise ValueError("an ELF file, but no cubin with a kernel") from error


def _sections(cubin: bytes) -> Iterator[tuple[str, bytes]]:
    """(name, contents)."""
    table, entry, count, names = _HEADER.unpack_from(cubin)
    headers = [_SECTION.unpack_from(cubin, table + i * entry) for i in range(count)]
    _, _, strings, size = headers[names]
    labels = cubin[strings : strings + size]
    for name, _, offset, length in headers:
        yield labels[name : labels.index(b"\0", name)].decode(), cubin[offset : offset + length]


def _attributes(data: bytes) -> Iterator[tuple[int, int]]:
    """(attribute, value), of those that say something of a symbol."""
    at = 0
    while at < len(data):
        form, attribute, size = struct.unpack_from("<BBH", data, at)
        at += 4
        if form == _WITH_SIZE:
            if size == 8:  # a symbol and a word
                yield attribute, struct.unpack_from("<4xI", data, at)[0]
            at += size
