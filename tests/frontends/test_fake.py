"""Fake results have eager's dtypes, shapes and strides, without eager's data."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import fusekit
from fusekit.frontends.fake import Fakes


@st.composite
def tensors(draw: st.DrawFn, shape: tuple[int, ...]) -> torch.Tensor:
    """A tensor that broadcasts to `shape`, with permuted, padded or expanded strides."""
    rank = draw(st.integers(0, len(shape)))
    sizes = [draw(st.sampled_from((s, s, 1))) for s in shape[len(shape) - rank :]]
    order = draw(st.permutations(range(rank)))
    padded = [sizes[d] * draw(st.sampled_from((1, 1, 2))) for d in order]
    base = torch.ones(padded).permute([order.index(d) for d in range(rank)])
    return base[tuple(slice(0, size) for size in sizes)]


@given(st.data())
def test_strides_are_those_of_eager(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 4), max_size=4)))
    operands = [data.draw(tensors(shape)) for _ in range(data.draw(st.integers(1, 3)))]
    aten = torch.ops.aten
    func = (aten.neg.default, aten.add.Tensor, aten.addcmul.default)[len(operands) - 1]
    eager = func(*operands)
    fakes = Fakes()
    with fakes.mode:
        fake = fakes.run(func, [fakes.like(x) for x in operands], {})
    assert (fake.shape, fake.stride(), fake.dtype) == (eager.shape, eager.stride(), eager.dtype)


def test_a_first_trace_imports_neither_torch_compile_nor_sympy() -> None:
    code = (
        "import sys, torch, fusekit\n"
        "fusekit.fuse(lambda x, s: (x @ x * s).relu().chunk(2)[0].tanh())(torch.ones(4, 4), 2.0)\n"
        "import torch.fx\n"
        "heavy = [m for m in ('sympy', 'torch._inductor', 'torch._dynamo') if m in sys.modules]\n"
        "assert not heavy, heavy\n"
        "import torch._dynamo\n"
        "assert callable(torch._dynamo.reset)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def bounded(x, y):
    return torch.clamp(x, max=y)


def chosen_by_itself(x, y):
    return torch.where(x.bool(), x, y)


def error(x, y):
    return torch.nn.functional.mse_loss(x, y.float(), reduction="none")


@pytest.mark.parametrize(
    "function",
    [torch.add, torch.atan2, torch.true_divide, torch.gt, bounded, chosen_by_itself, error],
)
@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float64])
def test_what_is_converted_first_has_the_strides_of_a_copy(function, dtype):
    """A copy of an expanded tensor is dense: it decides the order of the result's dimensions."""
    expanded = torch.ones(3, 2, 5).to(dtype).expand(2, 3, 2, 5)
    for other in (torch.ones(5, 2, 3, 2), torch.ones(5, 2, 3, 2, dtype=torch.int64)):
        args = expanded, other.permute(3, 2, 1, 0)
        assert fusekit.fuse(function)(*args).stride() == function(*args).stride()
