"""PyTorch's own operator database: its universal functions on all their samples.

Each is right or left to PyTorch, never wrong. How exactly right they are is for the matrix to say;
here a few roundings are allowed, because the samples are many and not ours.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch

import fusekit
from tests.matrix_cases import DTYPES

ROUNDINGS = 8

FUSED_AT_LEAST = 0.6
"""Of the entries that take a dtype; special functions without a lowering run in PyTorch."""


def entries(kind: str, dtype: torch.dtype) -> list[Any]:
    """The database's entries that take the dtype."""
    pytest.importorskip("expecttest", reason="torch's operator database needs expecttest")
    from torch.testing._internal.common_methods_invocations import op_db
    from torch.testing._internal.opinfo.core import BinaryUfuncInfo, UnaryUfuncInfo

    wanted = {"unary": UnaryUfuncInfo, "binary": BinaryUfuncInfo}[kind]
    return [op for op in op_db if isinstance(op, wanted) and dtype in op.supported_dtypes("cpu")]


def attempt(function: Any, sample: Any) -> Any:
    """What a call gives, or the exception that it raises; the sample stays as it is."""
    torch.manual_seed(0)
    try:
        return function(sample.input.clone(), *sample.args, **sample.kwargs)
    except Exception as error:  # noqa: BLE001  whatever eager raises
        return error


def complaints(op: Any, dtype: torch.dtype) -> Iterator[str]:
    """What is wrong with the fused results of an entry."""
    fused = fusekit.fuse(op.op, engine="llvm")
    for sample in op.sample_inputs("cpu", dtype, requires_grad=False):
        expected, found = attempt(op.op, sample), attempt(fused, sample)
        if isinstance(expected, Exception) or isinstance(found, Exception):
            if type(expected) is not type(found):
                yield f"{op.formatted_name}: {found!r} for {expected!r}"
            continue
        try:
            assert_alike(found, expected)
        except AssertionError as error:
            yield f"{op.formatted_name} of {sample}: {error}"


def assert_alike(found: Any, expected: Any) -> None:
    """The same structure, dtypes, shapes and strides; nearly the same values."""
    if not isinstance(expected, torch.Tensor):
        for one, other in zip(found, expected, strict=True):
            assert_alike(one, other)
        return
    tolerance = torch.finfo(expected.dtype).eps * ROUNDINGS if expected.is_floating_point() else 0
    torch.testing.assert_close(
        found, expected, rtol=tolerance, atol=tolerance, equal_nan=True, check_stride=True
    )


def is_fused(op: Any, dtype: torch.dtype) -> bool:
    """True if the first samples with elements run in kernels alone."""
    fused = fusekit.fuse(op.op, engine="llvm")
    samples = [s for s in op.sample_inputs("cpu", dtype, requires_grad=False) if s.input.numel()]
    explained = [fused.explain(s.input, *s.args, **s.kwargs) for s in samples[:4]]
    return bool(explained) and all(each.fused and not each.declined for each in explained)


@pytest.mark.parametrize("kind", ["unary", "binary"])
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(dtype).removeprefix("torch."))
def test_right_or_left_to_pytorch(dtype: torch.dtype, kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # eager's own, about what samples do
        wrong = [text for op in entries(kind, dtype) for text in complaints(op, dtype)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int32], ids=str)
def test_many_of_them_are_fused(dtype: torch.dtype) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [is_fused(op, dtype) for kind in ("unary", "binary") for op in entries(kind, dtype)]
    assert sum(found) >= FUSED_AT_LEAST * len(found)
