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


SHAPES = {
    "2-d": (4, 3),
    "3-d": (2, 3, 5),
    "image": (2, 3, 4, 5),
    "volume": (2, 3, 2, 2, 2),
    "nothing": (0, 3, 4, 4),
}


def batch_norm(dims: int, *, affine: bool, dtype: torch.dtype) -> torch.nn.Module:
    """One that does not train, with statistics as after training."""
    kinds = {2: torch.nn.BatchNorm1d, 3: torch.nn.BatchNorm1d, 4: torch.nn.BatchNorm2d}
    module = kinds.get(dims, torch.nn.BatchNorm3d)(3, affine=affine).eval()
    for tensor in (*module.parameters(), module.running_mean):
        torch.nn.init.normal_(tensor)
    module.running_var.uniform_(0.1, 2)
    return module.to(dtype)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@torch.no_grad()
def test_batch_norm_by_running_statistics_is_fused(dtype, shape, affine):
    torch.manual_seed(0)
    module = batch_norm(len(SHAPES[shape]), affine=affine, dtype=dtype)
    x = torch.randn(SHAPES[shape]).to(dtype)
    fused = fusekit.fuse(module)
    found, expected = fused(x), module(x)
    assert not fused.explain(x).declined
    assert found.stride() == expected.stride()
    assert found.dtype == dtype
    # three roundings, of terms that are not larger than this
    exact = module.double()(x.double())
    scale = 8 + exact.abs()
    assert ((found.double() - exact).abs() <= 3 * torch.finfo(dtype).eps * scale).all()


@torch.no_grad()
def test_batch_norm_keeps_channels_last_and_leaves_other_layouts():
    module = batch_norm(4, affine=True, dtype=torch.float32)
    fused = fusekit.fuse(module)
    image = torch.randn(2, 3, 4, 5)
    for x in (image.to(memory_format=torch.channels_last), image.transpose(2, 3)):
        torch.testing.assert_close(fused(x), module(x))
        assert fused(x).stride() == module(x).stride()


def test_batch_norm_that_trains_updates_its_statistics():
    modules = [torch.nn.BatchNorm1d(3) for _ in range(2)]
    x = torch.randn(5, 3)
    compiled = fusekit.fuse(modules[0])
    for _ in range(2):
        torch.testing.assert_close(compiled(x), modules[1](x))
    torch.testing.assert_close(modules[0].running_var, modules[1].running_var)


def test_gradients_through_batch_norm_by_running_statistics():
    module = batch_norm(4, affine=True, dtype=torch.float64)
    x = torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(fusekit.fuse(module), (x,))
