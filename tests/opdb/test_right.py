"""Every elementwise entry of PyTorch's operator database: right or left to PyTorch, never wrong.

How exactly right the functions are is for `fusekit verify-math` to say; here a few roundings are
allowed, because the samples are many and not ours.
"""

from __future__ import annotations

import pytest
import torch

from tests.opdb import judge
from tests.opdb.database import DTYPES, elementwise

PARTS = 8

SLOW_ENGINES = ("cpp", "reference")
"""What takes a compiler a quarter of a second for each kernel gets every dtype only if asked to."""


def title(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


@pytest.fixture(params=["llvm", *SLOW_ENGINES])
def engine(request, dtype):
    chosen = request.param
    is_slow = chosen in SLOW_ENGINES and dtype is not torch.float32
    if is_slow and not request.config.getoption("--every-engine"):
        pytest.skip(f"{chosen} is tried on float32; --every-engine tries the others")
    return chosen


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("dtype", DTYPES, ids=title)
def test_right_or_left_to_pytorch(dtype: torch.dtype, engine: str, part: int) -> None:
    entries = elementwise(dtype)[part::PARTS]
    wrong = [text for op in entries for text in judge.complaints(op, dtype, engine)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.gpu
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("dtype", DTYPES, ids=title)
def test_right_or_left_to_pytorch_on_the_gpu(dtype: torch.dtype, part: int) -> None:
    entries = elementwise(dtype, "cuda")[part::PARTS]
    wrong = [text for op in entries for text in judge.complaints(op, dtype, "cuda", "cuda")]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("part", range(PARTS))
def test_errors_are_eagers(part: int) -> None:
    entries = [op for op in elementwise() if op.error_inputs_func is not None][part::PARTS]
    wrong = [text for op in entries for text in judge.complaints_about_errors(op, "llvm")]
    assert not wrong, "\n".join(wrong)
