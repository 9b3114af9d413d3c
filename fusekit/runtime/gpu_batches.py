"""Many calls of one GPU kernel as one launch: the table of them is the kernel's parameter.

The driver copies parameters when it is called, so nothing is allocated on the device, nothing has
to live until the kernel has run, and a CUDA graph holds what it held when it was captured.
"""

from __future__ import annotations

import ctypes
import dataclasses
import itertools
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from fusekit.codegen import KernelSource
from fusekit.codegen.dialects.cuda_batches import SLOT, CallTable
from fusekit.codegen.geometry import Geometry
from fusekit.compilers.base import Artifact
from fusekit.errors import LaunchError
from fusekit.ir import DType
from fusekit.runtime.binding import Binding

__all__ = ["gpu_batch"]

_CODES = {DType.F64: "d", DType.I64: "q", DType.BOOL: "?7x"}
"""How a scalar is packed into a slot; an address is a "Q"."""

_NEVER = 2**32 - 1
"""The first block of a call that is not there: no block comes to it."""

_MOST_BLOCKS = 2**31 - 1
"""The widest grid there is."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Launch:
    """One launch: how many blocks, and the parts of its table."""

    blocks: int
    head: bytes
    pack: Callable[..., bytes]
    tail: bytes
    slots: slice


def gpu_batch(
    artifact: Artifact, bindings: Sequence[Binding], device: int, *, stores: bool
) -> Callable[..., str]:
    """What launches all calls, given the scalars and addresses of one after the other.

    It returns what went wrong, or nothing; with `stores`, which says that calls store into
    arguments, LaunchError for a launch that fails after another.
    """
    from cuda.bindings import driver  # noqa: PLC0415  only GPUs need it

    function = driver.CUfunction(artifact.address)
    threads = artifact.source.geometry.schedule.block  # type: ignore[union-attr]
    launches = list(_launches(artifact.source, bindings))
    stream_of = torch._C._cuda_getCurrentRawStream  # noqa: SLF001

    def run(*slots: Any) -> str:
        stream = driver.CUstream(stream_of(device))
        for number, each in enumerate(launches):
            table = ctypes.c_char_p(each.head + each.pack(*slots[each.slots]) + each.tail)
            given = (ctypes.c_void_p * 1)(ctypes.cast(table, ctypes.c_void_p).value)
            where = ctypes.addressof(given)
            (code,) = driver.cuLaunchKernel(
                function, each.blocks, 1, 1, threads, 1, 1, 0, stream, where, 0
            )
            if code:
                if number and stores:
                    raise LaunchError(f"after {number} of {len(launches)} launches: {code.name}")
                return str(code.name)
        return ""

    vars(run)["keepalive"] = artifact  # it lives as long as the function does
    return run


def _launches(source: KernelSource, bindings: Sequence[Binding]) -> Iterator[_Launch]:
    geometry = source.geometry
    assert geometry is not None
    table = CallTable(source.parameters, geometry.args.calls, "")
    codes = "".join(_CODES[p.dtype] if p.kind == "scalar" else "Q" for p in table.slots)
    row = SLOT * len(table.slots)
    begin = 0
    for part in _parts(geometry, bindings):
        blocks = [geometry.blocks(binding.layout) for binding in part]
        end = begin + len(part)
        yield _Launch(
            blocks=sum(blocks),
            head=_head(geometry, table, part, blocks),
            pack=struct.Struct("=" + codes * len(part)).pack,
            tail=bytes(row * (table.calls - len(part))),
            slots=slice(begin * len(table.slots), end * len(table.slots)),
        )
        begin = end


def _parts(geometry: Geometry, bindings: Sequence[Binding]) -> Iterator[Sequence[Binding]]:
    """The calls of each launch: as many as there is room for, in the table and in the grid."""
    part: list[Binding] = []
    blocks = 0
    for binding in bindings:
        more = geometry.blocks(binding.layout)
        if len(part) == geometry.args.calls or blocks + more > _MOST_BLOCKS:
            yield part
            part, blocks = [], 0
        part.append(binding)
        blocks += more
    yield part


def _head(
    geometry: Geometry, table: CallTable, part: Sequence[Binding], blocks: Sequence[int]
) -> bytes:
    """The table up to its rows: nothing in it changes from call to call."""
    absent = table.calls - len(part)
    firsts = [*itertools.accumulate(blocks, initial=0)][:-1] + [_NEVER] * absent
    words = [word for binding in part for word in geometry.values(binding.layout)]
    words += [0] * (absent * len(table.words))
    kind = "q" if geometry.args.index_bits > 32 else "I"
    return struct.pack(f"={len(firsts)}I{len(words)}{kind}", *firsts, *words)
