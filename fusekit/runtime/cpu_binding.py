"""What a CPU kernel is specialised on: dtypes and stride classes, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from fusekit.runtime.operand import Operand, Operands, Walked, stride_class
from fusekit.runtime.tiling import Dim, tile
from fusekit.specs import TensorDesc

__all__ = ["walk_on_cpu"]


def walk_on_cpu(dims: list[Dim], operands: Operands) -> Walked:
    """In tiles where operands are transposed."""
    tiled = tile(dims, operands.n_tensors)
    descs = [
        _described(operand, [strides[i] for _, strides in tiled])
        for i, operand in enumerate(operands.all)
    ]
    return Walked(tiled, descs)


def _described(operand: Operand, steps: Sequence[int]) -> TensorDesc:
    strides = tuple(
        stride_class(step, may_be_unit=dim == len(steps) - 1) for dim, step in enumerate(steps)
    )
    return TensorDesc(operand.dtype, strides, operand.dtype.itemsize)
