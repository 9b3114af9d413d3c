"""Contenders after their first call, each with all that it brings of its own."""

from __future__ import annotations

import dataclasses
import functools
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch.utils import _pytree as pytree
from torch.utils.dlpack import from_dlpack

from fusekit import events
from fusekit.api import FusedFunction, fuse
from fusekit.bench.gpu.checks import Check
from fusekit.bench.gpu.stopwatch import said
from fusekit.bench.legacy import legacy_fused

__all__ = ["COMMON", "Make", "Ready", "Work", "differs", "prepared"]

Args = tuple[Any, ...]
Call = Callable[[], Any]


class Work(Protocol):
    """What is measured: a named function."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def function(self) -> Callable[..., Any]:
        """Over tensors."""


@dataclasses.dataclass(frozen=True, slots=True)
class Ready:
    """A contender that can be measured.

    Attributes:
        call: without arguments.
        first: seconds of the first call, or of all that had to come before a steady one.
        kernels: seconds of generating and compiling each of its kernels; known for ours only.
        note: what a reader should know.
    """

    call: Call
    first: float = 0.0
    kernels: tuple[float, ...] = ()
    note: str = ""


Make = Callable[[Any, Args], Ready | str]
"""(work, arguments) -> a contender, or why there is none."""


def _eager(work: Work, args: Args) -> Ready:
    return Ready(functools.partial(work.function, *args))


def _fused(work: Work, args: Args) -> Ready:
    fused = fuse(work.function)
    with events.listening() as heard:
        fused(*args)
    kernels = tuple(event.seconds for event in heard if isinstance(event, events.Compiled))
    return Ready(functools.partial(fused, *args), kernels=kernels, note=_note(fused, args))


def _note(fused: FusedFunction, args: Args) -> str:
    """What a reader of a row must know: that it is not one kernel, and why not."""
    try:
        told = fused.explain(*args)
    except Exception as error:  # noqa: BLE001  it ran, so it can be measured
        return f"cannot be explained: {said(error)}"
    # without the line: it is of a file on this machine
    left = "; ".join(str(dataclasses.replace(decline, loc=None)) for decline in told.declined)
    if not told.fused:
        return f"not fused, PyTorch ran it: {left}"
    if not left and len(told.groups) == 1:
        return ""
    return f"kernels: {len(told.groups)}" + (f"; PyTorch ran the rest: {left}" if left else "")


def _inductor(work: Work, args: Args, mode: str | None) -> Ready:
    compiled = torch.compile(work.function, mode=mode, dynamic=False)
    return Ready(functools.partial(compiled, *args))


def _legacy(work: Work, args: Args) -> Ready | str:
    made = legacy_fused(work.function, args)
    return made if isinstance(made, str) else Ready(made)


COMMON: Mapping[str, Make] = {
    "fused": _fused,
    "inductor": functools.partial(_inductor, mode=None),
    "autotuned": functools.partial(_inductor, mode="max-autotune-no-cudagraphs"),
    "legacy": _legacy,
    "eager": _eager,
}
"""Those that serve any device: name -> how it is made."""


def prepared(
    make: Make, work: Work, args: Args, synchronize: Callable[[], object] = lambda: None
) -> Ready | str:
    """The contender after its first call; a text says why there is none. Nothing is raised."""
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what other compilers warn of is not the user's
            made = make(work, args)
            if isinstance(made, str):
                return made
            made.call()
        synchronize()
    except Exception as error:  # noqa: BLE001  whatever fails in there, the others can be measured
        return f"failed: {said(error)}"
    return dataclasses.replace(made, first=time.perf_counter() - start)


def differs(check: Check, args: Args, call: Call, expected: Any) -> str:
    """What is wrong with what a contender computes; "" if nothing is. Nothing is raised."""
    try:
        return check(pytree.tree_map(_as_tensor, call()), expected, args)
    except Exception as error:  # noqa: BLE001  as above
        return f"failed: {said(error)}"


def _as_tensor(leaf: Any) -> Any:
    is_foreign = not isinstance(leaf, torch.Tensor) and hasattr(leaf, "__dlpack__")
    return from_dlpack(leaf) if is_foreign else leaf
