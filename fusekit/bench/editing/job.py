"""What the process that tries an edited kernel is told, and the memory that both look at."""

from __future__ import annotations

import dataclasses
from typing import Any

from fusekit.codegen import KernelSource
from fusekit.config import Options
from fusekit.runtime.binding import Binding
from fusekit.runtime.kernel_memory import KernelMemory

__all__ = ["GUARD_BYTE", "Job", "spans_of", "total_bytes"]

_ZONE = 4096
"""Bytes before, between and behind the regions: what is written there is written out of bounds."""

GUARD_BYTE = 0xA5
"""What they hold."""


@dataclasses.dataclass(frozen=True)
class Job:
    """One edited kernel to try.

    Attributes:
        engine: name of the one that compiles and launches it.
        generated: what it is measured against.
        edited: the same with another text.
        binding: layout of the call.
        scalars: its numbers.
        memory: its tensors.
        options: those in force.
        threads: of torch, in the process that asks.
        device: index of the device.
    """

    engine: str
    generated: KernelSource
    edited: KernelSource
    binding: Binding
    scalars: tuple[Any, ...]
    memory: KernelMemory
    options: Options
    threads: int
    device: int


def spans_of(memory: KernelMemory) -> list[tuple[int, int]]:
    """(first byte, byte behind the last) of each region in the memory file; zones lie between."""
    spans, at = [], _ZONE
    for region in memory.regions:
        spans.append((at, at + region.nbytes))
        at += -(-region.nbytes // _ZONE) * _ZONE + _ZONE
    return spans


def total_bytes(memory: KernelMemory) -> int:
    """The size of the file."""
    spans = spans_of(memory)
    return -(-spans[-1][1] // _ZONE) * _ZONE + _ZONE if spans else _ZONE
