"""Operators over lists of tensors, as the single operators that they stand for.

An optimizer's step is written with them: each updates all parameters at once. Taken apart, the
operators on one parameter make one kernel.

Source: aten/src/ATen/native/ForeachOpsKernels.cpp, whose slow path does the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from fusekit.frontends.calls import name_of

__all__ = ["foreach_expansion"]

_PREFIX = "aten._foreach_"

_SINGLE = frozenset(
    [
        "abs",
        "acos",
        "add",
        "addcdiv",
        "addcmul",
        "asin",
        "atan",
        "ceil",
        "clamp_max",
        "clamp_min",
        "clone",
        "copy",
        "cos",
        "cosh",
        "div",
        "erf",
        "erfc",
        "exp",
        "expm1",
        "floor",
        "frac",
        "lerp",
        "lgamma",
        "log",
        "log10",
        "log1p",
        "log2",
        "maximum",
        "minimum",
        "mul",
        "neg",
        "pow",
        "reciprocal",
        "round",
        "rsqrt",
        "sigmoid",
        "sign",
        "sin",
        "sinh",
        "sqrt",
        "sub",
        "tan",
        "tanh",
        "trunc",
    ]
)
"""Those whose single operator has the same name and takes the same arguments in the same order."""

_WITH_NUMBER = {"maximum": "clamp_min", "minimum": "clamp_max"}
"""Single operators that take a number, where the one of that name takes tensors only."""

_SCALED = frozenset({"addcdiv", "addcmul"})
"""Their last argument is the keyword `value` of the single operator."""


def foreach_expansion(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Callable[[], list[torch.Tensor]] | None:
    """The single operators that an operator over lists stands for; None for all other operators."""
    name = name_of(func).removeprefix(_PREFIX)
    if name not in _SINGLE or not name_of(func).startswith(_PREFIX):
        return None
    lists = [x for x in args if isinstance(x, list | tuple)]
    if len({len(x) for x in lists}) != 1 or _scales_by_tensor(name, args):
        return None
    return lambda: [_single(name, _element(args, i), kwargs) for i in range(len(lists[0]))]


def _scales_by_tensor(name: str, args: Sequence[Any]) -> bool:
    """True for a tensor of factors: their values would have to be known."""
    return name in _SCALED and isinstance(args[-1], torch.Tensor)


def _element(args: Sequence[Any], index: int) -> list[Any]:
    return [x[index] if isinstance(x, list | tuple) else x for x in args]


def _single(name: str, args: list[Any], kwargs: dict[str, Any]) -> torch.Tensor:
    if name in _SCALED and len(args) > 3:
        kwargs = {**kwargs, "value": args.pop()}
    if len(args) > 1 and not isinstance(args[1], torch.Tensor):
        name = _WITH_NUMBER.get(name, name)
    made: torch.Tensor = getattr(torch.ops.aten, name)(*args, **kwargs)
    return made
