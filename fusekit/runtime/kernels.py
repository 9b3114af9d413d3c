"""Kernels: found or compiled, each once however many threads ask; failures are remembered."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import sys
import time
import weakref
from typing import Any

from fusekit import events
from fusekit.codegen import KernelSource, Target, choose, emit
from fusekit.compilers import cache
from fusekit.config import current
from fusekit.errors import CompileError, FusionDeclined
from fusekit.locks import lock
from fusekit.registry import Store
from fusekit.runtime.engines import Engine
from fusekit.runtime.launch import Launcher
from fusekit.runtime.stats import counters
from fusekit.specs import ArgSpec, Decline, KernelSpec, Reason

__all__ = [
    "Kernel",
    "forget",
    "generate",
    "is_compiled",
    "kernel_for",
    "n_compiled",
    "n_forgotten",
    "specs",
]

specs = Store()
"""Every fusion group that is used."""

counters.specs = lambda: specs.seen


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A compiled kernel.

    Attributes:
        spec: what it computes.
        args: for which arguments.
        engine: what made it.
        source: its text.
        launcher: what runs it.
        seconds: what generating and compiling took.
        cached: True when the machine code came from the disk cache.
    """

    spec: KernelSpec
    args: ArgSpec
    engine: Engine
    source: KernelSource
    launcher: Launcher
    seconds: float
    cached: bool = False


MOST_IDLE = 512
"""Kernels kept for whoever asks next, though no plan holds them; those used longest ago go first.

Failures count like kernels.
"""


class _Slot:
    """A kernel that one thread makes, while others wait.

    Attributes:
        gate: held by the thread that makes it.
        made: the kernel, or why there is none; None before that, or if making it was interrupted.
    """

    __slots__ = ("gate", "made")

    def __init__(self) -> None:
        self.gate = lock()
        self.made: Kernel | Decline | None = None


_slots: collections.OrderedDict[Any, _Slot] = collections.OrderedDict()
_alive: weakref.WeakValueDictionary[Any, Kernel] = weakref.WeakValueDictionary()
"""Every kernel that anybody holds, so that none is ever compiled a second time."""

_lock = lock()

_forgotten = 0


def kernel_for(engine: Engine, spec: KernelSpec, args: ArgSpec) -> Kernel:
    """The kernel of `spec` for arguments like `args`, compiled at the first request.

    Raises:
        FusionDeclined: it did not compile, now or the first time; the decline carries the log.
        MemoryError: there was not enough memory to compile it; the next request tries again.
    """
    key = _key(engine, spec, args)
    while True:
        mine = _Slot()
        with mine.gate:  # however this block is left, nobody waits for ever
            slot = _claim(key, mine)
            is_new = slot is mine and mine.made is None
            if is_new:
                mine.made = _made(engine, spec, args)
        if slot is not mine:
            with slot.gate:
                pass
        if is_new and isinstance(slot.made, Kernel):
            _note(key, slot.made)
        if isinstance(slot.made, Kernel):
            return slot.made
        if slot.made is not None:
            raise FusionDeclined(slot.made)


def _claim(key: Any, mine: _Slot) -> _Slot:
    """The slot of a key: `mine`, unless there is one that is made or being made."""
    with _lock:
        known = _slots.get(key)
        if known is not None and (known.made is not None or known.gate.locked()):
            _slots.move_to_end(key)
            return known
        mine.made = _alive.get(key)
        _slots[key] = mine
        n_many = max(len(_slots) - MOST_IDLE, 0)
        for other in tuple(itertools.islice(_slots, n_many)):
            if _slots[other].made is not None:  # else somebody waits for it
                del _slots[other]
        return mine


def _note(key: Any, kernel: Kernel) -> None:
    """Count a new kernel, and tell who listens: outside the gate, for they may call it."""
    with _lock:
        _alive[key] = kernel
    counters.compiled(kernel.seconds)
    events.emit(
        events.Compiled(kernel.spec.symbol, kernel.engine.name, kernel.seconds, kernel.cached)
    )


def _key(engine: Engine, spec: KernelSpec, args: ArgSpec) -> Any:
    target = engine.load_compiler().target().name
    return (engine.name, target, spec.key, args, current().fast)


def is_compiled(engine: Engine, spec: KernelSpec, args: ArgSpec) -> bool:
    """True if `kernel_for` would compile nothing: it is there, or has failed."""
    key = _key(engine, spec, args)
    slot = _slots.get(key)
    return key in _alive or (slot is not None and slot.made is not None)


def forget(kernel: Kernel) -> None:
    """Have the next request compile it anew: plans that hold it keep it, the disk does not."""
    global _forgotten  # noqa: PLW0603  a count of what happened to the tables above
    with _lock:
        _forgotten += 1
        for key in [key for key, slot in _slots.items() if slot.made is kernel]:
            del _slots[key]
        for key in [key for key, made in _alive.items() if made is kernel]:
            del _alive[key]
    cache.remove(kernel.engine.load_compiler().key(kernel.source))


def n_forgotten() -> int:
    """How often a kernel was forgotten: who keeps one to hand it on asks whether it still may."""
    return _forgotten


def generate(
    engine: Engine, spec: KernelSpec, args: ArgSpec, target: Target | None = None
) -> KernelSource:
    """The source text of a kernel, for what the engine compiles for if no `target` is given."""
    target = target or engine.load_compiler().target()
    schedule = choose(spec, args, target)
    return emit(spec, engine.load_dialect()(spec, args, schedule, target))


def _made(engine: Engine, spec: KernelSpec, args: ArgSpec) -> Kernel | Decline:
    """The kernel, compiled now, or why it cannot be."""
    try:
        return _compile(engine, spec, args)
    except FusionDeclined as error:
        declined: Decline = error.decline
        return declined
    except CompileError as error:
        return Decline(Reason.COMPILE_FAILED, str(error))


def _compile(engine: Engine, spec: KernelSpec, args: ArgSpec) -> Kernel:
    start = time.perf_counter()
    source = generate(engine, spec, args)
    if current().debug:
        sys.stderr.write(source.text)
    artifact = engine.load_compiler().compile(source)
    launcher = engine.load_launcher()(artifact)
    seconds = time.perf_counter() - start
    return Kernel(spec, args, engine, source, launcher, seconds, artifact.cached)


def n_compiled() -> int:
    """How many kernels this process compiled or loaded from the disk cache."""
    return counters.kernels
