"""Where tensors lie: what makes two of them the same, whichever graphs hold them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import torch

from fusekit.frontends.fx import Capture

__all__ = ["memory_of", "memory_of_values", "place_of"]


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


def memory_of(tensor: Any) -> Hashable:
    """The bytes that a tensor is, whatever its shape: the same for it and its transpose.

    Where it has gaps or repeats itself, as for `place_of`.
    """
    place = place_of(tensor)
    if not isinstance(place, tuple) or not _is_dense(tensor):
        return place
    size = tensor.element_size()
    return place[0] + size * tensor.storage_offset(), size * tensor.numel()


def _is_dense(tensor: torch.Tensor) -> bool:
    """True if its elements are all that lies between its first and its last, each once."""
    if tensor.layout is not torch.strided or not tensor.numel():
        return False
    walked = sorted((s, n) for s, n in zip(tensor.stride(), tensor.shape, strict=True) if n > 1)
    expected = 1
    for stride, extent in walked:
        if stride != expected:
            return False
        expected *= extent
    return True


def memory_of_values(
    capture: Capture, leaves: Sequence[Any], results: Sequence[Any] = ()
) -> dict[int, Hashable]:
    """Where inputs and results of a captured graph lie, by their values, as far as it is known.

    Args:
        capture: of the function that was called.
        leaves: of the call's arguments.
        results: leaves of what it returned; none if it was not called.
    """
    found: dict[int, Hashable] = {}
    for value, source in zip(capture.graph.tensor_inputs, capture.sources, strict=True):
        if source.leaf is not None:
            found[value] = memory_of(leaves[source.leaf])
        elif source.free is not None:
            found[value] = memory_of(source.free.value)
    for tensor, result in zip(results, capture.results, strict=False):
        if result.value is not None:
            found.setdefault(result.value, memory_of(tensor))
    return {value: memory for value, memory in found.items() if memory is not None}
