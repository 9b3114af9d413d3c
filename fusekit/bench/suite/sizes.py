"""A thousand batch sizes of one function: how many kernels, and what a new size costs."""

from __future__ import annotations

import itertools
import random
import time
import warnings
from collections.abc import Callable, Sequence

import torch

from fusekit.api import fuse, stats
from fusekit.bench.gpu.stopwatch import said
from fusekit.bench.measuring.contenders import why_no_inductor
from fusekit.bench.measuring.timing import no_collection
from fusekit.bench.suite.results import Race

__all__ = ["sizes_race"]

_WIDTH = 64
_SIZES = 1000
_QUICK_SIZES = 200


Function = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

_serial = itertools.count()


def _new_function() -> Function:
    """Four operations on a batch of rows, with a number in them that no earlier one has."""
    shift = 0.25 + next(_serial) / 1024

    def scale_shift(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(x * scale + shift) * x

    return scale_shift


def sizes_race(*, quick: bool) -> Race:
    """What the first call of each size costs beyond a second one, and what was compiled for all.

    The very first call, which traces and compiles, is no new size but a new function. The second
    size of all is one: whoever compiles anew for it has it among the samples. Batches have two rows
    at least: one row has no broadcast dimension, so it is another layout, with a kernel of its own.
    """
    batches = list(range(2, (_QUICK_SIZES if quick else _SIZES) + 2))
    random.Random(0).shuffle(batches)  # noqa: S311  an order, no secret
    function = _new_function()
    fused = fuse(function)
    # not by listening: whoever listens is told how each size differs from earlier ones
    before = stats().kernels
    ours = _costs(fused, batches)
    kernels = stats().kernels - before
    samples, notes = {"fused": ours}, {}
    why = "left out of a quick run" if quick else why_no_inductor("cpu") or ""
    if not why:
        try:
            samples["inductor"] = _inductor(function, batches)
        except Exception as error:  # noqa: BLE001  whatever fails in there, ours is measured
            why = f"failed: {said(error)}"
    if why:
        notes["inductor"] = why
    return Race(
        "sizes",
        "sizes",
        f"first call of a size less a second one, {len(batches)} sizes",
        samples,
        paired=False,
        counts={"kernels": float(kernels), "sizes": float(len(batches))},
        notes=notes,
    )


def _inductor(function: Function, batches: Sequence[int]) -> tuple[float, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it warns of is not the user's
        return _costs(torch.compile(function), batches)


def _costs(call: Callable[..., object], batches: Sequence[int]) -> tuple[float, ...]:
    """Seconds for each size but the first: never below zero, which only noise could be."""
    scale = torch.randn(_WIDTH, generator=torch.Generator().manual_seed(1))
    found = []
    with no_collection(), torch.no_grad():
        for batch in batches:
            x = torch.ones(batch, _WIDTH)
            first, second = _time(call, x, scale), _time(call, x, scale)
            found.append(max(first - second, 0.0))
    return tuple(found[1:])


def _time(call: Callable[..., object], *args: torch.Tensor) -> float:
    start = time.perf_counter()
    call(*args)
    return time.perf_counter() - start
