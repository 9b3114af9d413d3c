"""Real functions at real sizes, by name: what the demo shows and the figures are measured on.

They are written as users write them, with no regard to what a fuser likes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  everyone's name for it

from fusekit.errors import UsageError

__all__ = ["WORKLOADS", "Workload", "workload"]

Tensor = torch.Tensor
Args = tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Workload:
    """One function.

    Attributes:
        name: what it is called on the command line.
        title: one line for people.
        function: takes what `make_args` makes.
        make_args: number of elements of the (largest) output, roughly -> arguments, the same for
            the same number.
        size: a realistic number of elements.
        reference: computes in float64 where simply giving `function` float64 arguments does not.
    """

    name: str
    title: str
    function: Callable[..., Any]
    make_args: Callable[[int], Args]
    size: int = 1 << 22
    reference: Callable[..., Any] | None = None


def workload(name: str) -> Workload:
    """The workload of that name; UsageError lists those there are."""
    if name not in WORKLOADS:
        raise UsageError(f"no workload {name!r}; there are {', '.join(WORKLOADS)}")
    return WORKLOADS[name]


def _normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _uniform(low: float, high: float, *shape: int, seed: int = 0) -> Tensor:
    made = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    return made * (high - low) + low


def _rows(size: int, width: int) -> int:
    return max(1, size // width)


def relu_tanh(x: Tensor, y: Tensor) -> Tensor:
    """Four operations and a transcendental."""
    return torch.relu(x * y + 0.5).tanh()


def lstm_cell(
    from_input: Tensor, from_hidden: Tensor, cell: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    """What an LSTM computes after its two matrix products."""
    gates = from_input + from_hidden + bias
    enter, forget, update, leave = gates.chunk(4, dim=1)
    cell = forget.sigmoid() * cell + enter.sigmoid() * update.tanh()
    return leave.sigmoid() * cell.tanh(), cell


def _lstm_args(size: int) -> Args:
    hidden = 512
    batch = _rows(size, hidden)
    return (
        _normal(batch, 4 * hidden),
        _normal(batch, 4 * hidden, seed=1),
        _normal(batch, hidden, seed=2),
        _normal(4 * hidden, seed=3),
    )


def bias_gelu(x: Tensor, bias: Tensor) -> Tensor:
    """Between the two matrix products of a transformer's feed-forward block."""
    return F.gelu(x + bias)


def black_scholes(
    spot: Tensor, strike: Tensor, years: Tensor, rate: float, volatility: float
) -> tuple[Tensor, Tensor]:
    """Prices of European calls and puts."""
    deviation = volatility * torch.sqrt(years)
    d1 = (torch.log(spot / strike) + (rate + 0.5 * volatility**2) * years) / deviation
    d2 = d1 - deviation
    discounted = strike * torch.exp(-rate * years)
    call = spot * _normal_cdf(d1) - discounted * _normal_cdf(d2)
    return call, call - spot + discounted


def _normal_cdf(x: Tensor) -> Tensor:
    return 0.5 * (1.0 + torch.erf(x * math.sqrt(0.5)))


def _option_args(size: int) -> Args:
    return (
        _uniform(10.0, 50.0, size),
        _uniform(10.0, 50.0, size, seed=1),
        _uniform(0.25, 2.0, size, seed=2),
        0.02,
        0.3,
    )


def normalize_image(pixels: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Bytes as a camera gives them (N, H, W, C) to what a network takes (N, C, H, W)."""
    return (pixels.permute(0, 3, 1, 2).float() / 255.0 - mean) / deviation


def _normalize_reference(pixels: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    return (pixels.permute(0, 3, 1, 2).double() / 255.0 - mean) / deviation


def _image_args(size: int) -> Args:
    side = max(8, math.isqrt(size // 24))
    generator = torch.Generator().manual_seed(0)
    shape = (8, side, side, 3)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    mean = torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)
    return pixels, mean, torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)


def rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding, halves swapped with a cat."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def _rotary_args(size: int) -> Args:
    heads, width = 8, 64
    tokens = _rows(size, 2 * heads * width)
    steps = torch.arange(tokens, dtype=torch.float32)
    angles = torch.outer(steps, 10000.0 ** (-torch.arange(0, width, 2) / width)).repeat(1, 2)
    return _normal(2, heads, tokens, width), angles.cos(), angles.sin()


def saxpy(x: Tensor, y: Tensor, a: float) -> Tensor:
    """One multiplication and one addition: memory is all it costs."""
    return a * x + y


def transpose_add(x: Tensor, y: Tensor) -> Tensor:
    """One operand lies across the other."""
    return x.t() + y


def _square_args(size: int) -> Args:
    side = max(1, math.isqrt(size))
    return _normal(side, side), _normal(side, side, seed=1)


def scaled_residual(x: Tensor, update: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """A gated residual with a scale and a shift for each channel, in place of a norm."""
    return x + (update * scale + shift) * torch.sigmoid(update)


def _residual_args(size: int) -> Args:
    width = 1024
    batch = _rows(size, width)
    return (
        _normal(batch, width),
        _normal(batch, width, seed=1),
        _normal(width, seed=2),
        _normal(width, seed=3),
    )


def _pair(size: int) -> Args:
    return _normal(size), _normal(size, seed=1)


_ALL = (
    Workload("relu_tanh", "relu(x*y + 0.5).tanh()", relu_tanh, _pair),
    Workload("lstm_cell", "LSTM cell, four gates by chunk", lstm_cell, _lstm_args),
    Workload(
        "bias_gelu",
        "GELU with bias",
        bias_gelu,
        lambda size: (_normal(_rows(size, 3072), 3072), _normal(3072, seed=1)),
    ),
    Workload("black_scholes", "Black-Scholes calls and puts", black_scholes, _option_args),
    Workload(
        "normalize_image",
        "u8 image normalisation, NHWC to NCHW",
        normalize_image,
        _image_args,
        reference=_normalize_reference,
    ),
    Workload("rotary", "rotary embedding with cat", rotary, _rotary_args),
    Workload("saxpy", "a*x + y", saxpy, lambda size: (*_pair(size), 2.0)),
    Workload("transpose_add", "x.t() + y", transpose_add, _square_args),
    Workload("scaled_residual", "gated residual, no norm", scaled_residual, _residual_args),
)

WORKLOADS: dict[str, Workload] = {item.name: item for item in _ALL}
"""Every workload, in the order the demo shows them."""
