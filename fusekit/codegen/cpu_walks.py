"""Where a CPU kernel does not walk row by row: blocks of transposed inputs, and short rows.

An input whose neighbours stand along the second innermost dimension costs a cache line for each
element if it is read row by row. The llvm engine copies a block of it that fits a near cache, the
right way round, to the stack; from there, rows are read like any others.

Short rows that follow one another in memory are walked as one, where the rest of the inputs have
but one row, which all rows read.
"""

from __future__ import annotations

import math

from fusekit.specs import ArgSpec, Stride

__all__ = ["BLOCK", "LEAST_SIDE", "LONGEST_PERIOD", "MOST_PERIODIC", "TILE", "transposed"]

BLOCK = (128, 128)
"""Rows and columns of a block: 64 KB of float32. Every step of whole vectors divides a row."""

TILE = (32, 32)
"""The same where elements are read one at a time, so that lines have to stay in the cache for all
rows of a block: C++."""

LEAST_SIDE = 16
"""Rows and columns from which this pays: as many as are transposed at once, in registers."""

LONGEST_PERIOD = 256
"""Columns of rows that are short: a step of whole vectors would often end within one."""

MOST_PERIODIC = 8
"""Inputs whose one row is repeated on the stack."""

_STACK = 1 << 18
"""Bytes of a thread's stack that blocks may take."""


def transposed(args: ArgSpec) -> tuple[int, ...]:
    """The inputs, by position, whose blocks a kernel for these arguments copies."""
    found = []
    room = _STACK // math.prod(BLOCK)
    for position, desc in enumerate(args.inputs):
        if desc.strides[-2:] == (Stride.UNIT, Stride.STRIDED) and desc.dtype.itemsize <= room:
            found.append(position)
            room -= desc.dtype.itemsize
    return tuple(found)
