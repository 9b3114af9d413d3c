"""Whether a shared library is all there.

The dynamic loader maps segments wherever their table says they are; of a file that was cut short,
touching what is missing ends the process (SIGBUS).
"""

from __future__ import annotations

import struct

__all__ = ["is_whole"]

_HEADER = struct.Struct("32xQ14xHH")
"""Of a 64-bit file: where the table of segments is, the size of its rows, their number."""

_SEGMENT = struct.Struct("8xQ16xQ")
"""A row: where the segment begins in the file, and how much of it is there."""

_NATIVE = b"\x7fELF\x02"


def is_whole(image: bytes) -> bool:
    """True unless a segment of this ELF file lies beyond its end; not ELF at all is not whole."""
    if not image.startswith(_NATIVE):
        return image.startswith(_NATIVE[:4])  # 32 bits: for the loader to take or refuse
    try:
        table, size, count = _HEADER.unpack_from(image)
        rows = [_SEGMENT.unpack_from(image, table + size * i) for i in range(count)]
    except struct.error:
        return False
    return all(start + length <= len(image) for start, length in rows)
