"""Where tensors lie: what makes two of them the same, whichever graphs hold them."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch

__all__ = ["place_of"]


def place_of(tensor: Any) -> Hashable:
    """Where a tensor lies and how: the same for aliases of the same shape."""
    if not isinstance(tensor, torch.Tensor):
        return None
    try:
        address = tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):  # no memory of its own: sparse, or a wrapper
        return id(tensor)
    if not address:
        return id(tensor)
    return address, tensor.storage_offset(), tuple(tensor.shape), tensor.stride(), tensor.dtype
