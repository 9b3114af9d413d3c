"""Casts that change nothing go, however far back that is decided."""

from __future__ import annotations

import pytest

from fusekit.fusion import simplify
from fusekit.ir import DType, Graph, GraphBuilder


def chosen_from_halves(half: DType, n_nodes: int, other: DType, literal: float) -> Graph:
    """Many choices among what halves hold, rounded to a half and widened again."""
    builder = GraphBuilder()
    x = builder.input(half, (4,))
    wide = builder.cast(x, DType.F32)
    low = builder.cast(builder.input(other, (4,)), DType.F32)
    value = builder.apply("maximum", wide, builder.const(literal, DType.F32))
    for _ in range(n_nodes):
        smaller = builder.apply("minimum", value, low)
        value = builder.apply("maximum", builder.apply("neg", smaller), value)
    back = builder.cast(builder.cast(value, half), DType.F32)
    return builder.finish([builder.apply("exp", back)])


@pytest.mark.parametrize("half", [DType.F16, DType.BF16])
@pytest.mark.parametrize("n_nodes", [1, 30, 3000])
def test_a_choice_among_halves_is_one(half: DType, n_nodes: int) -> None:
    found = simplify(chosen_from_halves(half, n_nodes, half, 0.0))
    assert [node.op for node in found.nodes].count("cast") == 2


@pytest.mark.parametrize(
    ("other", "literal"), [(DType.BF16, 0.0), (DType.I32, 0.0), (DType.F16, 0.1)]
)
def test_a_choice_among_others_is_rounded(other: DType, literal: float) -> None:
    found = simplify(chosen_from_halves(DType.F16, 3, other, literal))
    assert [node.op for node in found.nodes].count("cast") == 4
