"""`compare` and `race`: one call, fused and not, in rounds until there is a verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from fusekit.bench.measuring.comparison import Comparison, Row
from fusekit.bench.measuring.contenders import AGAINST, Contender, Skipped, find_contenders
from fusekit.bench.measuring.stopwatch import Tell, take, told
from fusekit.bench.measuring.timing import Settings
from fusekit.errors import UsageError

__all__ = ["compare", "race"]


def compare(
    fn: Callable[..., Any],
    *args: Any,
    devices: Iterable[str] | None = None,
    engines: Sequence[str] | None = None,
    against: Sequence[str] = ("eager",),
    settings: Settings | None = None,
    **kwargs: Any,
) -> Comparison:
    """Measure one call fused and not, on every device that is here.

    Args:
        fn: a function over tensors, a `FusedFunction`, or a `Compiled` program.
        *args: as for the call; every contender works on copies.
        devices: "cpu", "cuda"; None for the arguments' own and for the GPU if there is one.
        engines: which engines serve; None for the one that `fuse` chooses.
        against: "eager", "inductor"; the first is the baseline of every ratio.
        settings: how to measure; None for at most 3 seconds on each device, with warm caches.
        **kwargs: as for the call.

    Raises:
        UsageError: a device, an engine or a contender does not exist.
    """
    return race(
        fn, args, kwargs, devices=devices, engines=engines, against=against, settings=settings
    )


def race(
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any] | None = None,
    *,
    devices: Iterable[str] | None = None,
    engines: Sequence[str] | None = None,
    against: Sequence[str] = ("eager",),
    settings: Settings | None = None,
    tell: Tell | None = None,
) -> Comparison:
    """`compare`, with the call's arguments in a tuple and a dictionary.

    Args:
        fn: see `compare`.
        args: positional arguments of the call.
        kwargs: named ones.
        devices: see `compare`.
        engines: see `compare`.
        against: see `compare`.
        settings: see `compare`.
        tell: told how far it is; it stops the race by raising.

    Raises:
        UsageError: see `compare`.
    """
    unknown = [name for name in against if name not in AGAINST]
    if unknown or not against:
        raise UsageError(f"against takes {' and '.join(AGAINST)}, got {list(against)}")
    if isinstance(engines, str):
        raise UsageError(f"engines takes a list of names: engines=[{engines!r}]")
    how = settings or Settings()
    named = dict(kwargs or {})
    rows: list[Row] = []
    skipped: list[Skipped] = []
    for device in _devices(devices, (args, named)):
        if device == "cuda" and not torch.cuda.is_available():
            skipped.append(Skipped("", device, "no GPU that torch can use"))
            continue
        if tell is not None:
            tell(0, math.ceil(10 * how.seconds), "first calls")
        found, missing = find_contenders(
            fn, args, named, device=device, engines=engines, against=against
        )
        skipped += missing
        rows += _rows(found, device, how, tell) if found else []
    return Comparison(getattr(fn, "__name__", type(fn).__name__), tuple(rows), tuple(skipped), how)


def _devices(wanted: Iterable[str] | None, arguments: Any) -> list[str]:
    """Where to measure: what was asked for, or where the tensors are and the GPU."""
    if wanted is not None:
        names = [wanted] if isinstance(wanted, str) else list(wanted)
        for name in names:
            if name not in ("cpu", "cuda"):
                raise UsageError(f"no device {name!r}; there are cpu, cuda")
        return names
    leaves = pytree.tree_leaves(arguments)
    own = [leaf.device.type for leaf in leaves if isinstance(leaf, torch.Tensor)]
    gpu = ["cuda"] if torch.cuda.is_available() else []
    return list(dict.fromkeys([*(own or ["cpu"]), *gpu]))


def _rows(
    found: Sequence[Contender], device: str, how: Settings, tell: Tell | None
) -> Iterator[Row]:
    """One for each contender; the first is the baseline, unless it is one of ours."""
    taken = take(
        {contender.name: contender.call for contender in found},
        how,
        synchronize=torch.cuda.synchronize if device == "cuda" else None,
        firsts={contender.name: contender.first for contender in found},
        tell=tell,
    )
    first, *others = found
    is_ours = first.name.startswith("fused")
    yield Row(
        name=first.name,
        device=device,
        engine=first.engine,
        timing=taken.timings[first.name],
        ratio=None,
        outcome="" if is_ours else "baseline",
        reason="",
        declined=first.declined,
    )
    for contender in others:
        said = told(taken, first.name, contender.name)
        yield Row(
            name=contender.name,
            device=device,
            engine=contender.engine,
            timing=taken.timings[contender.name],
            ratio=said.ratio.median,
            outcome=said.outcome,
            reason=said.sentence,
            declined=contender.declined,
            interval=said.ratio.interval,
            cause=said.cause.kind,
        )
