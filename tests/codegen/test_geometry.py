"""Grids and words of GPU kernels: division by multiplying, and blocks that cover every element."""

from __future__ import annotations

import itertools
import math

from hypothesis import example, given
from hypothesis import strategies as st

from fusekit.codegen.geometry import Geometry
from fusekit.codegen.gpu_schedule import GpuSchedule
from fusekit.ir import DType
from fusekit.specs import ArgSpec, Stride, TensorDesc

LIMIT = 2**31
SPREAD = GpuSchedule(lanes=4, adjacent=False)


def geometry(ndim: int, schedule: GpuSchedule, index_bits: int = 32) -> Geometry:
    """Of a kernel with one input and one output, whose rows are not next to each other."""
    strides = (Stride.STRIDED,) * (ndim - 1) + (Stride.UNIT,) * bool(ndim)
    desc = TensorDesc(DType.F32, strides, 16)
    return Geometry(ArgSpec("cuda", ndim, (desc,), (desc,), index_bits), schedule)


def values(found: Geometry, *extents: int) -> dict[tuple[str, int], int]:
    """(kind, dimension) -> the word's value, of a call with these extents."""
    steps = [1] * (2 * (len(extents) - 1))
    made = found.values([*extents, *steps])
    words = zip(found.words, made, strict=True)
    return {(word.kind, word.dim): value for word, value in words}


near_powers = st.builds(
    lambda power, off: min(max((1 << power) + off, 1), LIMIT - 1),
    st.integers(0, 31),
    st.integers(-2, 2),
)
divisors = st.one_of(st.integers(1, 1000), near_powers, st.integers(1, LIMIT - 1))


@st.composite
def divisions(draw: st.DrawFn) -> tuple[int, int]:
    """(x, d): anything, or x at an edge between two quotients."""
    divisor = draw(divisors)
    quotient = draw(st.integers(0, (LIMIT - 1) // divisor))
    off = draw(st.sampled_from((-1, 0, 1)))
    edge = min(max(quotient * divisor + off, 0), LIMIT - 1)
    return draw(st.one_of(st.just(edge), st.integers(0, LIMIT - 1))), divisor


@given(divisions())
@example((LIMIT - 1, 1))
@example((LIMIT - 1, LIMIT - 1))
@example((LIMIT - 1, 7))
@example((LIMIT - 2, 2**30 + 1))
def test_multiplying_divides(division: tuple[int, int]) -> None:
    x, divisor = division
    words = values(geometry(2, SPREAD), 1, divisor)
    factor, shift = words["factor", 1], words["shift", 1]
    assert factor < 2**32  # a 32-bit word
    assert x * factor < 2**64  # what the kernel multiplies in
    assert x * factor >> shift == x // divisor


def test_vectors_divide_by_the_vectors_of_a_row() -> None:
    words = values(geometry(2, GpuSchedule(lanes=4)), 3, 20)
    assert 17 * words["factor", 1] >> words["shift", 1] == 17 // 5


def test_wide_indices_and_tiles_take_no_factors() -> None:
    tiled = GpuSchedule(lanes=4, tile=32, tile_dim=0)
    for found in (geometry(3, SPREAD, index_bits=64), geometry(3, tiled)):
        assert {word.kind for word in found.words} == {"size", "stride"}
        assert len(values(found, 2, 3, 4)) == len({(w.kind, w.dim) for w in found.words})


extents = st.lists(st.integers(1, 3000), min_size=1, max_size=4)


@given(extents, st.sampled_from((1, 2, 4, 8, 16)), st.booleans())
def test_blocks_cover_every_element_and_no_block_is_idle(
    sizes: list[int], lanes: int, adjacent: bool
) -> None:
    if adjacent and len(sizes) > 1:
        sizes[-1] *= lanes  # vectors fit into rows, or they are not chosen
    schedule = GpuSchedule(lanes=lanes, adjacent=adjacent)
    layout = [*sizes, *[1] * (2 * (len(sizes) - 1))]
    blocks = geometry(len(sizes), schedule).blocks(layout)
    assert (blocks - 1) * schedule.elements < math.prod(sizes) <= blocks * schedule.elements


@given(st.lists(st.integers(1, 100), min_size=2, max_size=3), st.data())
def test_tiles_cover_every_element(sizes: list[int], data: st.DataObject) -> None:
    cross = data.draw(st.integers(0, len(sizes) - 2))
    schedule = GpuSchedule(lanes=4, tile=32, tile_dim=cross)
    layout = [*sizes, *[1] * (2 * (len(sizes) - 1))]
    blocks = geometry(len(sizes), schedule).blocks(layout)
    steps = [32 if dim in (cross, len(sizes) - 1) else 1 for dim in range(len(sizes))]
    starts = [range(0, size, step) for size, step in zip(sizes, steps, strict=True)]
    assert blocks == len(list(itertools.product(*starts)))


def test_a_single_element_is_one_block_of_one_thread() -> None:
    found = geometry(0, GpuSchedule(block=1))
    assert found.blocks([]) == 1
    assert found.words == ()
