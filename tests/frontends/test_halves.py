"""What float16 and bfloat16 lose between the steps of an operator: never more than in eager.

fusekit computes halves in float32 and rounds once. Eager does so for most operators and rounds
every step of the others; where it rounds once, so must what we make of the operator.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  its usual name

import fusekit

HALVES = [torch.float16, torch.bfloat16]
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
SIZE = 4096
ROUGH = SIZE // 200
"""Results that another last bit of a float32 may round the other way."""

aten = torch.ops.aten

Function = Callable[..., torch.Tensor]

# x: normal; y and z: between 0 and 1; g: a gradient
OPERATORS: dict[str, Function] = {
    "silu_backward": lambda x, y, z, g: aten.silu_backward(g, x),
    "mish_backward": lambda x, y, z, g: aten.mish_backward(g, x),
    "gelu_backward": lambda x, y, z, g: aten.gelu_backward(g, x),
    "gelu_tanh_backward": lambda x, y, z, g: aten.gelu_backward(g, x, approximate="tanh"),
    "sigmoid_backward": lambda x, y, z, g: aten.sigmoid_backward(g, y),
    "tanh_backward": lambda x, y, z, g: aten.tanh_backward(g, y),
    "threshold_backward": lambda x, y, z, g: aten.threshold_backward(g, x, 0.1),
    "elu_backward": lambda x, y, z, g: aten.elu_backward(g, 1.3, 1.1, 0.9, False, x),
    "elu_backward_of_result": lambda x, y, z, g: aten.elu_backward(g, 1.3, 1.1, 0.9, True, x),
    "softplus_backward": lambda x, y, z, g: aten.softplus_backward(g, x, 1.3, 20),
    "hardtanh_backward": lambda x, y, z, g: aten.hardtanh_backward(g, x, -0.7, 0.7),
    "hardswish_backward": lambda x, y, z, g: aten.hardswish_backward(g, x),
    "hardsigmoid_backward": lambda x, y, z, g: aten.hardsigmoid_backward(g, x),
    "leaky_relu_backward": lambda x, y, z, g: aten.leaky_relu_backward(g, x, 0.1, False),
    "log_sigmoid": lambda x, y, z, g: F.logsigmoid(x),
    "logit_backward": lambda x, y, z, g: aten.logit_backward(g, y, 0.01),
    "glu_backward": lambda x, y, z, g: aten.glu_backward(g[: SIZE // 2], x, 0),
    "mse_loss": lambda x, y, z, g: F.mse_loss(x, y, reduction="none"),
    "mse_loss_backward": lambda x, y, z, g: aten.mse_loss_backward(g, x, y, 0),
    "smooth_l1_loss": lambda x, y, z, g: F.smooth_l1_loss(x, y, reduction="none", beta=0.7),
    "smooth_l1_loss_backward": lambda x, y, z, g: aten.smooth_l1_loss_backward(g, x, y, 0, 0.7),
    "huber_loss": lambda x, y, z, g: F.huber_loss(x, y, reduction="none", delta=0.7),
    "huber_loss_backward": lambda x, y, z, g: aten.huber_loss_backward(g, x, y, 0, 0.7),
    "kl_div": lambda x, y, z, g: F.kl_div(x, y, reduction="none"),
    "kl_div_of_logarithms": lambda x, y, z, g: F.kl_div(x, y, reduction="none", log_target=True),
    "cross_entropy": lambda x, y, z, g: F.binary_cross_entropy(y, z, reduction="none"),
    "cross_entropy_with_logits": lambda x, y, z, g: F.binary_cross_entropy_with_logits(
        x, y, reduction="none"
    ),
    "soft_margin_loss_backward": lambda x, y, z, g: aten.soft_margin_loss_backward(g, x, y, 0),
    "prelu": lambda x, y, z, g: aten._prelu_kernel(x, y),
    "addcmul": lambda x, y, z, g: torch.addcmul(x, y, z, value=0.3),
    "addcdiv": lambda x, y, z, g: torch.addcdiv(x, y, z + 1, value=0.3),
    "lerp": lambda x, y, z, g: torch.lerp(x, y, z),
    "logaddexp": lambda x, y, z, g: torch.logaddexp(x, y),
    "logit": lambda x, y, z, g: torch.logit(y),
    "xlogy": lambda x, y, z, g: torch.xlogy(x, y),
    "xlog1py": lambda x, y, z, g: torch.special.xlog1py(x, y),
    "entr": lambda x, y, z, g: torch.special.entr(y),
    "sinc": lambda x, y, z, g: torch.sinc(x),
    "hypot": lambda x, y, z, g: torch.hypot(x, y),
    "cube": lambda x, y, z, g: x**3,
    "inverse_square": lambda x, y, z, g: y**-2,
    "mvlgamma": lambda x, y, z, g: torch.mvlgamma(y + 3, 3),
    "polygamma": lambda x, y, z, g: torch.polygamma(4, y + 1),
}


def operands(dtype: torch.dtype, device: str) -> list[torch.Tensor]:
    source = torch.Generator().manual_seed(0)
    x, g = (2 * torch.randn(SIZE, generator=source) for _ in range(2))
    y, z = (torch.rand(SIZE, generator=source) * 0.98 + 0.01 for _ in range(2))
    return [made.to(device, dtype) for made in (x, y, z, g)]


def differing(left: torch.Tensor, right: torch.Tensor) -> int:
    return int(((left != right) & ~(left.isnan() & right.isnan())).sum())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", HALVES, ids=lambda dtype: str(dtype)[6:])
@pytest.mark.parametrize("name", OPERATORS)
def test_no_more_results_are_off_than_eagers(name: str, dtype: torch.dtype, device: str) -> None:
    function = OPERATORS[name]
    given = operands(dtype, device)
    exact = function(*(x.double() for x in given)).to(dtype)
    fused = fusekit.fuse(function)(*given)
    assert differing(fused, exact) <= differing(function(*given), exact) + ROUGH
