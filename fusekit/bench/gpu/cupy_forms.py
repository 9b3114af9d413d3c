"""The workloads as `cupy.fuse` takes them: ufuncs over arrays, views taken outside.

What is missing here cannot be written for it: CuPy has no bfloat16, and no random numbers and no
cat inside a fused function.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

__all__ = ["CUPY_FORMS", "cupy_fused"]

Views = tuple[torch.Tensor, ...]


class Functions:
    """CuPy's functions; imported at first use, because few have it."""

    def __init__(self) -> None:
        self.cp = importlib.import_module("cupy")
        self.erf = importlib.import_module("cupyx.scipy.special").erf

    def chain(self, x: Any, y: Any) -> Any:
        """`relu_tanh`."""
        return self.cp.tanh(self.cp.maximum(x * y + 0.5, 0.0))

    def tiny(self, x: Any, y: Any) -> Any:
        """`tiny`."""
        return self.cp.maximum(self.cp.tanh(x * y + 0.5), 0.0)

    def black_scholes(self, spot: Any, strike: Any, years: Any) -> Any:
        """Prices at the rate and the volatility that the workload has."""
        rate, volatility = 0.02, 0.3
        deviation = volatility * self.cp.sqrt(years)
        d1 = (self.cp.log(spot / strike) + (rate + 0.5 * volatility**2) * years) / deviation
        discounted = strike * self.cp.exp(-rate * years)
        call = spot * self._cdf(d1) - discounted * self._cdf(d1 - deviation)
        return call, call - spot + discounted

    def _cdf(self, x: Any) -> Any:
        return 0.5 * (1.0 + self.erf(x * math.sqrt(0.5)))

    def lstm_cell(self, *parts: Any) -> Any:
        """Four gates, each from input, hidden state and bias; the cell comes last."""
        cell = parts[12]
        gates = [parts[i] + parts[4 + i] + parts[8 + i] for i in range(4)]
        enter, forget, leave = (self._sigmoid(gates[i]) for i in (0, 1, 3))
        cell = forget * cell + enter * self.cp.tanh(gates[2])
        return leave * self.cp.tanh(cell), cell

    def _sigmoid(self, x: Any) -> Any:
        return 1.0 / (1.0 + self.cp.exp(-x))

    def add(self, x: Any, y: Any) -> Any:
        """`transpose_add`, transposed outside."""
        return x + y

    def multiply(self, x: Any, y: Any) -> Any:
        """`slices`, sliced outside."""
        return x * y

    def normalize(self, pixels: Any, mean: Any, deviation: Any) -> Any:
        """`normalize_image`, permuted outside."""
        return (pixels.astype(self.cp.float32) / 255.0 - mean) / deviation

    def int64(self, x: Any, y: Any) -> Any:
        """`int64_mix`."""
        return (x * 3 + y) ^ (x >> 5)


def _tensors(*args: Any) -> Views:
    return tuple(arg for arg in args if isinstance(arg, torch.Tensor))


def _gates(
    from_input: torch.Tensor, from_hidden: torch.Tensor, cell: torch.Tensor, bias: torch.Tensor
) -> Views:
    whole = (from_input.chunk(4, dim=1), from_hidden.chunk(4, dim=1), bias.chunk(4))
    return (*(part for parts in whole for part in parts), cell)


CUPY_FORMS: Mapping[str, tuple[str, Callable[..., Views]]] = {
    "tiny": ("tiny", _tensors),
    "chain_f32": ("chain", _tensors),
    "lstm_cell": ("lstm_cell", _gates),
    "black_scholes": ("black_scholes", _tensors),
    "transpose_add": ("add", lambda x, y: (x.t(), y)),
    "normalize_image": ("normalize", lambda p, m, d: (p.permute(0, 3, 1, 2), m, d)),
    "slices": ("multiply", lambda x, y: (x[:, ::2], y[:, 1::2])),
    "int64": ("int64", _tensors),
}
"""Workload -> the method of `Functions`, and what it is called with."""


def cupy_fused(name: str, args: tuple[Any, ...]) -> Callable[[], Any] | str:
    """A call of that workload through `cupy.fuse`, or why there is none.

    Its results are CuPy's arrays: turning them into tensors is not measured.
    """
    if name not in CUPY_FORMS:
        return "not expressible"
    if importlib.util.find_spec("cupy") is None:
        return "not installed"
    method, views = CUPY_FORMS[name]
    functions = Functions()
    fused = functions.cp.fuse(kernel_name=method)(getattr(functions, method))
    arrays = [functions.cp.asarray(view) for view in views(*args)]
    return lambda: fused(*arrays)
