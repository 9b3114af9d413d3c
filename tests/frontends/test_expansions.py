"""Losses are eager's also where their arguments are odd."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  the usual name

import fusekit

X = torch.randn(3, 4)

CASES = {
    "half and float": lambda: F.soft_margin_loss(X.half(), X),
    "long and float": lambda: F.soft_margin_loss(X.long(), X),
    "a target that is larger": lambda: F.soft_margin_loss(X.sum(), X),
    "a target of integers": lambda: F.binary_cross_entropy_with_logits(X, (X > 0).long()),
    "a weight that is larger": lambda: F.binary_cross_entropy_with_logits(
        X, X.sigmoid(), weight=torch.rand(2, 3, 4)
    ),
    "no probability": lambda: F.binary_cross_entropy(X, X.sigmoid()),
    "a weight for each column": lambda: F.binary_cross_entropy_with_logits(
        X, X.sigmoid(), weight=torch.arange(4.0), pos_weight=torch.arange(1.0, 5.0)
    ),
    "bfloat16": lambda: F.mse_loss(X.bfloat16(), X.bfloat16() + 1, reduction="sum"),
}


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("case", CASES)
def test_results_and_errors_are_eagers(case):
    outcomes = []
    for run in (lambda _, fn=CASES[case]: fn(), fusekit.fuse(lambda _, fn=CASES[case]: fn())):
        try:
            outcomes.append(run(X))
        except (RuntimeError, ValueError) as error:
            outcomes.append(error)
    expected, found = outcomes
    assert type(found) is type(expected), (found, expected)
    if isinstance(expected, torch.Tensor):
        torch.testing.assert_close(found, expected)
