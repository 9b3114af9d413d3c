"""`cat` as IR: pieces that kernels compute, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch  # noqa: TC002  an annotation

from fusekit.ir import DType, GraphBuilder

__all__ = ["concatenated"]


def concatenated(
    builder: GraphBuilder,
    tensors: Sequence[torch.Tensor],
    identify: Callable[[torch.Tensor], int],
    dtype: DType,
    result: torch.Tensor,
    *,
    dim: int,
) -> int:
    """Pieces, converted and each in memory of its own, then a `cat` node; `result` is torch's."""
    # torch lets 1-d empty tensors take part in any cat
    kept = [tensor for tensor in tensors if tuple(tensor.shape) != (0,)] or tensors[:1]
    pieces = [_piece(builder, identify(tensor), dtype) for tensor in kept]
    made = builder.cat(pieces, dim % max(result.dim(), 1), tuple(result.shape))
    builder.set_strides(made, result.stride())
    return made


def _piece(builder: GraphBuilder, value_id: int, dtype: DType) -> int:
    """A piece of a cat as the result of a pointwise node."""
    made = builder.cast(value_id, dtype)
    maker = builder.maker(made)
    is_computed = maker is not None and maker.is_pointwise
    return made if is_computed else builder.apply("copy", made)
