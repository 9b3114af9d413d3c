"""What is measured on a GPU: pointwise functions that memory alone should limit.

A size is the side of a square: 8192 means tensors of 8192 x 8192 elements, give or take what a
shape asks for. Arguments are made on the device, the same for the same size.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  everyone's name for it

from fusekit.bench.gpu.checks import Check, close, same_statistics
from fusekit.bench.gpu.traffic import Traffic, traffic
from fusekit.bench.workloads import (
    bias_gelu,
    black_scholes,
    lstm_cell,
    normalize_image,
    relu_tanh,
    rotary,
    transpose_add,
)
from fusekit.errors import UsageError

__all__ = ["GPU_WORKLOADS", "TINY", "GpuWorkload", "chosen"]

Tensor = torch.Tensor
Args = tuple[Any, ...]


def _all_tensors(*args: Any) -> tuple[Tensor, ...]:
    return tuple(arg for arg in args if isinstance(arg, Tensor))


@dataclasses.dataclass(frozen=True)
class GpuWorkload:
    """One row.

    Attributes:
        name: what `--only` takes.
        title: one line for people.
        function: takes what `make_args` makes.
        make_args: side, device -> arguments.
        reads: the parts of the arguments that the function needs; they do not overlap.
        check: what is wrong with a result.
    """

    name: str
    title: str
    function: Callable[..., Any]
    make_args: Callable[[int, str], Args]
    reads: Callable[..., tuple[Tensor, ...]] = _all_tensors
    check: Check = close

    def traffic(self, args: Args, result: Any) -> Traffic:
        """The bytes that must be moved to make `result` of `args`."""
        written = result if isinstance(result, tuple) else (result,)
        return traffic(self.reads(*args), written)


def chosen(names: Sequence[str] | None) -> list[GpuWorkload]:
    """The workloads of these names, in the order of the table; None means all.

    Raises:
        UsageError: there is no such workload.
    """
    unknown = [name for name in names or () if name not in GPU_WORKLOADS]
    if unknown:
        raise UsageError(f"no GPU workload {unknown[0]!r}; there are {', '.join(GPU_WORKLOADS)}")
    return [work for work in GPU_WORKLOADS.values() if names is None or work.name in names]


def _random(device: str, *shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator(device).manual_seed(seed)
    return torch.randn(shape, generator=generator, device=device).to(dtype)


def _squares(side: int, device: str, *, count: int, dtype: torch.dtype) -> Args:
    return tuple(_random(device, side, side, seed=i, dtype=dtype) for i in range(count))


def _pair(dtype: torch.dtype) -> Callable[[int, str], Args]:
    return functools.partial(_squares, count=2, dtype=dtype)


def tiny(x: Tensor, y: Tensor) -> Tensor:
    """Four operations, and no kernel that a row needs: that one is to be new when it is timed."""
    return torch.tanh(x * y + 0.5).relu()


def swiglu(gate: Tensor, value: Tensor) -> Tensor:
    """Between the matrix products of most transformers since 2022."""
    return F.silu(gate) * value


def slices(x: Tensor, y: Tensor) -> Tensor:
    """The even columns of one, the odd columns of the other: sectors are read in halves."""
    return x[:, ::2] * y[:, 1::2]


def int64_mix(x: Tensor, y: Tensor) -> Tensor:
    """Integer arithmetic as hashes have it."""
    return (x * 3 + y) ^ (x >> 5)


def dropout_residual(x: Tensor, y: Tensor) -> Tensor:
    """Where a transformer's block joins its residual, while it is trained."""
    return F.dropout(x, 0.1, training=True) + y


def _bias_args(side: int, device: str) -> Args:
    half = torch.bfloat16
    return _random(device, side, side, dtype=half), _random(device, side, seed=1, dtype=half)


