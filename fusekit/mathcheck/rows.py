"""A row of the table: one function in one dtype, computed slice by slice."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from fusekit.mathcheck.contenders import Contender, Field, field
from fusekit.mathcheck.exact import Oracle
from fusekit.mathcheck.formats import FORMATS, Exact, Floats, errors, rounded
from fusekit.mathcheck.functions import Function
from fusekit.mathcheck.inputs import BitPatterns, all_halves, bit_patterns, stratified
from fusekit.mathcheck.screening import Screen
from fusekit.mathcheck.tally import Tally

__all__ = ["Job", "Row", "measure"]

_ALL = 1 << 32
_SLICES = 64
_CHUNK = {"cpu": 1 << 17, "cuda": 1 << 24}
_PART = 1 << 16
_AUDIT = 256


@dataclasses.dataclass(frozen=True)
class Job:
    """What to measure.

    Attributes:
        function: its row of the table.
        dtype: a name of `FORMATS`.
        engines: those to try.
        stride: of float32 functions of one argument, every so many bit patterns.
        samples: random arguments for float64 and functions of two arguments.
    """

    function: Function
    dtype: str
    engines: tuple[str, ...]
    stride: int = 1
    samples: int = 10_000_000

    @property
    def screened(self) -> bool:
        """All float32 arguments: too many for exact values of each."""
        return self.dtype == "float32" and self.function.arity == 1

    @property
    def total(self) -> int:
        """How many inputs that is."""
        if self.screened:
            return -(-_ALL // self.stride)
        if self.dtype in ("float32", "float64"):
            return self.samples
        return min(self.samples, _PART) if self.function.arity == 2 else _PART


@dataclasses.dataclass
class Row:
    """What has been found so far.

    Attributes:
        function: its name.
        dtype: its dtype.
        key: changes with all that the result depends on.
        total: inputs to try.
        inputs: tried already.
        slices: finished already.
        seconds: spent.
        tallies: contender -> what it was found to do.
        left: engine -> why it was not measured.
    """

    function: str
    dtype: str
    key: str
    total: int
    inputs: int = 0
    slices: int = 0
    seconds: float = 0.0
    tallies: dict[str, Tally] = dataclasses.field(default_factory=dict)
    left: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def done(self) -> bool:
        """All inputs have been tried, or there is nobody to try them."""
        return self.inputs >= self.total or not self.tallies

    @classmethod
    def read(cls, saved: dict[str, Any]) -> Row:
        """From what `dataclasses.asdict` gave."""
        tallies = {name: Tally.read(tally) for name, tally in saved["tallies"].items()}
        return cls(**{**saved, "tallies": tallies})


def measure(job: Job, oracle: Oracle, saved: Callable[[str], Row | None]) -> Iterator[Row]:
    """Measure slice by slice, from where a saved row of the same key ends.

    Args:
        job: what to measure.
        oracle: computes exact values.
        saved: key -> the row, if there is one.

    Yields:
        The row, always the same object, before the first slice and after each.
    """
    found = field(job.function, getattr(torch, job.dtype), job.engines)
    key = _key(job, found)
    row = saved(key) or Row(job.function.name, job.dtype, key, job.total)
    row.left = found.left
    for contender in found.contenders:
        row.tallies.setdefault(contender.name, Tally())
    yield row
    step = _screen_slice if job.screened else _judge_slice
    while not row.done:
        began = time.monotonic()
        row.inputs += step(job, found, oracle, row)
        row.slices += 1
        row.seconds += time.monotonic() - began
        yield row


def _key(job: Job, found: Field) -> str:
    """What a result depends on: the kernels' text, torch, and which inputs."""
    kernels = [f"{one.name}:{one.digest}" for one in found.contenders]
    amount = f"every {job.stride}" if job.screened else f"{job.samples} samples"
    text = repr((job.function, torch.__version__, amount, kernels, sorted(found.left)))
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{job.function.name} {job.dtype} {digest}"


