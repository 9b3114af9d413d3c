"""The CPU workloads as JAX takes them: the same functions over its arrays."""

from __future__ import annotations

import importlib
import importlib.util
import math
import os
from collections.abc import Callable
from typing import Any

import torch

__all__ = ["JAX_FORMS", "jax_fused"]


class Functions:
    """JAX's functions; imported at first use, because few have it."""

    def __init__(self) -> None:
        # what is measured runs on the CPU, and the memory of a GPU is for others
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
        self.jax = importlib.import_module("jax")
        self.np = importlib.import_module("jax.numpy")

    def tiny(self, x: Any, y: Any) -> Any:
        """`tiny`."""
        return self.jax.nn.relu(self.np.tanh(x * y + 0.5))

    def relu_tanh(self, x: Any, y: Any) -> Any:
        """`relu_tanh`."""
        return self.np.tanh(self.jax.nn.relu(x * y + 0.5))

    def bias_gelu(self, x: Any, bias: Any) -> Any:
        """`bias_gelu`, with erf."""
        return self.jax.nn.gelu(x + bias, approximate=False)

    def black_scholes(
        self, spot: Any, strike: Any, years: Any, rate: float, volatility: float
    ) -> Any:
        """`black_scholes`."""
        deviation = volatility * self.np.sqrt(years)
        d1 = (self.np.log(spot / strike) + (rate + 0.5 * volatility**2) * years) / deviation
        discounted = strike * self.np.exp(-rate * years)
        call = spot * self._cdf(d1) - discounted * self._cdf(d1 - deviation)
        return call, call - spot + discounted

    def _cdf(self, x: Any) -> Any:
        return 0.5 * (1.0 + self.jax.lax.erf(x * math.sqrt(0.5)))

    def lstm_cell(self, from_input: Any, from_hidden: Any, cell: Any, bias: Any) -> Any:
        """`lstm_cell`."""
        sigmoid = self.jax.nn.sigmoid
        gates = self.np.split(from_input + from_hidden + bias, 4, axis=1)
        cell = sigmoid(gates[1]) * cell + sigmoid(gates[0]) * self.np.tanh(gates[2])
        return sigmoid(gates[3]) * self.np.tanh(cell), cell

    def scaled_residual(self, x: Any, update: Any, scale: Any, shift: Any) -> Any:
        """`scaled_residual`."""
        return x + (update * scale + shift) * self.jax.nn.sigmoid(update)

    def mish(self, x: Any) -> Any:
        """`mish`."""
        return x * self.np.tanh(self.jax.nn.softplus(x))

    def polar(self, radius: Any, angle: Any) -> Any:
        """`polar`."""
        return radius * self.np.cos(angle), radius * self.np.sin(angle)

    def logistic_loss(self, x: Any, y: Any) -> Any:
        """`logistic_loss`."""
        return self.jax.nn.relu(x) - x * y + self.np.log1p(self.np.exp(-self.np.abs(x)))

    def saxpy(self, x: Any, y: Any, a: float) -> Any:
        """`saxpy`."""
        return a * x + y

    def transpose_add(self, x: Any, y: Any) -> Any:
        """`transpose_add`."""
        return x.T + y

    def normalize_image(self, pixels: Any, mean: Any, deviation: Any) -> Any:
        """`normalize_image`."""
        planes = self.np.transpose(pixels, (0, 3, 1, 2)).astype(self.np.float32)
        return (planes / 255.0 - mean) / deviation

    def rotary(self, x: Any, cos: Any, sin: Any) -> Any:
        """`rotary`."""
        first, second = self.np.split(x, 2, axis=-1)
        return x * cos + self.np.concatenate((-second, first), axis=-1) * sin


JAX_FORMS = frozenset(name for name in vars(Functions) if not name.startswith("_"))
"""The workloads that `Functions` has."""


def jax_fused(name: str, args: tuple[Any, ...]) -> Callable[[], Any] | str:
    """A call of that workload through `jax.jit` on the CPU, or why there is none.

    A call waits for its results, which are JAX's arrays. JAX takes the threads that it likes.
    """
    if name not in JAX_FORMS:
        return "not expressible"
    if importlib.util.find_spec("jax") is None:
        return "not installed"
    functions = Functions()
    jax = functions.jax
    arrays = [jax.device_put(arg.numpy()) for arg in args if isinstance(arg, torch.Tensor)]
    numbers = [arg for arg in args if not isinstance(arg, torch.Tensor)]
    method = getattr(functions, name)
    compiled = jax.jit(lambda *given: method(*given, *numbers))
    return lambda: jax.block_until_ready(compiled(*arrays))
