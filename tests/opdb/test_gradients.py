"""Gradients of every differentiable elementwise entry, by gradcheck in float64."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.utils import _pytree as pytree

import fusekit
from tests.opdb.database import elementwise, name_of

PARTS = 8

SAMPLES = 4
"""Of each entry; gradcheck calls the function twice for each element."""

EXTENT = 4
"""What is kept of each dimension of a sample."""

FUSED_AT_LEAST = 0.95
"""Of the entries: forward and backward in kernels alone."""

EAGER_FAILS = RuntimeError, ValueError
"""gradcheck's own verdict that an operator is not to be checked in float64: conversions."""


def differentiable() -> list[Any]:
    entries = [op for op in elementwise(torch.float64) if op.supports_autograd]
    return [op for op in entries if torch.float64 in op.supported_backward_dtypes("cpu")]


def small_samples(op: Any) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Arguments of a few samples, cut to a few elements."""
    torch.manual_seed(0)
    made = op.sample_inputs("cpu", torch.float64, requires_grad=True)
    fitting = (x for x in made if isinstance(x.input, torch.Tensor) and x.input.numel())
    for _, sample in zip(range(SAMPLES), fitting, strict=False):
        yield (
            pytree.tree_map(cut, (sample.input, *sample.args)),
            pytree.tree_map(cut, sample.kwargs),
        )


def cut(leaf: Any) -> Any:
    """A leaf tensor that broadcasts as the whole does."""
    if not isinstance(leaf, torch.Tensor):
        return leaf
    part = leaf.detach()[(slice(EXTENT),) * leaf.dim()].clone()
    return part.requires_grad_(leaf.requires_grad)


def verdict(op: Any, function: Callable[..., Any], given: Any, options: Any) -> bool:
    """gradcheck's, of a function of tensors alone."""

    def called(*tensors: Any) -> Any:
        return function(*tensors, **options)

    return torch.autograd.gradcheck(
        called, given, nondet_tol=op.gradcheck_nondet_tol, check_batched_grad=False
    )


@pytest.mark.filterwarnings("ignore::UserWarning")  # gradcheck's, on samples that are not float64
@pytest.mark.parametrize("part", range(PARTS))
def test_gradients_are_right(part: int) -> None:
    wrong = []
    for op in differentiable()[part::PARTS]:
        fused = fusekit.fuse(op.op, engine="llvm")
        for given, options in small_samples(op):
            try:
                verdict(op, op.op, given, options)
            except EAGER_FAILS:
                continue
            try:
                verdict(op, fused, given, options)
            except RuntimeError as error:
                wrong.append(f"{name_of(op)} {options}: {error}")
    assert not wrong, "\n".join(wrong)


def fallbacks(stats: fusekit.Stats) -> int:
    """Calls that PyTorch ran whole, though there was something to compute."""
    return sum(count for code, count in stats.fallbacks.items() if code != "FK0204")


@pytest.mark.filterwarnings("ignore::UserWarning")  # gradcheck's, on samples that are not float64
def test_forward_and_backward_are_fused() -> None:
    left = []
    entries = differentiable()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # eager's own, about what samples do
        for op in entries:
            given, options = next(small_samples(op))
            before = fusekit.stats()
            fused = fusekit.fuse(lambda *a, op=op, **k: op.op(*a, **k), engine="llvm")
            made = [x for x in pytree.tree_leaves(fused(*given, **options)) if x.requires_grad]
            if made:
                sum(x.sum() for x in made).backward()
            if fallbacks(fusekit.stats()) != fallbacks(before):
                left.append(name_of(op))
    assert len(left) <= (1 - FUSED_AT_LEAST) * len(entries), left
