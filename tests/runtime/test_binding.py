"""Binding: joint collapsing, stride classes, and no sizes in what a kernel is specialised on."""

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from fusekit.codegen.cpu_walks import LEAST_SIDE, transposed
from fusekit.codegen.layout import layout_words
from fusekit.ir import DType
from fusekit.ir.graph import contiguous_strides
from fusekit.runtime.binding import Binding, bind, expand_strides
from fusekit.runtime.operand import Operand
from fusekit.specs import Stride


def f32(*strides: int) -> Operand:
    return Operand(DType.F32, strides)


def test_contiguous_tensors_collapse_to_one_dimension() -> None:
    binding = bind((4, 8, 16), [f32(128, 16, 1)] * 2, [f32(128, 16, 1)])
    assert binding.args.ndim == 1
    assert binding.layout == (512,)
    assert all(desc.strides == (Stride.UNIT,) for desc in binding.args.tensors)


def test_dimensions_collapse_only_where_every_tensor_agrees() -> None:
    row = bind((4, 8), [f32(8, 1), f32(0, 1)], [f32(8, 1)])
    assert row.args.ndim == 2
    assert row.args.inputs[1].strides == (Stride.BROADCAST, Stride.UNIT)
    everywhere = bind((4, 8), [f32(8, 1), f32(0, 0)], [f32(8, 1)])
    assert everywhere.args.ndim == 1
    assert everywhere.args.inputs[1].strides == (Stride.BROADCAST,)


def test_a_permuted_layout_shared_by_all_is_contiguous() -> None:
    binding = bind((4, 8), [f32(1, 4)], [f32(1, 4)])
    assert binding.args.ndim == 1


def test_sizes_are_not_part_of_the_argspec() -> None:
    specs = {bind((n, 7), [f32(7, 1), f32(0, 1)], [f32(7, 1)]).args for n in range(2, 200)}
    assert len(specs) == 1


def test_extents_of_one_do_not_matter() -> None:
    assert bind((1, 5, 1), [f32(99, 1, 7)], [f32(5, 1, 1)]) == bind((5,), [f32(1)], [f32(1)])


def test_a_single_element_has_no_dimensions() -> None:
    binding = bind((), [f32()], [f32()])
    assert (binding.args.ndim, binding.layout, binding.numel) == (0, (), 1)


def test_expand_strides() -> None:
    assert expand_strides((3, 1), (1, 1), (2, 3, 4)) == (0, 1, 0)
    assert expand_strides((1, 1), (5, 5), (1, 4)) == (5, 0)


def addresses(binding: Binding, tensor: int) -> list[int]:
    """The element offsets that a kernel with this binding visits for one tensor, in order."""
    words = dict(zip(layout_words(binding.args), binding.layout, strict=True))
    extents = [v for w, v in words.items() if w.tensor is None]
    run_time = {w.dim: v for w, v in words.items() if w.tensor == tensor}
    classes = binding.args.tensors[tensor].strides
    steps = [
        {Stride.BROADCAST: 0, Stride.UNIT: 1}.get(stride, run_time.get(dim, 0))
        for dim, stride in enumerate(classes)
    ]
    return [
        sum(i * step for i, step in zip(index, steps, strict=True))
        for index in itertools.product(*map(range, extents))
    ]


@given(st.data())
def test_a_binding_visits_the_same_elements_as_the_map_shape(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 4), max_size=4)))
    order = data.draw(st.permutations(range(len(shape))))
    dense = contiguous_strides(tuple(shape[d] for d in order))
    output = tuple(dense[order.index(d)] for d in range(len(shape)))
    inputs = [
        tuple(data.draw(st.sampled_from((0, 1, 2, 5, step, 3 * step))) for step in output)
        for _ in range(data.draw(st.integers(0, 3)))
    ]
    binding = bind(shape, [f32(*s) for s in inputs], [f32(*output)])
    assert binding.numel == math.prod(shape)
    expected = sorted(
        tuple(sum(i * s for i, s in zip(index, each, strict=True)) for each in (*inputs, output))
        for index in itertools.product(*map(range, shape))
    )
    found = sorted(zip(*(addresses(binding, t) for t in range(len(inputs) + 1)), strict=True))
    assert found == expected


def test_a_transposed_operand_is_known_as_one() -> None:
    n, m = 37, 41
    binding = bind((n, m), [f32(1, n), f32(m, 1)], [f32(m, 1)])
    assert binding.args.inputs[0].strides == (Stride.UNIT, Stride.STRIDED)
    assert binding.args.inputs[1].strides == (Stride.STRIDED, Stride.UNIT)
    assert transposed(binding.args) == (0,)
    pairs = set(zip(addresses(binding, 0), addresses(binding, 2), strict=True))
    assert pairs == {(i + j * n, i * m + j) for i in range(n) for j in range(m)}


def test_the_dimension_along_which_an_operand_lies_becomes_the_rows() -> None:
    a, b, c = 20, 3, 30
    binding = bind((a, b, c), [f32(1, a, a * b)], [f32(b * c, c, 1)])
    assert binding.args.inputs[0].strides == (Stride.STRIDED, Stride.UNIT, Stride.STRIDED)
    assert binding.layout[:3] == (b, a, c)
    pairs = set(zip(addresses(binding, 0), addresses(binding, 1), strict=True))
    assert pairs == {
        (i + j * a + k * a * b, i * b * c + j * c + k)
        for i, j, k in itertools.product(range(a), range(b), range(c))
    }


def test_what_is_not_transposed_is_not_taken_for_it() -> None:
    few = bind((64, LEAST_SIDE - 1), [f32(1, 64)], [f32(LEAST_SIDE - 1, 1)])
    column = bind((64, 64), [f32(1, 0)], [f32(64, 1)])
    windows = bind((64, 64), [f32(1, 1)], [f32(64, 1)])
    output = bind((64, 64), [f32(64, 1)], [f32(64, 1), f32(1, 64)])
    for binding in (few, column, windows, output):
        assert transposed(binding.args) == ()
        assert all(Stride.UNIT not in desc.strides[:-1] for desc in binding.args.tensors)
