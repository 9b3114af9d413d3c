"""What the GPU tests share: tensors, and comparison with eager CUDA and with float64."""

from __future__ import annotations

import contextlib
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

import fusekit

__all__ = [
    "ALL_DTYPES",
    "DEVICE",
    "ENGINE",
    "assert_equal",
    "check",
    "check_accuracy",
    "cold",
    "counted",
    "filled",
    "mix",
    "name_of",
    "no_synchronisation",
]

DEVICE = "cuda"
ENGINE = "cuda"

ALL_DTYPES = (
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
)


def name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def filled(shape: Sequence[int], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """A contiguous tensor of random values."""
    if dtype == torch.bool:
        return torch.rand(shape, device=DEVICE) > 0.5
    if dtype.is_floating_point:
        return torch.randn(shape, device=DEVICE).to(dtype)
    low = 0 if torch.iinfo(dtype).min == 0 else -100
    return torch.randint(low, 100, shape, device=DEVICE).to(dtype)


def mix(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Defined for every dtype, exact in eager and in kernels, and it tells x from y."""
    return torch.where(x > y, x, y) + x


def assert_equal(got: Any, expected: Any, what: object = "") -> None:
    """The same structure, dtypes, devices, shapes, strides, and values bit for bit."""
    ours, theirs = pytree.tree_leaves(got), pytree.tree_leaves(expected)
    assert len(ours) == len(theirs), what
    for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        where = f"{what} result {index}"
        assert one.dtype == other.dtype, where
        assert one.device == other.device, where
        assert one.shape == other.shape, where
        assert not other.numel() or one.stride() == other.stride(), where
        same = (one == other) | ((one != one) & (other != other))
        if not bool(same.all()):
            at = tuple(int(i) for i in (~same).nonzero()[0])
            wrong = int((~same).sum())
            raise AssertionError(
                f"{where}{list(at)}: {one[at].item()!r}, eager has {other[at].item()!r} "
                f"({wrong} of {same.numel()} differ, shape {list(one.shape)}, {one.dtype})"
            )


@contextlib.contextmanager
def counted(*, launches: int | None = None, new_kernels: int | None = None) -> Iterator[None]:
    """The block never falls back, and launches and compiles so many kernels (None: any number)."""
    before = fusekit.stats()
    yield
    after = fusekit.stats()
    assert after.fallbacks == before.fallbacks, after.fallbacks
    assert launches is None or after.launches - before.launches == launches
    assert new_kernels is None or after.kernels - before.kernels == new_kernels


def check(
    function: Callable[..., Any], *args: Any, groups: int | None = 1, what: object = ""
) -> fusekit.FusedFunction:
    """Kernels alone, and bit for bit what eager CUDA gives; returns the fused function."""
    fused = function if isinstance(function, fusekit.FusedFunction) else None
    fused = fused or fusekit.fuse(function, engine=ENGINE)
    explanation = fused.explain(*args)
    assert explanation.fused, str(explanation)
    assert not explanation.declined, str(explanation)
    assert {group.engine for group in explanation.groups} == {ENGINE}
    assert groups is None or len(explanation.groups) == groups, str(explanation)
    with counted():
        got = fused(*args)
    assert_equal(got, fused.function(*args), what)
    return fused


def check_accuracy(function: Callable[..., Any], *args: Any) -> None:
    """Off float64 by at most 2 ulp, or 1.5 times what eager CUDA is.

    Where float64 itself is asked for, eager is the measure, which is off by as much.
    """
    fused = fusekit.fuse(function, engine=ENGINE)
    assert fused.explain(*args).fused
    with counted():
        ours = fused(*args)
    theirs = function(*args)
    wide = function(*(x.double() if isinstance(x, torch.Tensor) else x for x in args))
    assert (ours.dtype, ours.shape, ours.stride()) == (theirs.dtype, theirs.shape, theirs.stride())
    info = torch.finfo(theirs.dtype)
    unit = wide.abs().clamp(min=info.tiny) * info.eps
    mistakes = [float(((x.double() - wide).abs() / unit).max()) for x in (ours, theirs)]
    allowed = 4.0 if theirs.dtype == torch.float64 else max(2.0, 1.5 * mistakes[1])
    assert mistakes[0] <= allowed, mistakes


def cold() -> fusekit.FusedFunction:
    """A function with a kernel of its own, that nothing has compiled before."""
    scale, shift = random.random(), random.random()
    return fusekit.fuse(lambda x: (x * scale + shift) * x, engine=ENGINE)


@contextlib.contextmanager
def no_synchronisation() -> Iterator[None]:
    """What waits for the GPU raises in the block."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls the mode a prototype
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
