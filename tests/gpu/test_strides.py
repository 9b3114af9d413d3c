"""Operands in every layout: transposed, channels last, stepped, expanded, joined and cut."""

from __future__ import annotations

import itertools

import pytest
import torch

import fusekit
from tests.gpu.harness import ALL_DTYPES, ENGINE, check, counted, filled, mix, name_of

pytestmark = pytest.mark.gpu

TILED = (torch.bool, torch.uint8, torch.bfloat16, torch.float32, torch.float64, torch.int64)
tiled_dtypes = pytest.mark.parametrize("dtype", TILED, ids=name_of)

SIDES = ((32, 32), (64, 96), (33, 65), (31, 7), (1, 40), (40, 1), (100, 3), (2, 1000), (257, 129))


@tiled_dtypes
def test_a_transposed_operand(dtype):
    fused = fusekit.fuse(mix, engine=ENGINE)
    for rows, columns in SIDES:
        x, y = filled((columns, rows), dtype), filled((rows, columns), dtype)
        check(fused, x.t(), y, what=(rows, columns))
        check(fused, y, x.t(), what=(rows, columns))


@tiled_dtypes
def test_two_transposed_operands(dtype):
    """Together they are contiguous; with a third in rows both go through shared memory."""

    def three(x, y, z):
        return mix(x, y) + mix(z, y)

    fused, fused_three = (fusekit.fuse(f, engine=ENGINE) for f in (mix, three))
    for rows, columns in SIDES:
        x, y = filled((columns, rows), dtype).t(), filled((columns, rows), dtype).t()
        check(fused, x, y, what=(rows, columns))
        check(fused_three, filled((rows, columns), dtype), x, y, what=(rows, columns))


@tiled_dtypes
def test_batches_of_transposed_operands(dtype):
    fused = fusekit.fuse(mix, engine=ENGINE)
    for batch, rows, columns in ((3, 32, 64), (5, 33, 31), (1, 40, 50), (7, 1, 5), (2, 3, 100)):
        x, y = filled((batch, columns, rows), dtype), filled((batch, rows, columns), dtype)
        check(fused, y, x.transpose(1, 2), what=(batch, rows, columns))
        check(fused, y, filled((columns, rows), dtype).t(), what=(batch, rows, columns))
        check(fused, y, filled((rows, columns, batch), dtype).permute(2, 0, 1))
        check(fused, y, filled((columns, batch, rows), dtype).permute(1, 2, 0))
        check(fused, y, filled((columns, rows, batch), dtype).permute(2, 1, 0))


def test_transposed_operands_beside_all_other_kinds():
    def function(x, across, row, column, single, step):
        return mix(x, across) + mix(row, column) * single + step

    fused = fusekit.fuse(function, engine=ENGINE)
    for rows, columns in SIDES:
        check(
            fused,
            filled((rows, columns)),
            filled((columns, rows)).t(),
            filled((columns,)),
            filled((rows, 1)),
            filled(()),
            filled((rows, 2 * columns))[:, ::2],
            what=(rows, columns),
        )


def test_a_transposed_operand_that_starts_anywhere():
    fused = fusekit.fuse(mix, engine=ENGINE)
    for start in (1, 3, 5):
        x = filled((40 * 50 + start,), torch.bfloat16)[start:].view(50, 40)
        check(fused, filled((40, 50), torch.bfloat16), x.t(), what=start)
        check(fused, x.t()[1:, start:], x.t()[:-1, start:], what=start)
        check(fused, filled((39, 50 - start), torch.bfloat16), x.t()[1:, start:], what=start)


def test_transposed_operands_of_several_dtypes():
    def function(a, b, c, d):
        return a * b, torch.where(d, c, a.long()), b > a

    x = [filled((70, 45), kind).t() for kind in (torch.float32, torch.float64, torch.int64)]
    check(function, filled((45, 70)), x[1], x[2], filled((70, 45), torch.bool).t())
    check(function, x[0], filled((45, 70)).double(), x[2], filled((45, 70), torch.bool))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.uint8], ids=name_of)
def test_channels_last(dtype):
    def biased(x, y, bias):
        return mix(x, y) + bias

    fused = fusekit.fuse(biased, engine=ENGINE)
    for shape in ((2, 3, 4, 5), (2, 32, 16, 16), (1, 7, 9, 11), (3, 1, 8, 8), (4, 64, 1, 1)):
        plain = filled(shape, dtype)
        last = filled(shape, dtype).contiguous(memory_format=torch.channels_last)
        bias = filled((shape[1], 1, 1), dtype)
        for x, y in itertools.product((plain, last), repeat=2):
            check(fused, x, y, bias, what=shape)


@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=name_of)
def test_slices_with_steps(dtype):
    fused = fusekit.fuse(mix, engine=ENGINE)
    x, y = filled((61, 66), dtype), filled((122, 200), dtype)
    for one, other in (
        (x[::2], y[:31, :66]),
        (x[:, ::2], y[:61, :33]),
        (x[:, 1::3], y[::2, 5:27]),
        (x[1::2, 1::2], y[:30, ::6][:, :33]),
        (x.flatten()[::7], y.flatten()[3 : 3 + 576 * 2 : 2][:576]),
    ):
        n = min(one.shape[0], other.shape[0])
        check(fused, one[:n], other[:n], what=one.shape)


