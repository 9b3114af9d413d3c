"""How large a model of the zoo is made, and what one is made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch  # noqa: TC002  it is imported below anyway
from torch.nn import functional as F  # noqa: N812  as everybody spells it

__all__ = ["BENCH", "TINY", "Built", "Size"]


@dataclasses.dataclass(frozen=True, slots=True)
class Size:
    """The extents that all models share; each takes those it has.

    Attributes:
        width: of the hidden vectors, or the channels of an image model.
        heads: of attention; they divide the width.
        layers: blocks of each kind (at least 2, so that equal layers are there).
        length: of a sequence.
        vocabulary: token ids.
        image: pixels of one side.
        dropout: probability, in models that have it.
    """

    width: int
    heads: int
    layers: int
    length: int
    vocabulary: int
    image: int
    dropout: float = 0.0


TINY = Size(width=16, heads=2, layers=2, length=6, vocabulary=31, image=8)
"""For tests: the structure is all that counts."""

BENCH = Size(width=128, heads=4, layers=2, length=64, vocabulary=512, image=32)
"""For timing: a forward takes some milliseconds on two cores."""


@dataclasses.dataclass(frozen=True)
class Built:
    """A model with random weights, and what to feed it.

    Attributes:
        module: called with the inputs as keyword arguments; returns one tensor.
        inputs: batch size -> keyword arguments, the same tensors each time.
    """

    module: torch.nn.Module
    inputs: Callable[[int], dict[str, Any]]

    def loss(self, result: torch.Tensor) -> torch.Tensor:
        """The logistic loss of all elements.

        No mean of squares: after a layer norm that is a constant, and its gradient all rounding.
        """
        return F.softplus(result.float() if result.itemsize < 4 else result).mean()
