"""How much of torch's database runs in kernels, and that docs/operators.md says so."""

from __future__ import annotations

import warnings

import pytest
import torch

from tests.opdb.database import elementwise, name_of
from tests.opdb.page import PAGE, accuracies, outcomes, short

FUSED_AT_LEAST = 0.95

TRIED = (torch.float32, torch.bfloat16, torch.int32)
"""The page is made with all dtypes, which takes minutes."""

LETTERS = {torch.float32: "fs", torch.bfloat16: "f", torch.int32: "i"}
"""Groups of dtypes on the page that hold these."""


def cells() -> dict[str, list[str]]:
    """Operator -> the other cells of its row."""
    lines = [line.strip("|").split("|") for line in PAGE.read_text().splitlines() if "|" in line]
    return {name.strip(): [cell.strip() for cell in rest] for name, *rest in lines[2:]}


@pytest.mark.parametrize("dtype", TRIED, ids=str)
def test_most_are_fused_and_the_page_names_the_others(dtype):
    on_page = cells()
    entries = elementwise(dtype)
    left = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # eager's own, about what samples do
        for op in entries:
            (found,) = outcomes(op, [dtype]).values()
            fused, _, reasons = on_page[name_of(op)]
            listed = set(fused.split())
            told = bool(listed & {*LETTERS[dtype], str(dtype).removeprefix("torch.")})
            assert told == found.is_fused, f"{name_of(op)}: {found}"
            assert all(reason in reasons for reason in found.left), f"{name_of(op)}: {found}"
            left += [] if found.is_fused else [name_of(op)]
    assert len(left) <= (1 - FUSED_AT_LEAST) * len(entries), left


def test_the_page_lists_every_entry():
    assert set(cells()) == {name_of(op) for op in elementwise()}


def test_the_page_has_the_measured_accuracies():
    measured = accuracies()
    on_page = cells()
    for name in ("exp", "tanh", "erf", "special_bessel_j0"):
        assert on_page[name][1] == measured[name.removeprefix("special_")]


def test_dtypes_are_named_shortly():
    floats = [torch.float32, torch.float64]
    assert short([*floats, torch.bool]) == "s b"
    assert short([torch.float64, torch.int8]) == "float64 int8"