def _screen_slice(job: Job, found: Field, _oracle: Oracle, row: Row) -> int:
    """A share of all float32 numbers; the result is how many."""
    size = -(-row.total // _SLICES)
    start, stop = row.inputs, min(row.inputs + size, row.total)
    for device, contenders in _by_device(found.contenders):
        screen = Screen(job.function.name, contenders)
        places = np.random.default_rng(row.slices).integers(start, stop, min(_AUDIT, size))
        audited = torch.from_numpy(bit_patterns(places, job.stride)).float()
        screen.audit([audited.to(device)], row.tallies)
        length = min(_CHUNK[device], size)
        known = {one.name: row.tallies[one.name].ulp for one in contenders}
        work = functools.partial(
            _screen_chunk, screen, BitPatterns(length, job.stride, device), known, stop
        )
        for found_here in _in_threads(work, range(start, stop, length), device):
            for name, tally in found_here.items():
                row.tallies[name].merge(tally)
    return stop - start


def _screen_chunk(
    screen: Screen, numbers: BitPatterns, known: dict[str, float], stop: int, first: int
) -> dict[str, Tally]:
    """What one chunk brings beyond what is known: the same whichever chunks come before."""
    tallies = {name: Tally(ulp) for name, ulp in known.items()}
    screen.chunk([numbers.chunk(first, min(numbers.size, stop - first))], tallies)
    return tallies


def _in_threads(
    work: Callable[[int], dict[str, Tally]], items: Iterable[int], device: str
) -> Iterator[dict[str, Tally]]:
    """Results in order; each chunk in one thread, so that no team waits for its slowest."""
    if device == "cuda":
        yield from map(work, items)
        return
    cores = len(os.sched_getaffinity(0))
    pool = ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield from pool.map(work, items)
    finally:
        pool.shutdown(cancel_futures=True)


def _judge_slice(job: Job, found: Field, oracle: Oracle, row: Row) -> int:
    """A part of the inputs, each judged by its exact value; the result is how many."""
    dtype = getattr(torch, job.dtype)
    columns = _arguments(job, dtype, row)
    wide = [column.double().numpy() for column in columns]
    exact = oracle(job.function.name, wide)
    for device, contenders in _by_device(found.contenders):
        there = [column.to(device) for column in columns]
        convention = _numpy(contenders[0].call(*(column.double() for column in there)))
        for contender in contenders:
            tally = row.tallies[contender.name]
            result = contender.call(*there)
            got = _numpy(result)
            _judge(job.dtype, tally, wide, got, exact.following(convention, got))
            if dtype.itemsize == 2 and contender.engine:
                narrowed = contender.call(*(column.float() for column in there)).to(dtype)
                same = (narrowed == result) | (narrowed.isnan() & result.isnan())
                tally.rounded_twice += int((~same).sum().item())
    return len(columns[0])


def _judge(dtype: str, tally: Tally, columns: list[Floats], got: Floats, exact: Exact) -> None:
    form = FORMATS[dtype]
    error = errors(form, got, exact)
    tally.judge(columns, got, error)
    special = np.flatnonzero(np.isinf(error))
    tally.see_special(len(special), columns, got, int(special[0]) if len(special) else 0)
    if form.digits < 24:
        nearest = rounded(form, exact)
        differ = (got != nearest) & ~(np.isnan(got) & np.isnan(nearest))
        tally.not_nearest = max(tally.not_nearest, 0) + int(np.count_nonzero(differ))


def _arguments(job: Job, dtype: torch.dtype, row: Row) -> list[torch.Tensor]:
    if dtype.itemsize == 2 and job.function.arity == 1:
        return [all_halves(dtype)]
    count = min(_PART, row.total - row.inputs)
    columns = stratified(job.function, count, row.slices)
    return [torch.from_numpy(column).to(dtype) for column in columns]


def _by_device(contenders: Sequence[Contender]) -> Iterator[tuple[str, list[Contender]]]:
    for device in dict.fromkeys(one.device for one in contenders):
        yield device, [one for one in contenders if one.device == device]


def _numpy(values: torch.Tensor) -> Floats:
    found: Floats = values.detach().double().cpu().numpy()
    return found
