"""Whether a fused result is right: eager's, or nearer to what float64 gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils import _pytree as pytree

import fusekit
from tests.agreement import has_same_strides
from tests.opdb.database import attempt, name_of, samples, special_sample
from tests.opdb.exact import exact_of, slack_of

__all__ = ["complaints", "complaints_about_errors"]

FARTHER = 4
"""How many times as far from float64 as eager a result may be: both have rounded as often."""

CANCELLING = frozenset(
    {"addcdiv", "addcmul", "igamma", "igammac", "logaddexp", "nn_functional_tanhshrink"}
)
"""Operators that subtract what is nearly equal, or eager does."""

ROUNDINGS = 8
"""Units of the last place by which an operator of several steps may differ from eager's."""


def complaints(op: Any, dtype: torch.dtype, engine: str, device: str = "cpu") -> Iterator[str]:
    """What is wrong with the fused results of an entry's samples."""
    fused = fusekit.fuse(op.op, engine=engine)
    special = special_sample(op, dtype, device)
    tried = [*samples(op, dtype, device), *([special] if special else [])]
    for number, sample in enumerate(tried):
        expected, found = attempt(op.op, sample), attempt(fused, sample)
        try:
            _compare(op, sample, expected, found)
        except AssertionError as error:
            shapes = [tuple(x.shape) for x in _tensors((sample.input, sample.args, sample.kwargs))]
            yield f"{name_of(op)} {dtype} sample {number} {shapes} {sample.kwargs}: {error}"


def complaints_about_errors(op: Any, engine: str, device: str = "cpu") -> Iterator[str]:
    """Where what the database says is an error raises another type of exception, or none."""
    fused = fusekit.fuse(op.op, engine=engine)
    for case in op.error_inputs(device):
        sample = case.sample_input
        expected, found = attempt(op.op, sample), attempt(fused, sample)
        if type(expected) is not type(found):
            yield f"{name_of(op)} of {sample}: {found!r} for {expected!r}"
        elif isinstance(expected, Exception) and str(expected) != str(found):
            yield f"{name_of(op)} of {sample}: another text: {found} for {expected}"


def _compare(op: Any, sample: Any, expected: Any, found: Any) -> None:
    if isinstance(expected, Exception) or isinstance(found, Exception):
        assert type(expected) is type(found), f"{found!r} for {expected!r}"
        return
    ours, theirs = pytree.tree_leaves(found), pytree.tree_leaves(expected)
    assert len(ours) == len(theirs)
    wide = None
    for index, (mine, yours) in enumerate(zip(ours, theirs, strict=True)):
        if not isinstance(yours, torch.Tensor):
            assert mine == yours or (mine != mine and yours != yours)
            continue
        assert mine.dtype == yours.dtype
        assert mine.shape == yours.shape
        assert has_same_strides(mine, yours), (mine.stride(), yours.stride())
        wrong = _differs(mine, yours, 1.0 if name_of(op) in CANCELLING else 0.0)
        if bool(wrong.any()) and yours.is_floating_point():
            wide = wide or list(_tensors(_in_float64(op, sample)))
            wrong &= ~_is_nearer(mine, yours, wide[index]) if len(wide) == len(ours) else wrong
            exact = exact_of(op, sample, wrong) if bool(wrong.any()) else None
            if exact is not None:
                slack = slack_of(op) * exact.abs().clamp(min=1.0)
                near = (mine[wrong].double() - exact).abs() <= slack
                wrong[wrong.clone()] = ~(near | _is_nearer(mine[wrong], yours[wrong], exact))
        where = tuple(int(i) for i in wrong.nonzero()[0]) if bool(wrong.any()) else None
        assert where is None, (
            f"{mine[where].item()!r} for {yours[where].item()!r} at {where} "
            f"({int(wrong.sum())} of {wrong.numel()})"
        )


def _differs(mine: torch.Tensor, yours: torch.Tensor, least: float) -> torch.Tensor:
    """Where two results are neither equal nor near, relative to their size, or `least`."""
    same = (mine == yours) | ((mine != mine) & (yours != yours))
    if not yours.is_floating_point():
        return ~same
    info = torch.finfo(yours.dtype)
    slack = ROUNDINGS * info.eps * yours.double().abs().clamp(min=least) + info.tiny
    return ~(same | ((mine.double() - yours.double()).abs() <= slack))


def _is_nearer(mine: torch.Tensor, yours: torch.Tensor, wide: torch.Tensor) -> torch.Tensor:
    """Where ours is what float64 gives but for a few roundings, or about as far from it."""
    exact = wide.double()
    rounded = exact.to(mine.dtype)
    same = (mine == rounded) | ((mine != mine) & (rounded != rounded))
    off = (mine.double() - exact).abs()
    near = off <= ROUNDINGS * torch.finfo(mine.dtype).eps * exact.abs()
    eager = (yours.double() - exact).abs()
    return same | near | ((off <= FARTHER * eager) & eager.isfinite())


def _in_float64(op: Any, sample: Any) -> Any:
    """Eager's results for the same numbers in float64."""
    wide = type(sample)(
        pytree.tree_map(_widened, sample.input),
        args=pytree.tree_map(_widened, sample.args),
        kwargs=pytree.tree_map(_widened, sample.kwargs),
    )
    return attempt(op.op, wide)


def _widened(leaf: Any) -> Any:
    is_number = isinstance(leaf, torch.Tensor) and leaf.dtype != torch.bool
    return leaf.double() if is_number else leaf


def _tensors(tree: Any) -> Iterator[torch.Tensor]:
    yield from (leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, torch.Tensor))
