"""The same call with other arguments: another dtype, other extents, another layout in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from fusekit.bench.variants import DTYPES
from fusekit.errors import UsageError

__all__ = ["DTYPES", "LAYOUTS", "altered"]

_Call = tuple[tuple[Any, ...], dict[str, Any]]


def altered(
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    dtype: str | torch.dtype | None = None,
    shape: int | Sequence[int] | None = None,
    layout: str | None = None,
) -> _Call:
    """Arguments like these.

    Args:
        args: positional ones.
        kwargs: named ones.
        dtype: what floating point tensors are converted to.
        shape: of the first tensor that has dimensions, or its first extent; every dimension of any
            tensor that has an extent which changes, changes along. Elements are repeated.
        layout: one of `LAYOUTS`; tensors that it makes no sense for stay as they are.

    Raises:
        UsageError: one of these makes no sense for the arguments.
    """
    leaves, spec = pytree.tree_flatten((args, kwargs))
    steps: list[Callable[[torch.Tensor], torch.Tensor]] = []
    if shape is not None:
        extents = _extents(leaves, shape)
        steps.append(lambda leaf: _resized(leaf, extents))
    if dtype is not None:
        wanted = _dtype(dtype)
        steps.append(lambda leaf: leaf.to(wanted) if leaf.is_floating_point() else leaf)
    if layout is not None:
        if layout not in LAYOUTS:
            raise UsageError(f"no layout {layout!r}; there are {', '.join(LAYOUTS)}")
        steps.append(LAYOUTS[layout])
    made: dict[int, torch.Tensor] = {}  # what is one argument in two places stays that
    for leaf in leaves:
        if isinstance(leaf, torch.Tensor) and id(leaf) not in made:
            made[id(leaf)] = _through(leaf, steps)
    args, kwargs = pytree.tree_unflatten([made.get(id(leaf), leaf) for leaf in leaves], spec)
    return args, kwargs


def _resized(leaf: torch.Tensor, extents: Mapping[int, int]) -> torch.Tensor:
    """A tensor with several other extents, by its own elements, repeated or left out."""
    for dim, extent in enumerate(leaf.shape):
        wanted = extents.get(extent, extent)
        if wanted != extent:
            index = torch.arange(wanted, device=leaf.device) % max(extent, 1)
            leaf = leaf.index_select(dim, index)
    return leaf


def _through(
    leaf: torch.Tensor, steps: Sequence[Callable[[torch.Tensor], torch.Tensor]]
) -> torch.Tensor:
    with torch.no_grad():
        made = leaf
        for step in steps:
            made = step(made)
    if made is leaf or not leaf.requires_grad:
        return made
    return made.detach().requires_grad_(made.is_floating_point())


def _extents(leaves: Sequence[Any], shape: int | Sequence[int]) -> dict[int, int]:
    """Each extent that changes -> what it becomes."""
    first = next((x for x in leaves if isinstance(x, torch.Tensor) and x.dim()), None)
    if first is None:
        raise UsageError("no tensor among the arguments has dimensions")
    if isinstance(shape, int):
        wanted = tuple(shape if n == first.shape[0] else n for n in first.shape)
    else:
        wanted = tuple(shape)
    if len(wanted) != first.dim() or any(type(n) is not int or n < 0 for n in wanted):
        raise UsageError(f"shape {list(wanted)} is none of {first.dim()} extents")
    found: dict[int, int] = {}
    for old, new in zip(first.shape, wanted, strict=True):
        if found.setdefault(old, new) != new:
            raise UsageError(
                f"two extents are {old} in {list(first.shape)}: which dimension is which cannot "
                "be told where they become different"
            )
    if 0 in first.shape:
        raise UsageError("an argument without elements cannot be resized")
    return found


def _dtype(given: str | torch.dtype) -> torch.dtype:
    name = str(given).removeprefix("torch.")
    if name not in DTYPES:
        raise UsageError(f"no dtype {name!r} to convert to; there are {', '.join(DTYPES)}")
    return DTYPES[name]


def _contiguous(leaf: torch.Tensor) -> torch.Tensor:
    return leaf.contiguous()


def _transposed(leaf: torch.Tensor) -> torch.Tensor:
    if leaf.dim() < 2:
        return leaf
    return leaf.transpose(-1, -2).contiguous().transpose(-1, -2)


def _channels_last(leaf: torch.Tensor) -> torch.Tensor:
    if leaf.dim() != 4:
        return leaf
    return leaf.contiguous(memory_format=torch.channels_last)


def _strided(leaf: torch.Tensor) -> torch.Tensor:
    if not leaf.dim():
        return leaf
    wide = leaf.new_empty((*leaf.shape[:-1], 2 * leaf.shape[-1]))
    return wide[..., ::2].copy_(leaf)


LAYOUTS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "contiguous": _contiguous,
    "transposed": _transposed,
    "channels_last": _channels_last,
    "strided": _strided,
}
"""How tensors can lie in memory: row by row; the last two dimensions swapped; of four dimensions
the second innermost; every second element of rows twice as long."""
