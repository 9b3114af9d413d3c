"""Tables in plain text: columns as wide as what is in them, and numbers as short as they can be."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from fusekit.frontends.dtypes import TO_TORCH
from fusekit.ir import DType
from fusekit.ir.graph import Literal

__all__ = ["aligned", "figure", "spelled"]

_ENOUGH = 17
"""Significant digits that tell any two float64 apart."""


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A line for each row, two spaces between columns, nothing after the last."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def figure(number: float) -> str:
    """Three significant digits: "0.25", "1,330,000", "2e+12"."""
    if not 1000 <= abs(number) < 1e9:
        return f"{number:.3g}"
    return f"{float(f'{number:.3g}'):,.0f}"


def spelled(value: Literal, dtype: DType | None) -> str:
    """The shortest decimal that `dtype` rounds to the value; Python's own without a dtype."""
    if dtype is None or not dtype.is_float:
        return str(value)
    for digits in range(1, _ENOUGH + 1):
        short = float(f"{value:.{digits}g}")
        if torch.tensor(short, dtype=TO_TORCH[dtype]).item() == value:
            return repr(short).removesuffix(".0")
    return str(value)
