"""Who can be measured: the function fused by each engine, as it is, and through Inductor."""

from __future__ import annotations

import dataclasses
import functools
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from fusekit.api import FusedFunction, fuse
from fusekit.errors import EngineUnavailableError, UsageError
from fusekit.runtime.engines import ENGINES

__all__ = [
    "AGAINST",
    "Compiled",
    "Contender",
    "Skipped",
    "copied",
    "device_of",
    "find_contenders",
    "move",
    "why_no_inductor",
]

AGAINST = ("eager", "inductor")
"""What fused can be measured against."""


@dataclasses.dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was not measured.

    Attributes:
        name: the contender; "" for a whole device.
        device: where.
        reason: why not, in a sentence.
    """

    name: str
    device: str
    reason: str

    def __str__(self) -> str:
        """`inductor on cpu: skipped, ...`."""
        who = f"{self.name} on {self.device}" if self.name else self.device
        return f"{who}: skipped, {self.reason}"


@dataclasses.dataclass(frozen=True, slots=True)
class Contender:
    """A call that is ready: traced and compiled.

    Attributes:
        name: "fused", "fused cpp", "eager", "inductor".
        engine: the engine that runs it; "" for what is not ours.
        call: without arguments.
        first: seconds of its first call.
        declined: why PyTorch runs it after all; "" if it does not.
    """

    name: str
    engine: str
    call: Callable[[], object]
    first: float
    declined: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Compiled:
    """A program whose graphs fusekit serves, as torch.compile returned it.

    Attributes:
        program: what torch.compile returned.
        original: what it was given.
    """

    program: Callable[..., Any]
    original: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The program's result."""
        return self.program(*args, **kwargs)


def move(value: Any, device: str) -> Any:
    """The same arguments on `device`; copied where they are there already.

    Every contender gets arguments of its own, so that one that writes into them disturbs no other.
    """

    def moved(leaf: Any) -> Any:
        if not isinstance(leaf, torch.Tensor):
            return leaf
        return copied(leaf.detach(), device).requires_grad_(leaf.requires_grad)

    return pytree.tree_map(moved, value)


def copied(tensor: torch.Tensor, device: str | torch.device) -> torch.Tensor:
    """The same values with the same strides, also where several elements share memory."""
    if tensor.layout is not torch.strided or not tensor.numel():
        return tensor.to(device, copy=True)
    pairs = zip(tensor.shape, tensor.stride(), strict=True)
    reach = 1 + sum((extent - 1) * stride for extent, stride in pairs)
    flat = tensor.as_strided((reach,), (1,)).to(device, copy=True)
    return flat.as_strided(tensor.shape, tensor.stride(), 0)


def device_of(arguments: Any) -> str:
    """The kind of device that the first tensor is on; "cpu" if there is none."""
    leaves = pytree.tree_leaves(arguments)
    return next((x.device.type for x in leaves if isinstance(x, torch.Tensor)), "cpu")


def find_contenders(
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    device: str,
    engines: Sequence[str] | None,
    against: Sequence[str],
) -> tuple[list[Contender], list[Skipped]]:
    """Everything that can run here, after its first call, and what cannot.

    `against` comes first: the first of it is the baseline.
    """
    found: list[Contender] = []
    skipped: list[Skipped] = []
    original = _original(fn)
    for name in against:
        here = move(args, device), move(kwargs, device)
        if name == "eager":
            found.append(_started(name, original, *here))
            continue
        made = _inductor(original, *here, device)
        if isinstance(made, Contender):
            found.append(made)
        else:
            skipped.append(made)
    if isinstance(fn, Compiled):
        found.append(_started("fused", fn.program, move(args, device), move(kwargs, device)))
        return found, skipped
    for name, fused in _fused(fn, engines):
        try:
            ready = _fused_contender(name, fused, move(args, device), move(kwargs, device))
        except EngineUnavailableError as error:
            skipped.append(Skipped(name, device, str(error)))
            continue
        if ready.declined and device != "cpu":
            skipped.append(Skipped(name, device, ready.declined))
        else:
            found.append(ready)
    return found, skipped


def _original(fn: Callable[..., Any]) -> Callable[..., Any]:
    if isinstance(fn, Compiled):
        return fn.original
    return fn.function if isinstance(fn, FusedFunction) else fn


def why_no_inductor(device: str) -> str | None:
    """Why Inductor cannot compile for `device`; None if it should."""
    if device != "cpu":
        return None
    reason = ENGINES["cpp"].unavailable()  # both take the C++ compiler that CXX or PATH name
    return f"Inductor needs a C++ compiler: {reason}" if reason else None


def _fused(
    fn: Callable[..., Any], engines: Sequence[str] | None
) -> list[tuple[str, FusedFunction]]:
    if engines is None:
        return [("fused", fn if isinstance(fn, FusedFunction) else fuse(fn))]
    unknown = [name for name in engines if name not in ENGINES and name != "auto"]
    if unknown:
        raise UsageError(f"no engine {unknown[0]!r}; there are auto, {', '.join(ENGINES)}")
    label = "fused" if len(engines) == 1 else "fused {}"
    plan = fn.planned if isinstance(fn, FusedFunction) else None
    return [(label.format(name), fuse(fn, engine=name, plan=plan)) for name in engines]


def _fused_contender(
    name: str, fused: FusedFunction, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Contender:
    made = _started(name, fused, args, kwargs)
    entry = fused.entry(args, kwargs)
    engine = entry.plan.engine.name if entry.plan is not None else ""
    return dataclasses.replace(made, engine=engine, declined=str(entry.decline or ""))


def _started(
    name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Contender:
    call = functools.partial(function, *args, **kwargs)
    start = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return Contender(name, "", call, time.perf_counter() - start)


def _inductor(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], device: str
) -> Contender | Skipped:
    """`fn` through torch.compile; what its compiler warns of is not the user's."""
    reason = why_no_inductor(device)
    if reason is not None:
        return Skipped("inductor", device, reason)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _started("inductor", torch.compile(fn), args, kwargs)
    except Exception as error:  # noqa: BLE001  whatever fails in there, the others can be measured
        lines = str(error).strip().splitlines() or [""]
        return Skipped("inductor", device, f"{type(error).__name__}: {lines[0]}")
