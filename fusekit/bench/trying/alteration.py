"""The same call with other arguments: another dtype, other extents, another layout in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from fusekit.errors import UsageError

__all__ = ["DTYPES", "LAYOUTS", "Alterable", "Call", "altered", "dtype_named", "layout_named"]

DTYPES: Mapping[str, torch.dtype] = {
    "float32": torch.float32,
    "float64": torch.float64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
"""What floating point arguments can be converted to."""

_MAX_ELEMENTS = 1 << 25
"""The largest tensor that `Alterable` makes."""

Call = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional and named arguments."""

_Step = Callable[[torch.Tensor], torch.Tensor]


def altered(
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    dtype: str | torch.dtype | None = None,
    shape: int | Sequence[int] | None = None,
    layout: str | None = None,
) -> Call:
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
    steps: list[_Step] = []
    if shape is not None:
        extents = _extents(leaves, shape)
        steps.append(lambda leaf: _resized(leaf, extents))
    if dtype is not None:
        wanted = dtype_named(dtype)
        steps.append(lambda leaf: leaf.to(wanted) if leaf.is_floating_point() else leaf)
    if layout is not None:
        steps.append(LAYOUTS[layout_named(layout)])
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
            index = torch.arange(wanted, device=leaf.device) % extent
            leaf = leaf.index_select(dim, index)
    return leaf


def _through(leaf: torch.Tensor, steps: Sequence[_Step]) -> torch.Tensor:
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
    if found.get(0):
        raise UsageError("an argument without elements cannot be resized: there is none to repeat")
    return found


def dtype_named(given: str | torch.dtype) -> torch.dtype:
    """One of `DTYPES`; UsageError for another."""
    name = str(given).removeprefix("torch.")
    if name not in DTYPES:
        raise UsageError(f"no dtype {name!r} to convert to; there are {', '.join(DTYPES)}")
    return DTYPES[name]


def layout_named(name: str) -> str:
    """One of `LAYOUTS`; UsageError for another."""
    if name not in LAYOUTS:
        raise UsageError(f"no layout {name!r}; there are {', '.join(LAYOUTS)}")
    return name


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


LAYOUTS: Mapping[str, _Step] = {
    "contiguous": _contiguous,
    "transposed": _transposed,
    "channels_last": _channels_last,
    "strided": _strided,
}
"""How tensors can lie in memory: row by row; the last two dimensions swapped; of four dimensions
the second innermost; every second element of rows twice as long. A tensor that has too few
dimensions for one stays as it is."""


@dataclasses.dataclass(frozen=True)
class Alterable:
    """One call as it was given, and what sizes can be made of it.

    A size is the extent of the first tensor's first dimension; every dimension of any argument that
    has that extent changes along.

    Attributes:
        args: positional arguments.
        kwargs: named ones.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    @property
    def extent(self) -> int:
        """The size of the call as it was given; 0 if no tensor has dimensions."""
        return int(next((x.shape[0] for x in self._tensors() if x.dim()), 0))

    @property
    def largest(self) -> int:
        """The largest size that is made: its largest tensor has 2^25 elements."""
        widest = max((x.numel() // max(self.extent, 1) for x in self._tensors()), default=1)
        return max(_MAX_ELEMENTS // max(widest, 1), 1)

    def powers(self, low: int, high: int) -> list[int]:
        """Powers of two from `low` to `high`, with both ends; UsageError if there are none."""
        if not self.extent:
            raise UsageError("no argument is a tensor with dimensions: there is one size only")
        if not 1 <= low <= high <= self.largest:
            raise UsageError(f"sizes go from 1 to {self.largest:,} here, not {low:,} to {high:,}")
        inside = (1 << k for k in range(high.bit_length()) if low < 1 << k < high)
        return sorted({low, *inside, high})

    def make(self, size: int = 0, dtype: str = "", layout: str = "") -> Call:
        """The call altered; what is not chosen stays as it was given.

        Args:
            size: of the first dimension; 0 leaves it.
            dtype: of `DTYPES`, or "".
            layout: of `LAYOUTS`, or "".

        Raises:
            UsageError: there is no such size, dtype or layout.
        """
        return altered(
            self.args,
            dict(self.kwargs),
            dtype=dtype or None,
            shape=None if size in (0, self.extent) else size,
            layout=layout or None,
        )

    def _tensors(self) -> list[torch.Tensor]:
        leaves = pytree.tree_leaves((self.args, dict(self.kwargs)))
        return [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