def test_expanded_operands():
    fused = fusekit.fuse(mix, engine=ENGINE)
    for rows, columns in ((5, 8), (33, 31), (64, 64)):
        wide = filled((1, columns)).expand(rows, columns)
        tall = filled((rows, 1)).expand(rows, columns)
        single = filled((1, 1)).expand(rows, columns)
        plain = filled((rows, columns))
        for x, y in itertools.product((wide, tall, single, plain), repeat=2):
            check(fused, x, y, what=(x.stride(), y.stride()))


def test_overlapping_windows():
    x = filled((1000,))
    check(mix, x.unfold(0, 16, 4), x.unfold(0, 16, 4))
    check(mix, x.as_strided((40, 50), (7, 3)), filled((40, 50)))


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_joined_outputs(dim):
    """Pieces are written in place, at offsets of any alignment."""

    def join(x, y, z):
        return torch.cat([x * 2, y + 1, x - 1], dim), torch.stack([z + 1, z * 3], dim)

    for shape in ((3, 4, 5), (8, 16, 32), (1, 7, 33)):
        x, z = filled(shape), filled(shape)
        other = list(shape)
        other[dim] += 3
        check(join, x, filled(other), z, groups=None, what=shape)


def test_joined_outputs_of_mixed_dtypes():
    def join(x, y):
        return torch.cat([x > 0, y > 0], 1), torch.cat([x.half(), y.half() * 2], 0), torch.cat([x])

    for shape in ((4, 5), (16, 32), (3, 7)):
        check(join, filled(shape), filled(shape), groups=None, what=shape)


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_pieces_of_inputs(dim):
    def halves(x):
        a, b = x.chunk(2, dim)
        return a * b + a

    def unequal(x):
        a, b, c = x.split([2, 2, x.shape[dim] - 4], dim)
        return a - b, c * 2

    def turned(x):
        a, b = x.transpose(0, dim).chunk(2, 0)
        return a * b + a

    for shape in ((6, 8, 10), (32, 32, 32), (8, 6, 34)):
        for dtype in (torch.float32, torch.bfloat16, torch.uint8):
            x = filled(shape, dtype)
            for function in (halves, unequal, turned):
                check(function, x, groups=None, what=(shape, dtype))
            check(halves, x.transpose(0, 2), groups=None, what=(shape, dtype))


def test_several_outputs_of_mixed_dtypes():
    def function(x, y):
        return x * 2, x > y, x.half(), y.long(), y.double() + x, (x + y).to(torch.int8), y != x

    for x, y in (
        (filled((1001,)), filled((1001,))),
        (filled((64, 48)), filled((48, 64)).t()),
        (filled((33, 17)), filled((17,))),
        (filled((2, 3, 4, 5)).contiguous(memory_format=torch.channels_last), filled((3, 1, 1))),
    ):
        check(function, x * 10, y * 10, groups=None)


def test_no_elements_and_no_dimensions():
    fused = fusekit.fuse(mix, engine=ENGINE)
    for shapes in (((0,), (0,)), ((0, 5), (5,)), ((3, 0), (1, 1)), ((3, 0, 4), (3, 1, 4))):
        x, y = (filled(shape) for shape in shapes)
        assert fused.explain(x, y).fused
        check(fused, x, y, what=shapes)
    for shapes in (((), ()), ((1,), ()), ((1, 1), (1,)), ((), (3,)), ((3, 1), ())):
        check(fused, *(filled(shape) for shape in shapes), what=shapes)


def test_arguments_are_written_in_place():
    def add_in_place(x, y):
        x.add_(y).mul_(2)
        return x * y

    def write_part(x, y):
        x[:, 1:] *= 2
        x[0] = y[0]
        return x + y

    for function in (add_in_place, write_part):
        fused = fusekit.fuse(function, engine=ENGINE)
        for layout in (lambda x: x, lambda x: x.t(), lambda x: x[1:, 1:], lambda x: x[:, ::2]):
            original, y = filled((20, 36)), filled((20, 36))
            ours, theirs, y = layout(original.clone()), layout(original.clone()), layout(y)
            with counted():
                got = fused(ours, y)
            expected = function(theirs, y)
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
            torch.testing.assert_close(got, expected, rtol=0, atol=0)
            assert ours.stride() == theirs.stride()
            assert got.stride() == expected.stride()


def add_all(tensors):
    total = tensors[0] * 2
    for tensor in tensors[1:]:
        total = total + tensor
    return total


@pytest.mark.parametrize(("count", "limit"), [(127, 128), (200, 128), (600, 1000)])
def test_more_tensors_than_one_kernel_takes(count, limit):
    with fusekit.options(max_arguments=limit):
        for shape in ((7,), (33, 5)):
            tensors = [filled(shape) for _ in range(count)]
            check(add_all, tensors, groups=None, what=count)
