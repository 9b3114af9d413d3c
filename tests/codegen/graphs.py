"""Graphs that several tests use."""

from __future__ import annotations

import torch

from fusekit.ir import Graph, parse_graph


def mixed() -> Graph:
    """Three dtypes, a scalar, a helper; the second output is no function of the scalar."""
    return parse_graph(
        "graph mixed(%0: f32, %1: f32, %2: bool, %3: scalar f64) {\n"
        "  %4: f32 = cast %3 dtype=f32\n"
        "  %5: f32 = mul %0, %1\n"
        "  %6: f32 = add %5, %4\n"
        "  %7: f32 = select %2, %6, %1\n"
        "  %8: f32 = tanh %7\n"
        "  %9: bool = lt %0, %1\n"
        "  %10: i64 = cast %9 dtype=i64\n"
        "  return %8, %10\n"
        "}\n"
    )


def eager_mixed(x, y, c, s):
    return torch.where(c, x * y + s, y).tanh(), (x < y).long()
