"""Joining units never closes a cycle, and every answer is that of a search through everything."""

from __future__ import annotations

import itertools

import hypothesis
import pytest
from hypothesis import strategies as st

from fusekit.fusion import order as order_
from fusekit.fusion.order import AcyclicOrder


class Naive:
    """The same by definition: edges between sets of nodes."""

    def __init__(self, n_units: int, edges: list[tuple[int, int]]) -> None:
        self.edges = edges
        self.name = list(range(n_units))

    def leads_around(self, one: int, other: int) -> bool:
        after: dict[int, set[int]] = {}
        for early, late in self.edges:
            if self.name[early] != self.name[late]:
                after.setdefault(self.name[early], set()).add(self.name[late])
        for start, end in ((one, other), (other, one)):
            pending = list(after.get(start, set()) - {end})
            seen: set[int] = set()
            while pending:
                unit = pending.pop()
                if unit == end:
                    return True
                if unit not in seen:
                    seen.add(unit)
                    pending += after.get(unit, ())
        return False

    def join(self, kept: int, gone: int) -> None:
        self.name = [kept if name == gone else name for name in self.name]


@st.composite
def graphs(draw):
    n_units = draw(st.integers(2, 25))
    edges = draw(
        st.lists(st.tuples(st.integers(0, n_units - 1), st.integers(0, n_units - 1)), max_size=60)
    )
    barriers = sorted(draw(st.sets(st.integers(0, n_units - 1), max_size=n_units // 3)))
    chained = list(itertools.pairwise(barriers))
    return n_units, [(min(e), max(e)) for e in edges if e[0] != e[1]] + chained, barriers


@pytest.mark.parametrize("gap", [order_._GAP, 3, 1])
def test_joins_are_those_of_an_exhaustive_search(gap: int, monkeypatch) -> None:
    monkeypatch.setattr(order_, "_GAP", gap)  # small ones: places run out and are dealt anew

    @hypothesis.given(graphs(), st.randoms(use_true_random=False))
    def run(graph, chance) -> None:
        join_at_random(graph, chance)

    run()


def join_at_random(graph, chance) -> None:
    n_units, edges, barriers = graph
    naive = Naive(n_units, edges)
    numbers = {unit: number for number, unit in enumerate(barriers)}
    order = AcyclicOrder(range(n_units), edges, numbers)
    for _ in range(60):
        units = sorted(set(naive.name) - set(barriers))
        if len(units) < 2:
            break
        one, other = chance.sample(units, 2)
        leads_around = naive.leads_around(one, other)
        assert order.leads_around(one, other) == leads_around
        kept = order.join(one, other)
        assert (kept is None) == leads_around
        if kept is not None:
            naive.join(kept, other if kept == one else one)
        _check(order, naive)


def _check(order: AcyclicOrder, naive: Naive) -> None:
    """Its edges are those between the joined units, and its line respects them all."""
    expected = {(naive.name[a], naive.name[b]) for a, b in naive.edges}
    expected = {(early, late) for early, late in expected if early != late}
    assert {(early, late) for early, each in order.after.items() for late in each} == expected
    assert {(early, late) for late, each in order.before.items() for early in each} == expected
    assert all(order._place[early] < order._place[late] for early, late in expected)
    line, unit = [], order._next[-1]
    while unit != -1:
        line.append(unit)
        unit = order._next[unit]
    assert sorted(line) == sorted(set(naive.name))
    places = [order._place[unit] for unit in line]
    assert places == sorted(set(places))
