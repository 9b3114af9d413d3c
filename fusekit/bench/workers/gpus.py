"""All GPUs of this machine: a process for each, which sees no other."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.queues import SimpleQueue

import torch

from fusekit.errors import EngineUnavailableError

__all__ = ["all_gpus", "pinned", "visible"]

_VISIBLE = "CUDA_VISIBLE_DEVICES"


def all_gpus() -> ProcessPoolExecutor:
    """An executor with one worker process for each GPU that this process sees.

    Each worker has its own GPU as `cuda:0` and does not see the others. Sweep on it with
    `devices=["cuda"]`: points that measure the CPU, too, take turns. Given as it is, without
    parentheses, `executor=fusekit.bench.all_gpus` lets `sweep` make a new one where a worker dies.

    Raises:
        EngineUnavailableError: torch can use no GPU here.
    """
    return pinned(visible())


def visible() -> list[str]:
    """The GPUs that this process sees, as CUDA_VISIBLE_DEVICES names them."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        build = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "for CPUs only"
        raise EngineUnavailableError(f"no GPU that torch can use; this torch is built {build}")
    named = os.environ.get(_VISIBLE)
    return named.split(",")[:count] if named else [str(index) for index in range(count)]


def pinned(gpus: Sequence[str]) -> ProcessPoolExecutor:
    """A pool with a worker for each of these GPUs.

    Workers are spawned: CUDA does not work in a process that was forked off one that uses it.
    """
    context = multiprocessing.get_context("spawn")
    free: SimpleQueue[str] = context.SimpleQueue()
    for gpu in gpus:
        free.put(gpu)
    return ProcessPoolExecutor(
        len(gpus), mp_context=context, initializer=_take_one, initargs=(free,)
    )


def _take_one(free: SimpleQueue[str]) -> None:
    """CUDA reads the variable when it is first used, which is after this."""
    os.environ[_VISIBLE] = free.get()
