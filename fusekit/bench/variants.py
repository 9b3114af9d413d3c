"""The same call in other sizes, dtypes and layouts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch.utils import _pytree as pytree

from fusekit.errors import UsageError

__all__ = ["DTYPES", "LAYOUTS", "Variants", "laid_out", "resized"]

DTYPES: Mapping[str, torch.dtype] = {
    "float32": torch.float32,
    "float64": torch.float64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
"""What floating point arguments can be cast to."""

LAYOUTS = ("contiguous", "strided")
"""Dense in order; or, with the same values, transposed in memory (1-d: every second element)."""

_MAX_ELEMENTS = 1 << 25
"""The largest tensor that is made."""


def resized(leaf: Any, extent: int, size: int) -> Any:
    """A tensor whose dimensions of `extent` elements have `size`: its elements, repeated."""
    if not isinstance(leaf, torch.Tensor):
        return leaf
    for dim, found in enumerate(leaf.shape):
        if found == extent != size:
            index = torch.arange(size, device=leaf.device) % extent
            leaf = leaf.index_select(dim, index)
    return leaf


def laid_out(leaf: Any, layout: str) -> Any:
    """The same values in a layout of `LAYOUTS`."""
    if not isinstance(leaf, torch.Tensor):
        return leaf
    plain = leaf.contiguous()
    if layout == "contiguous" or not plain.dim():
        return plain
    if plain.dim() == 1:
        return torch.stack([plain, plain], -1)[:, 0]
    return plain.transpose(-1, -2).contiguous().transpose(-1, -2)


def _cast(leaf: Any, dtype: torch.dtype) -> Any:
    is_float = isinstance(leaf, torch.Tensor) and leaf.is_floating_point()
    return leaf.to(dtype) if is_float else leaf


@dataclasses.dataclass(frozen=True)
class Variants:
    """One call as it was given, and how to make others of it.

    Sizes are extents of the first tensor's first dimension; every dimension of any argument that
    has that extent changes along.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    @property
    def extent(self) -> int:
        """The size of the call as it was given; 0 if no tensor has dimensions."""
        sized = [tensor for tensor in self._tensors() if tensor.dim()]
        return int(sized[0].shape[0]) if sized else 0

    @property
    def largest(self) -> int:
        """The largest size that is made."""
        widest = max((t.numel() // max(self.extent, 1) for t in self._tensors()), default=1)
        return max(_MAX_ELEMENTS // max(widest, 1), 1)

    def powers(self, low: int, high: int) -> list[int]:
        """Powers of two from `low` to `high`, with both ends; UsageError if there are none."""
        if not self.extent:
            raise UsageError("no argument is a tensor with dimensions: there is one size only")
        if not 1 <= low <= high <= self.largest:
            raise UsageError(f"sizes go from 1 to {self.largest:,} here, not {low:,} to {high:,}")
        inside = (1 << k for k in range(high.bit_length()) if low < 1 << k < high)
        return sorted({low, *inside, high})

    def make(
        self, size: int = 0, dtype: str = "", layout: str = ""
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments and keyword arguments; what is not chosen stays as it was given."""
        if (dtype and dtype not in DTYPES) or (layout and layout not in LAYOUTS):
            known = f"{', '.join(DTYPES)}; {', '.join(LAYOUTS)}"
            raise UsageError(f"no dtype or layout {dtype!r}, {layout!r}; there are {known}")
        leaves, spec = pytree.tree_flatten((self.args, dict(self.kwargs)))
        if size:
            leaves = [resized(leaf, self.extent, size) for leaf in leaves]
        if dtype:
            leaves = [_cast(leaf, DTYPES[dtype]) for leaf in leaves]
        if layout:
            leaves = [laid_out(leaf, layout) for leaf in leaves]
        args, kwargs = pytree.tree_unflatten(leaves, spec)
        return args, kwargs

    def _tensors(self) -> list[torch.Tensor]:
        leaves = pytree.tree_leaves((self.args, dict(self.kwargs)))
        return [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
