"""`python -m fusekit.bench.suite.compiling ENGINE COUNT`: seconds of new kernels, as JSON.

The kernels are of functions that differ in what they compute, after one that pays for what an
engine does once in a process. With an empty disk cache they are compiled, with a full one fetched:
whoever starts this sets the folder. A CUDA kernel without a GPU is generated and compiled, or
fetched, but not loaded.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from fusekit import events
from fusekit.api import fuse
from fusekit.bench.workloads import WORKLOADS
from fusekit.compilers import cache
from fusekit.compilers.nvrtc import Nvrtc
from fusekit.runtime.engines import ENGINES
from fusekit.runtime.kernels import generate
from fusekit.runtime.program import rebind

__all__ = ["FUNCTIONS", "compile_seconds"]

_FIRST = (torch.sigmoid, torch.tanh, torch.erf, torch.exp, torch.sin, torch.log1p, torch.sqrt)

_ELEMENTS = 1 << 12

Function = Callable[..., Any]
Args = tuple[Any, ...]


def _chain(first: Function) -> Function:
    return lambda x: torch.relu(first(x) * x + 0.5).tanh()


FUNCTIONS = len(_FIRST) + len(WORKLOADS)
"""How many there are."""


def _functions() -> Iterator[tuple[Function, Args]]:
    """The named ones in turns with short chains, so that a few of them are of both kinds."""
    x = torch.randn(64, 64)
    works = [(work.function, work.make_args(_ELEMENTS)) for work in WORKLOADS.values()]
    chains: list[tuple[Function, Args]] = [(_chain(first), (x,)) for first in _FIRST]
    while works or chains:
        for source in (works, chains):
            if source:
                yield source.pop(0)


def compile_seconds(engine: str, count: int) -> list[float]:
    """Seconds of each of `count` kernels on an engine, all fetched from the cache or none.

    Raises:
        FusekitError: the engine cannot compile here.
    """
    one = _loaded if ENGINES[engine].unavailable() is None else _unloaded
    one(engine, lambda x: x - 0.25, (torch.randn(64),))
    found: list[float] = []
    for function, args in _functions():
        if len(found) < count:
            found += one(engine, function, args)
    return found[:count]


def _loaded(engine: str, function: Function, args: Args) -> list[float]:
    device = "cuda" if ENGINES[engine].device == "cuda" else "cpu"
    here = [arg.to(device) if isinstance(arg, torch.Tensor) else arg for arg in args]
    with events.listening() as heard:
        fuse(function, engine=engine)(*here)
    return [event.seconds for event in heard if isinstance(event, events.Compiled)]


def _unloaded(engine: str, function: Function, args: Args) -> list[float]:
    """By NVRTC, for a GPU that is not there."""
    entry = fuse(function, engine="reference").entry(args, {})
    assert entry.plan is not None
    nvrtc, seconds = Nvrtc(), []
    for call in rebind(entry.plan.program, "cuda").kernels:
        start = time.perf_counter()
        source = generate(ENGINES[engine], call.spec, call.binding.args, nvrtc.target())
        key = nvrtc.key(source)
        if cache.get(key) is None:
            cache.put(key, nvrtc.image(source))
        seconds.append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    sys.stdout.write(f"\n{json.dumps(compile_seconds(sys.argv[1], int(sys.argv[2])))}\n")
