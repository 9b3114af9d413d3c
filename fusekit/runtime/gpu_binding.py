"""What a GPU kernel is specialised on beside dtypes and strides: alignment and index width.

Allocators give memory far better aligned than a vector needs, so binding assumes that of a tensor's
first element; the plan looks at each call's addresses, and `realigned` is for those that are not.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

from fusekit.codegen.geometry import Geometry
from fusekit.codegen.gpu_schedule import MAX_VECTOR_BYTES, choose_gpu, transposed_dim
from fusekit.ir import Graph
from fusekit.runtime.operand import Dim, Operand, Operands, Walked, stride_class
from fusekit.specs import ArgSpec, KernelSpec, Stride, TensorDesc

__all__ = [
    "args_of_batch",
    "batch_key",
    "index_bits",
    "inner_multiple",
    "max_tensors",
    "realigned",
    "walk_on_gpu",
]

_ARGUMENT_BYTES = 32764
"""What a kernel may take, from compute capability 7.0 on (CUDA 12.1 and later)."""

_PIXELS_AND_CHANNELS = 2
_PERIODS = range(2, 5)
"""Complex numbers, colours, and these with alpha; a thread has registers for as many."""

_WORD = 8
_WORDS_OF_DIM = 3
"""An extent, and what divides by it."""

_LARGEST_INDEX = 2**31 - 2**20
"""Up to here 32 bits do, the threads of the last block beyond the end included."""


def max_tensors(graph: Graph) -> int:
    """How many tensors the arguments of one kernel have room for, whatever their layouts."""
    dims = max((len(value.shape or ()) for value in graph.values), default=0)
    beside = _WORD * (len(graph.scalar_inputs) + _WORDS_OF_DIM * dims)
    return max((_ARGUMENT_BYTES - beside) // (_WORD * (1 + dims)), 2)


def walk_on_gpu(dims: list[Dim], operands: Operands) -> Walked:
    """By vectors, where alignment, rows and strides allow them."""
    descs = _descriptions(dims, operands)
    outputs, tensors = descs[: len(operands.outputs)], descs[: operands.n_tensors]
    inputs = tensors[len(outputs) :]
    args = ArgSpec("cuda", len(dims), tuple(inputs), tuple(outputs))
    starts = [0] * len(tensors) + [index.offset for index in operands.indices]
    multiple = inner_multiple(dims, transposed_dim(args))
    return Walked(dims, descs, index_bits(dims, starts), multiple, _period(dims, descs))


def _descriptions(dims: Sequence[Dim], operands: Operands) -> list[TensorDesc]:
    may_be_flat = _is_ragged(dims, operands.outputs) and all(
        _is_flat(dims, position) for position in range(len(operands.outputs))
    )
    return [
        _described(
            operand,
            [strides[position] for _, strides in dims],
            operand.dtype.itemsize if position < operands.n_tensors else 1,
            is_flat=may_be_flat and _is_flat(dims, position),
        )
        for position, operand in enumerate(operands.all)
    ]


def _described(
    operand: Operand, steps: Sequence[int], itemsize: int, *, is_flat: bool
) -> TensorDesc:
    """An index counts 1 for each element, as if it were a tensor of bytes."""
    strides = tuple(stride_class(step, may_be_unit=True) for step in steps)
    alignment = itemsize
    if Stride.UNIT in strides:
        between = [] if is_flat else [step for step in steps if step != 1]
        offsets = [operand.offset, *between]
        alignment = _power_of_two(offset * itemsize for offset in offsets)
    return TensorDesc(operand.dtype, strides, alignment, is_flat)


def _period(dims: Sequence[Dim], descs: Sequence[TensorDesc]) -> int:
    """`ArgSpec.period`."""
    if len(dims) != _PIXELS_AND_CHANNELS or dims[-1][0] not in _PERIODS:
        return 0
    if dims[0][0] % MAX_VECTOR_BYTES:
        return 0  # the last vector would be a part of one
    others = [desc for desc in descs if not desc.flat]
    repeats = all(desc.strides[0] is Stride.BROADCAST for desc in others)
    return dims[-1][0] if repeats and 0 < len(others) < len(descs) else 0


def _is_ragged(dims: Sequence[Dim], outputs: Sequence[Operand]) -> bool:
    """True if vectors do not fit into the innermost extent."""
    narrowest = min((operand.dtype.itemsize for operand in outputs), default=1)
    return len(dims) > 1 and inner_multiple(dims) * narrowest < MAX_VECTOR_BYTES


def _is_flat(dims: Sequence[Dim], position: int) -> bool:
    """True if an operand's elements lie in the order of the walk, without gaps."""
    step = 1
    for extent, strides in reversed(dims):
        if strides[position] != step:
            return False
        step *= extent
    return True