def _lstm_args(side: int, device: str) -> Args:
    # eleven floats a cell in and out: a quarter as many cells moves what the float32 chain does
    hidden = max(1, side // 4)
    return (
        _random(device, side, 4 * hidden),
        _random(device, side, 4 * hidden, seed=1),
        _random(device, side, hidden, seed=2),
        _random(device, 4 * hidden, seed=3),
    )


def _option_args(side: int, device: str) -> Args:
    generator = torch.Generator(device).manual_seed(0)
    ranges = ((10.0, 50.0), (10.0, 50.0), (0.25, 2.0))  # spot, strike, years
    drawn = (torch.rand(side * side, generator=generator, device=device) for _ in ranges)
    scaled = [made * (high - low) + low for made, (low, high) in zip(drawn, ranges, strict=True)]
    return (*scaled, 0.02, 0.3)


def _image_args(side: int, device: str) -> Args:
    edge = min(224, max(1, side // 2))
    shape = (max(1, side * side // (3 * edge * edge)), edge, edge, 3)
    generator = torch.Generator(device).manual_seed(0)
    pixels = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8, device=device)
    mean = torch.tensor([0.485, 0.456, 0.406], device=device).reshape(3, 1, 1)
    return pixels, mean, torch.tensor([0.229, 0.224, 0.225], device=device).reshape(3, 1, 1)


def _rotary_args(side: int, device: str) -> Args:
    half, width = torch.bfloat16, min(128, side)
    steps = torch.arange(side, dtype=torch.float32, device=device)
    rates = 10000.0 ** (-torch.arange(0, width, 2, device=device) / width)
    angles = torch.outer(steps, rates).repeat(1, 2)
    x = _random(device, max(1, side // width), side, width, dtype=half)
    return x, angles.cos().to(half), angles.sin().to(half)


def _integer_args(side: int, device: str) -> Args:
    generator = torch.Generator(device).manual_seed(0)
    low, high = -(1 << 40), 1 << 40
    return tuple(
        torch.randint(low, high, (side, side), generator=generator, device=device) for _ in range(2)
    )


_ALL = (
    GpuWorkload("chain_f32", "relu(x*y + 0.5).tanh()", relu_tanh, _pair(torch.float32)),
    GpuWorkload("chain_bf16", "the same in bfloat16", relu_tanh, _pair(torch.bfloat16)),
    GpuWorkload("bias_gelu", "GELU with bias, bfloat16", bias_gelu, _bias_args),
    GpuWorkload("swiglu", "silu(a) * b, bfloat16", swiglu, _pair(torch.bfloat16)),
    GpuWorkload("lstm_cell", "LSTM cell, four gates by chunk", lstm_cell, _lstm_args),
    GpuWorkload("black_scholes", "Black-Scholes calls and puts", black_scholes, _option_args),
    GpuWorkload("transpose_add", "x.t() + y", transpose_add, _pair(torch.float32)),
    GpuWorkload(
        "normalize_image", "u8 images, NHWC to NCHW, to float32", normalize_image, _image_args
    ),
    GpuWorkload("rotary", "rotary embedding with cat, bfloat16", rotary, _rotary_args),
    GpuWorkload(
        "slices",
        "x[:, ::2] * y[:, 1::2]",
        slices,
        _pair(torch.float32),
        reads=lambda x, y: (x[:, ::2], y[:, 1::2]),
    ),
    GpuWorkload("int64", "(x*3 + y) ^ (x >> 5)", int64_mix, _integer_args),
    GpuWorkload(
        "dropout_residual",
        "dropout(x) + y, bfloat16",
        dropout_residual,
        _pair(torch.bfloat16),
        check=same_statistics,
    ),
)

TINY = GpuWorkload(
    "tiny",
    "4 operations on 8 elements",
    tiny,
    lambda side, device: tuple(_random(device, side, seed=i) for i in range(2)),
)
"""What a call costs the host is measured on this, at side 8."""

GPU_WORKLOADS: Mapping[str, GpuWorkload] = {item.name: item for item in _ALL}
"""Every workload, in the order of the report."""
