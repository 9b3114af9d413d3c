"""What a CPU kernel is specialised on: dtypes and stride classes, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

from fusekit.runtime.operand import Operand, Operands, Walked, stride_class
from fusekit.runtime.tiling import Dim, tile
from fusekit.specs import ArgSpec, KernelSpec, TensorDesc

__all__ = ["args_of_batch", "batch_key", "walk_on_cpu"]

_LONG = 1 << 24
"""Elements of a call that gains nothing in a batch: to start it costs nothing beside it, and in one
piece it may store past the caches."""


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


def args_of_batch(_spec: KernelSpec, each: Sequence[ArgSpec], _calls: int) -> ArgSpec:
    """A loop over a table calls the kernel for one call."""
    return each[0]


def batch_key(form: tuple[KernelSpec, ArgSpec], shape: Sequence[int]) -> Hashable | None:
    """Equal for calls of one kernel; None for those that are empty or long."""
    spec, args = form
    return (spec.key, args) if 0 < math.prod(shape) < _LONG else None
