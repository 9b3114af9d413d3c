"""Every operator of PyTorch's database in a function that writes into its result.

Most are no kernels' business: PyTorch runs them. What counts is that values, strides, arguments and
who shares whose memory are eager's, and that nothing fails.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.utils import _pytree as pytree

import fusekit
from tests.opdb.database import entries, name_of, samples

PARTS = 8

CASES = [
    pytest.param(torch.float32, 1, id="float32"),
    pytest.param(torch.float32, 4, id="float32-more", marks=pytest.mark.slow),
    pytest.param(torch.complex64, 4, id="complex64", marks=pytest.mark.slow),
]
"""A dtype, and how many samples of each operator."""

_DRAWS = (
    *("rand", "normal", "bernoulli", "multinomial", "dropout", "uniform", "cauchy", "exponential"),
    *("geometric", "rrelu", "empty", "lowrank", "fractional", "attention"),
)
"""Parts of the names of what draws numbers, or leaves memory as it is."""


def written(operator: Callable[..., Any]) -> Callable[..., Any]:
    """A function that reads what the operator was given after it wrote into what it made."""

    def function(x: Any, *args: Any, **kwargs: Any) -> Any:
        given = x * 1 if isinstance(x, torch.Tensor) else x
        made = operator(given, *args, **kwargs)
        for tensor in tensors(made)[:1]:
            tensor.add_(1)
        return made, given + 1 if isinstance(x, torch.Tensor) else None

    return function


def plain(operator: Callable[..., Any]) -> Callable[..., Any]:
    """The operator, by a function that writes into its argument at the end."""

    def function(x: Any, *args: Any, **kwargs: Any) -> Any:
        made = operator(x, *args, **kwargs)
        if isinstance(x, torch.Tensor):
            x.mul_(2)
        return made

    return function


def tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def outcome(function: Callable[..., Any], sample: Any) -> tuple[Any, list[torch.Tensor]]:
    """What a call on copies returns or raises, and its tensors: arguments, then results."""
    given = pytree.tree_map(
        lambda x: x.detach().clone() if isinstance(x, torch.Tensor) else x,
        (sample.input, sample.args, sample.kwargs),
    )
    try:
        made = function(given[0], *given[1], **given[2])
    except Exception as error:  # noqa: BLE001  whatever eager raises
        return type(error), []
    return pytree.tree_structure(made), [*tensors(given), *tensors(made)]


def differences(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> Iterator[str]:
    for one, other in zip(ours, theirs, strict=True):
        if (one.dtype, one.layout, one.shape) != (other.dtype, other.layout, other.shape):
            yield f"{one.dtype} {tuple(one.shape)} for {other.dtype} {tuple(other.shape)}"
        elif one.layout is torch.strided:
            if one.numel() > 1 and one.stride() != other.stride():
                yield f"strides {one.stride()} for {other.stride()}"
            if not torch.allclose(one, other, rtol=1e-4, atol=1e-5, equal_nan=True):
                yield "values"
    if partners(ours) != partners(theirs):
        yield "memory"


def partners(found: list[torch.Tensor]) -> list[int]:
    """For each tensor, the first that lies in the same memory."""
    memories = [
        x.untyped_storage().data_ptr() if x.layout is torch.strided and x.numel() else id(x)
        for x in found
    ]
    return [memories.index(memory) for memory in memories]


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize(("dtype", "most"), CASES)
@pytest.mark.parametrize("around", [written, plain], ids=lambda around: around.__name__)
def test_it_does_what_eager_does(
    around: Callable[..., Any], dtype: torch.dtype, most: int, part: int
) -> None:
    wrong = []
    for op in entries()[part::PARTS]:
        if dtype not in op.supported_dtypes("cpu") or any(x in name_of(op) for x in _DRAWS):
            continue
        function = around(op.op)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", "a fault in fusekit")
            for number, sample in enumerate(samples(op, dtype)[:most]):
                expected, theirs = outcome(function, sample)
                returned, ours = outcome(fusekit.fuse(function), sample)
                if returned != expected:
                    wrong.append(f"{name_of(op)} {number}: {returned} for {expected}")
                else:
                    wrong += [f"{name_of(op)} {number}: {x}" for x in differences(ours, theirs)]
    assert not wrong
