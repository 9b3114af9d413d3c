"""What a GPU kernel is specialised on: alignment, index width, the innermost extent."""

from __future__ import annotations

import pytest

from fusekit.ir import DType, GraphBuilder
from fusekit.runtime.binding import bind
from fusekit.runtime.gpu_binding import index_bits, inner_multiple, max_tensors, realigned
from fusekit.runtime.operand import Operand
from fusekit.specs import Stride


def operand(*strides: int, dtype: DType = DType.F32, offset: int = 0) -> Operand:
    return Operand(dtype, strides, offset)


@pytest.mark.parametrize(
    ("dtype", "offset", "alignment"),
    [
        (DType.F32, 0, 16),
        (DType.F32, 1, 4),
        (DType.F32, 2, 8),
        (DType.F32, 4, 16),
        (DType.F64, 1, 8),
        (DType.BF16, 1, 2),
        (DType.BF16, 4, 8),
        (DType.U8, 3, 1),
        (DType.U8, 6, 2),
        (DType.U8, 64, 16),
    ],
)
def test_alignment_follows_from_the_offset(dtype: DType, offset: int, alignment: int) -> None:
    """Allocators align the memory itself far better."""
    args = bind((64,), [operand(1, dtype=dtype, offset=offset)], [operand(1)], "cuda").args
    assert args.inputs[0].alignment == alignment
    assert args.outputs[0].alignment == 16


@pytest.mark.parametrize(("row", "alignment"), [(8, 16), (12, 16), (10, 8), (9, 4)])
def test_alignment_follows_from_the_rows(row: int, alignment: int) -> None:
    args = bind((3, 8), [operand(row, 1)], [operand(8, 1)], "cuda").args
    assert args.inputs[0].alignment == alignment


def test_only_what_is_contiguous_somewhere_is_loaded_as_vectors() -> None:
    args = bind((4, 8), [operand(8, 2), operand(1, 6)], [operand(8, 1)], "cuda").args
    assert [desc.alignment for desc in args.inputs] == [4, 8]


def test_inputs_may_be_contiguous_along_any_dimension() -> None:
    args = bind((4, 8), [operand(1, 4)], [operand(8, 1)], "cuda").args
    assert args.inputs[0].strides == (Stride.UNIT, Stride.STRIDED)


@pytest.mark.parametrize(
    ("dims", "bits"),
    [
        ([(2**20, (1, 1))], 32),
        ([(2**31 - 2**20 - 1, (1, 0))], 32),
        ([(2**31 - 2**20, (1, 0))], 64),  # the last block's threads would overflow
        ([(2**31, (1, 1))], 64),
        ([(2, (2**30, 4)), (4, (1, 1))], 32),
        ([(3, (2**30, 4)), (4, (1, 1))], 64),  # few elements, far apart
        ([(2**16, (0, 0)), (2**16, (0, 1))], 64),  # near each other, but many
        ([], 32),
    ],
)
def test_indices_are_as_wide_as_they_must_be(dims: list, bits: int) -> None:
    assert index_bits(dims, [0, 0]) == bits


def test_where_a_tensor_starts_counts_for_the_width() -> None:
    assert index_bits([(2, (1,))], [2**31]) == 64


@pytest.mark.parametrize(
    ("extents", "multiple"),
    [
        ((4, 8), 8),
        ((4, 6), 2),
        ((4, 7), 1),
        ((4, 48), 16),
        ((4, 64), 16),
        ((7,), 0),
        ((32,), 16),
        ((), 16),
    ],
)
def test_what_divides_the_innermost_extent(extents: tuple[int, ...], multiple: int) -> None:
    assert inner_multiple([(extent, (1,)) for extent in extents]) == multiple


def test_realigning_for_the_addresses_of_a_call() -> None:
    args = bind((64,), [operand(1), operand(1, offset=2)], [operand(1)], "cuda").args
    assert realigned(args, [0x1000, 0x2008, 0x3000]) == args
    found = realigned(args, [0x1004, 0x2008, 0x3000])
    assert [desc.alignment for desc in found.tensors] == [4, 8, 16]
    assert found.ndim == args.ndim


def test_sizes_are_no_part_of_it() -> None:
    specs = {
        bind((n, 8 * n), [operand(8 * n, 1), operand(0, 1)], [operand(8 * n, 1)], "cuda").args
        for n in range(2, 60)
    }
    assert len(specs) <= 2  # by whether 8 or 16 divides the innermost extent


def test_the_arguments_of_a_kernel_have_room_for_so_many_tensors() -> None:
    """8 bytes for each pointer and each stride, the words of each dimension beside them."""
    builder = GraphBuilder()
    x = builder.input(DType.F32, (2, 3, 4))
    assert max_tensors(builder.finish([x])) == (32764 - 8 * 9) // (8 * 4)
