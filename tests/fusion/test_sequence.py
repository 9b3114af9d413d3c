"""A sequence of nodes is a list in which others take a node's place."""

from __future__ import annotations

import hypothesis
from hypothesis import strategies as st

from fusekit.fusion.sequence import NodeSequence
from fusekit.ir import Node

INPUT = 0


def chain(first: int, count: int, operand: int) -> list[Node]:
    """Nodes that make values `first`, `first` + 1, ... each from the one before."""
    operands = [operand, *range(first, first + count)]
    return [Node("neg", (operands[i],), (first + i,)) for i in range(count)]


@hypothesis.given(st.integers(0, 6), st.lists(st.tuples(st.integers(0), st.integers(0, 3))))
def test_replacing_is_what_it_is_in_a_list(count: int, steps: list[tuple[int, int]]) -> None:
    expected = chain(1, count, INPUT)
    found = NodeSequence(expected)
    fresh = 100
    for pick, n_new in steps:
        if not expected:
            break
        at = pick % len(expected)
        spot = list(found.spots())[at]
        assert found[spot] == expected[at]
        new = chain(fresh, n_new, INPUT)
        fresh += n_new
        expected[at : at + 1] = new
        spots = found.replace(spot, new)
        assert [found[each] for each in spots] == new
        assert list(found) == expected
        assert [found[each] for each in found.spots_backwards()] == expected[::-1]
        for value in {INPUT, *(out for node in expected for out in node.outputs)}:
            readers = [found[each] for each in found.readers(value)]
            assert sorted(n.outputs for n in readers) == sorted(
                n.outputs for n in expected if value in n.inputs
            )
            maker = found.maker(value)
            made = [node for node in expected if value in node.outputs]
            assert ([] if maker is None else [found[maker]]) == made


def test_what_is_replaced_on_the_way_is_met_in_its_place() -> None:
    found = NodeSequence(chain(1, 3, INPUT))
    met = []
    for spot in found.spots():
        met.append(found[spot].output)
        if found[spot].output == 2:
            found.replace(spot, chain(20, 2, 1))
    assert met == [1, 2, 20, 21, 3]
    met = []
    for spot in found.spots_backwards():
        met.append(found[spot].output)
        if found[spot].output == 21:
            found.replace(spot)
    assert met == [3, 21, 20, 1]
