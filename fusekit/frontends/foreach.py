"""Operators over lists of tensors, traced as one operator for each tensor.

That is what PyTorch itself does on the CPU, and on a GPU where a list is not regular. The kernels
of the single operators then run as one launch (`fusion/batches.py`).

Source: aten/src/ATen/native/ForeachOpsKernels.cpp.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch

from fusekit.frontends.calls import bind, name_of

__all__ = ["each"]

_PREFIX = "aten._foreach_"

_SINGLE: Mapping[str, str] = {
    **{
        name: name
        for name in (
            *("abs", "acos", "asin", "atan", "ceil", "cos", "cosh", "erf", "erfc", "exp", "expm1"),
            *("floor", "frac", "lgamma", "log", "log10", "log1p", "log2", "neg", "reciprocal"),
            *("round", "rsqrt", "sigmoid", "sign", "sin", "sinh", "sqrt", "tan", "tanh", "trunc"),
            *("add", "sub", "mul", "div", "pow", "lerp", "addcmul", "addcdiv", "copy"),
            *("clamp_max", "clamp_min", "clone"),
        )
    },
    "maximum": "clamp_min",
    "minimum": "clamp_max",
    "zero": "zeros_like",
}
"""Operator over lists -> the one for a tensor; both without what they have in common."""

_NAMED = ("alpha", "value", "memory_format")
_IGNORED = frozenset({"non_blocking"})


def each(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Callable[[], list[torch.Tensor]] | None:
    """What computes the results one by one; None for all other operators."""
    name = name_of(func)
    single = _SINGLE.get(name.removeprefix(_PREFIX)) if name.startswith(_PREFIX) else None
    if single is None:
        return None
    given = {k: v for k, v in bind(func, args, kwargs).items() if k not in _IGNORED}
    if single in ("addcmul", "addcdiv") and "scalars" in given:
        given["value"] = given.pop("scalars")
    if isinstance(given.get("value"), torch.Tensor):  # numbers that only PyTorch can read
        return None
    return functools.partial(_one_by_one, getattr(torch.ops.aten, single), given)


def _one_by_one(single: Any, given: dict[str, Any]) -> list[torch.Tensor]:
    count = next(len(value) for value in given.values() if isinstance(value, list | tuple))
    made = []
    for i in range(count):
        own = {k: v[i] if isinstance(v, list | tuple) else v for k, v in given.items()}
        named = {k: own.pop(k) for k in _NAMED if k in own}
        made.append(single(*own.values(), **named))
    return made
