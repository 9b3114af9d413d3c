"""Who computes a function: each engine's kernels, and eager PyTorch beside them."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import torch

from fusekit.api import FusedFunction, fuse
from fusekit.errors import FusekitError, UsageError
from fusekit.mathcheck.functions import Function
from fusekit.runtime.engines import ENGINES

__all__ = ["ABSENT", "Contender", "Field", "field", "public", "usable_engines"]

ABSENT = "PyTorch has none"
"""How the reason begins where eager PyTorch lacks the function for a dtype."""


@dataclasses.dataclass(frozen=True)
class Contender:
    """One that computes.

    Attributes:
        name: "llvm", ...; "eager", or "eager cuda" on a GPU.
        device: where it takes its tensors.
        call: the function.
        engine: "" for eager PyTorch.
        digest: of the text of its kernel.
    """

    name: str
    device: str
    call: Callable[..., torch.Tensor]
    engine: str = ""
    digest: str = ""


@dataclasses.dataclass(frozen=True)
class Field:
    """All that compute one function in one dtype.

    Attributes:
        contenders: eager of each device first, then its engines.
        left: engine -> why its calls run in PyTorch: not measured.
    """

    contenders: tuple[Contender, ...]
    left: dict[str, str]


def usable_engines(names: Sequence[str]) -> list[str]:
    """The engines of these names, or all that work here and compile.

    Raises:
        UsageError: there is no such engine, or it does not work here.
    """
    if not names:
        return [name for name in ENGINES if name != "reference" and not _obstacle(name)]
    for name in names:
        if name not in ENGINES:
            raise UsageError(f"no engine {name!r}; there are {', '.join(ENGINES)}")
        if obstacle := _obstacle(name):
            raise UsageError(f"engine {name}: {obstacle}")
    return list(dict.fromkeys(names))


def _obstacle(name: str) -> str | None:
    if ENGINES[name].device == "cuda" and not torch.cuda.is_available():
        return "there is no GPU that torch can use"
    return ENGINES[name].unavailable()


def public(function: Function) -> Callable[..., torch.Tensor]:
    """The function as users of torch call it."""
    first, _, path = function.path.rpartition(":")
    found: Any = functools.reduce(getattr, path.split("."), torch)
    if not first:
        return found  # type: ignore[no-any-return]

    def with_first(x: torch.Tensor) -> torch.Tensor:
        return found(int(first), x)  # type: ignore[no-any-return]

    return with_first


def field(function: Function, dtype: torch.dtype, engines: Sequence[str]) -> Field:
    """See who computes a function in a dtype, by a call of each.

    An engine whose call PyTorch runs, in whole or in part, is left out, and the reason kept.
    """
    contenders: list[Contender] = []
    left: dict[str, str] = {}
    call = public(function)
    for engine in engines:
        device = "cuda" if ENGINES[engine].device == "cuda" else "cpu"
        eager = "eager cuda" if device == "cuda" else "eager"
        sample = [torch.full((64,), 0.5, dtype=dtype, device=device)] * function.arity
        try:
            call(*sample)
        except RuntimeError as error:  # NotImplementedError is one
            left[engine] = f"{ABSENT}: {str(error).splitlines()[0]}"
            continue
        fused = fuse(call, engine=engine, name=function.name)
        reason = _not_fused(fused, engine, sample)
        if reason:
            left[engine] = reason
            continue
        if all(one.name != eager for one in contenders):
            contenders.append(Contender(eager, device, call))
        digest = hashlib.sha256(fused.source(*sample).encode()).hexdigest()[:16]
        contenders.append(Contender(engine, device, fused, engine, digest))
    return Field(tuple(contenders), left)


def _not_fused(fused: FusedFunction, engine: str, sample: list[torch.Tensor]) -> str:
    """Why a call is not one of this engine's kernels alone; "" if it is."""
    try:
        fused(*sample)
        told = fused.explain(*sample)
    except FusekitError as error:
        return str(error).splitlines()[0]
    if not told.fused or told.declined:
        return str(told.declined[0]).splitlines()[0] if told.declined else "not fused"
    others = {group.engine for group in told.groups} - {engine}
    return f"runs on {', '.join(sorted(others))}" if others or not told.groups else ""