def index_bits(dims: Sequence[Dim], starts: Sequence[int]) -> int:
    """32 if every offset (each counted from its start) and every element's number fits, else 64."""
    spans = [
        start + sum((extent - 1) * strides[i] for extent, strides in dims)
        for i, start in enumerate(starts)
    ]
    numel = math.prod(extent for extent, _ in dims)
    return 32 if max(numel, *spans, 0) < _LARGEST_INDEX else 64


def inner_multiple(dims: Sequence[Dim], transposed: int | None = None) -> int:
    """`ArgSpec.inner_multiple`; `transposed` is the dimension along which inputs are, if any."""
    if len(dims) > 1:
        others = [] if transposed is None else [dims[transposed][0]]
        return _power_of_two([dims[-1][0], *others])
    # no finer, or a function of vectors would have five kernels in place of two
    is_whole = all(extent % MAX_VECTOR_BYTES == 0 for extent, _ in dims)
    return MAX_VECTOR_BYTES if is_whole else 0


def batch_key(form: tuple[KernelSpec, ArgSpec], shape: Sequence[int]) -> tuple[str, ArgSpec] | None:
    """Equal for calls of one kernel, whatever their sizes and alignments; None for empty ones."""
    spec, args = form
    return (spec.key, args_of_batch(spec, [args], 0)) if math.prod(shape) else None


def args_of_batch(spec: KernelSpec, each: Sequence[ArgSpec], calls: int) -> ArgSpec:
    """What serves all of these, which differ in how much is known of sizes and alignments.

    There is room for `calls` of them, or for as many as a launch can be given; 0 leaves open how
    many.
    """
    args = each[0]
    if args.ndim == 1:  # rows are as they are; of a line, the rest is masked
        args = dataclasses.replace(args, inner_multiple=0)
    return dataclasses.replace(args, calls=min(_room(calls), _most(spec, args)) if calls else 0)


def _room(calls: int) -> int:
    """A power of two: the number of tensors rarely makes another kernel."""
    return 1 << max(calls - 1, 1).bit_length()


def _most(spec: KernelSpec, args: ArgSpec) -> int:
    """How many calls the parameters of a launch have room for, as a power of two; at least 2."""
    words = len(Geometry(args, choose_gpu(args)).words)
    slots = len(spec.graph.scalar_inputs) + len(args.tensors)
    bytes_of_call = 4 + words * args.index_bits // 8 + _WORD * slots
    return max(1 << (_ARGUMENT_BYTES // bytes_of_call).bit_length() - 1, 2)


def realigned(args: ArgSpec, addresses: Sequence[int]) -> ArgSpec:
    """`args` for inputs and outputs at these addresses."""
    descs = [
        dataclasses.replace(desc, alignment=_power_of_two([address, desc.alignment]))
        for desc, address in zip(args.tensors, addresses, strict=True)
    ]
    n = len(args.inputs)
    return dataclasses.replace(args, inputs=tuple(descs[:n]), outputs=tuple(descs[n:]))


def _power_of_two(numbers: Iterable[int]) -> int:
    """The largest power of two, at most `MAX_VECTOR_BYTES`, that divides all of them."""
    divisor = math.gcd(MAX_VECTOR_BYTES, *numbers)
    return divisor & -divisor
