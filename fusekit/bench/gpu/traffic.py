"""How many bytes a function must move: the least there is, and what the memory makes of it.

Memory is read in sectors of 32 bytes. Who takes every second float moves every sector all the same:
`needed` counts the floats, `moved` the sectors. A share of the copy bandwidth is of `moved`,
because no kernel can do with less.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["SECTOR", "Traffic", "traffic"]

SECTOR = 32
"""Bytes that a GPU's memory moves at least."""


@dataclasses.dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes in and out.

    Attributes:
        needed: each element read once, each element written once.
        moved: the same in whole sectors, which is more where a view leaves gaps.
    """

    needed: int
    moved: int


def traffic(read: Iterable[torch.Tensor], written: Iterable[torch.Tensor]) -> Traffic:
    """What reading `read` and writing `written` once takes; tensors that overlap count twice."""
    tensors = [*read, *written]
    needed = sum(_elements(tensor) * tensor.element_size() for tensor in tensors)
    return Traffic(needed, sum(_elements(tensor) * _step(tensor) for tensor in tensors))


def _elements(tensor: torch.Tensor) -> int:
    """The elements in memory: a broadcast dimension has one."""
    pairs = zip(tensor.shape, tensor.stride(), strict=True)
    return math.prod(size if stride or not size else 1 for size, stride in pairs)


def _step(tensor: torch.Tensor) -> int:
    """Bytes moved for each element: from one to its neighbour, a sector at most."""
    pairs = zip(tensor.shape, tensor.stride(), strict=True)
    nearest = min((stride for size, stride in pairs if size > 1 and stride), default=1)
    return max(tensor.element_size(), min(nearest * tensor.element_size(), SECTOR))
