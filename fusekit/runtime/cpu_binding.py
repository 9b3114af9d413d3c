"""What a CPU kernel is specialised on: dtypes and stride classes, and nothing else."""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable, Sequence

from fusekit.codegen.cpu_walks import LEAST_SIDE, LONGEST_PERIOD, MOST_PERIODIC
from fusekit.runtime.operand import Dim, Operands, Walked, stride_class
from fusekit.specs import ArgSpec, KernelSpec, Stride, TensorDesc

__all__ = ["args_of_batch", "batch_key", "walk_on_cpu"]

_LONG = 1 << 24
"""Elements of a call that gains nothing in a batch: to start it costs nothing beside it, and in one
piece it may store past the caches."""


_PICKED = range(2, 5)
"""Strides so small that whole vectors are loaded: with 4, a quarter of what is read is used."""


def walk_on_cpu(dims: list[Dim], operands: Operands) -> Walked:
    """As collapsed; or in blocks, where inputs are transposed: a dimension moves for that."""
    inputs = range(len(operands.outputs), operands.n_tensors)
    rows = _rows_of_blocks(dims, inputs)
    if rows is not None:
        dims = [*dims[:rows], *dims[rows + 1 : -1], dims[rows], dims[-1]]
    short = _has_short_rows(dims, operands)
    descs = []
    for position, operand in enumerate(operands.all):
        steps = tuple([strides[position] for _, strides in dims])
        turned = rows is not None and position in inputs and _lies_across(steps, -2)
        picked = position in inputs and not turned and steps and steps[-1] in _PICKED
        flat, step = short and steps[0] != 0, steps[-1] if picked else 0
        dtype = operand.dtype
        descs.append(_desc(dtype, _classes(steps, turned), dtype.itemsize, flat, step))
    return Walked(dims, descs)


def _has_short_rows(dims: Sequence[Dim], operands: Operands) -> bool:
    """True if short rows follow one another in all tensors but in inputs that have only one."""
    if len(dims) != 2 or dims[1][0] > LONGEST_PERIOD or operands.indices:
        return False
    (_, down), (columns, along) = dims
    repeated = [position for position, step in enumerate(down) if not step]
    return (
        set(along) == {1}
        and set(down) == {0, columns}
        and repeated[0] >= len(operands.outputs)
        and len(repeated) <= MOST_PERIODIC
    )


def _rows_of_blocks(dims: Sequence[Dim], inputs: range) -> int | None:
    """The dimension along which most of the transposed inputs lie; None if there are none."""
    if len(dims) < 2 or dims[-1][0] < LEAST_SIDE:
        return None
    if max(dims[-1][1][inputs.start : inputs.stop], default=0) <= 1:
        return None  # all run along the results
    counts = {
        dim: sum(_lies_across([steps[i] for _, steps in dims], dim) for i in inputs)
        for dim in range(len(dims) - 2, -1, -1)
        if dims[dim][0] >= LEAST_SIDE
    }
    best = max(counts, key=counts.__getitem__, default=None)
    return best if best is not None and counts[best] else None


def _lies_across(steps: Sequence[int], dim: int) -> bool:
    """True if neighbours stand along `dim`, where those of the results stand along the last."""
    return steps[dim] == 1 and steps[-1] > 1


def _classes(steps: Sequence[int], turned: bool) -> tuple[Stride, ...]:  # noqa: FBT001  often
    """What a kernel knows of strides; those of a `turned` input may be 1 in two places."""
    first = len(steps) - 1 - turned
    return tuple([stride_class(n, may_be_unit=dim >= first) for dim, n in enumerate(steps)])


_desc = functools.lru_cache(maxsize=1024)(TensorDesc)


def args_of_batch(_spec: KernelSpec, each: Sequence[ArgSpec], _calls: int) -> ArgSpec:
    """A loop over a table calls the kernel for one call."""
    return each[0]


def batch_key(form: tuple[KernelSpec, ArgSpec], shape: Sequence[int]) -> Hashable | None:
    """Equal for calls of one kernel; None for those that are empty or long."""
    spec, args = form
    return (spec.key, args) if 0 < math.prod(shape) < _LONG else None
