"""Kernels: found or compiled, each once however many threads ask; failures are remembered."""

from __future__ import annotations

import dataclasses
import sys
import threading
import time
from concurrent.futures import Future
from typing import Any

from fusekit import events
from fusekit.codegen import KernelSource, Target, choose, emit
from fusekit.compilers import cache
from fusekit.config import current
from fusekit.errors import CompileError, FusionDeclined
from fusekit.registry import Store
from fusekit.runtime.engines import Engine
from fusekit.runtime.launch import Launcher
from fusekit.runtime.stats import counters
from fusekit.specs import ArgSpec, Decline, KernelSpec, Reason

__all__ = ["Kernel", "forget", "generate", "is_compiled", "kernel_for", "n_compiled", "specs"]

specs = Store()
"""Every fusion group of this process."""

counters.specs = specs.__len__


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


_kernels: dict[Any, Future[Kernel]] = {}
_lock = threading.Lock()


def kernel_for(engine: Engine, spec: KernelSpec, args: ArgSpec) -> Kernel:
    """The kernel of `spec` for arguments like `args`, compiled at the first request.

    Raises:
        FusionDeclined: it did not compile, now or the first time; the decline carries the log.
    """
    key = _key(engine, spec, args)
    found = _kernels.get(key)
    if found is not None:
        return found.result()
    with _lock:
        found = _kernels.get(key)
        is_mine = found is None
        if found is None:
            found = _kernels[key] = Future()
    if is_mine:
        try:
            found.set_result(_compile(engine, spec, args))
        except (CompileError, FusionDeclined) as error:
            found.set_exception(_as_decline(error))
        except BaseException as error:
            # an interrupt, or a fault of ours: whoever waits must wake, the next one tries again
            with _lock:
                _kernels.pop(key, None)
            found.set_exception(_as_decline(error))
            raise
    return found.result()


def _key(engine: Engine, spec: KernelSpec, args: ArgSpec) -> Any:
    target = engine.load_compiler().target().name
    return (engine.name, target, spec.key, args, current().fast)


def is_compiled(engine: Engine, spec: KernelSpec, args: ArgSpec) -> bool:
    """True if `kernel_for` would compile nothing: it is there, or has failed."""
    return _key(engine, spec, args) in _kernels


def forget(kernel: Kernel) -> None:
    """Have the next request compile it anew: plans that hold it keep it, the disk does not."""
    with _lock:
        found = [
            key
            for key, made in _kernels.items()
            if made.done() and made.exception() is None and made.result() is kernel
        ]
        for key in found:
            del _kernels[key]
    cache.remove(kernel.engine.load_compiler().key(kernel.source))


def _as_decline(error: BaseException) -> FusionDeclined:
    if isinstance(error, FusionDeclined):
        return error
    return FusionDeclined(Decline(Reason.COMPILE_FAILED, str(error)))


def generate(
    engine: Engine, spec: KernelSpec, args: ArgSpec, target: Target | None = None
) -> KernelSource:
    """The source text of a kernel, for what the engine compiles for if no `target` is given."""
    target = target or engine.load_compiler().target()
    schedule = choose(spec, args, target)
    return emit(spec, engine.load_dialect()(spec, args, schedule, target))


def _compile(engine: Engine, spec: KernelSpec, args: ArgSpec) -> Kernel:
    start = time.perf_counter()
    source = generate(engine, spec, args)
    if current().debug:
        sys.stderr.write(source.text)
    artifact = engine.load_compiler().compile(source)
    launcher = engine.load_launcher()(artifact)
    seconds = time.perf_counter() - start
    counters.compiled(seconds)
    events.emit(events.Compiled(spec.symbol, engine.name, seconds, artifact.cached))
    return Kernel(spec, args, engine, source, launcher, seconds, artifact.cached)


def n_compiled() -> int:
    """How many kernels this process compiled or loaded from the disk cache."""
    return counters.kernels
