"""What a worker is: its host, process, processor and GPU."""

from __future__ import annotations

import dataclasses
import functools
import multiprocessing
import os
import platform
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

__all__ = ["Span", "Worker", "processor", "settle", "side_by_side", "this_worker"]

_IMPORTED_BY = os.getpid()
"""Another process than this one has been forked off after torch was imported."""

Span = tuple[str, float, float]
"""A host, and the seconds since the epoch between which it measured something."""


@dataclasses.dataclass(frozen=True, slots=True)
class Worker:
    """A process that measures.

    Attributes:
        host: the machine's name.
        pid: the process.
        cpu: the processor's model.
        cores: how many of them the process may use.
        threads: with how many of them torch and the kernels compute.
        gpu: the name of the GPU that torch uses; "" without one.
        gpu_id: that GPU's UUID, which tells apart those of one host; "" without one.
    """

    host: str
    pid: int
    cpu: str
    cores: int
    threads: int
    gpu: str = ""
    gpu_id: str = ""

    def __str__(self) -> str:
        """`HOST, process 4711: PROCESSOR, 2 of 8 cores, GPU`."""
        used = f"{self.threads} threads" if self.threads != 1 else "1 thread"
        gpu = f", {self.gpu}" if self.gpu else ""
        return f"{self.host}, process {self.pid}: {self.cpu}, {used} on {self.cores} cores{gpu}"

    def to_dict(self) -> dict[str, Any]:
        """All of it as values that JSON has."""
        return dataclasses.asdict(self)


def settle() -> None:
    """Have a forked worker compute with one thread.

    Threads do not survive a fork, but OpenMP's list of them does: the first parallel loop of a
    process whose parent has run one waits for them forever.
    """
    if multiprocessing.parent_process() is not None and os.getpid() != _IMPORTED_BY:
        torch.set_num_threads(1)


def this_worker() -> Worker:
    """The facts about this process."""
    gpu, gpu_id = _gpu()
    return Worker(
        host=socket.gethostname(),
        pid=os.getpid(),
        cpu=processor(),
        cores=len(os.sched_getaffinity(0)),
        threads=torch.get_num_threads(),
        gpu=gpu,
        gpu_id=gpu_id,
    )


def _gpu() -> tuple[str, str]:
    """The current GPU's name and UUID, if it can be used here."""
    if not torch.cuda.is_available():
        return "", ""
    try:
        found = torch.cuda.get_device_properties(torch.cuda.current_device())
    except RuntimeError:  # this process was forked off one that uses CUDA
        return "", ""
    return found.name, str(found.uuid)


@functools.cache
def processor() -> str:
    """The processor's model, as the operating system names it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()


def side_by_side(spans: Sequence[Span]) -> int:
    """The most of these spans that one host had at the same time; 0 if there are none."""
    most = 0
    for host in {host for host, _, _ in spans}:
        edges = [(begun, 1) for at, begun, _ in spans if at == host]
        edges += [(ended, -1) for at, _, ended in spans if at == host]
        running = 0
        for _, change in sorted(edges):  # at the same moment, ends come before beginnings
            running += change
            most = max(most, running)
    return most
