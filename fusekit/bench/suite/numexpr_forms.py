"""The CPU workloads as numexpr takes them: expressions over arrays, views taken outside.

What is missing cannot be written for it: numexpr has no erf, and no cat. Numbers are float32 arrays
of no dimension, because a Python number would make the whole expression float64.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

__all__ = ["NUMEXPR_FORMS", "numexpr_fused"]

Views = Mapping[str, torch.Tensor]

_SIGMOID = "1 / (1 + exp(-({})))"


def _named(*names: str) -> Callable[..., Views]:
    return lambda *args: dict(zip(names, args, strict=False))


def _gates(
    from_input: torch.Tensor, from_hidden: torch.Tensor, cell: torch.Tensor, bias: torch.Tensor
) -> Views:
    found = {"cell": cell}
    for letter, whole in (("i", from_input), ("h", from_hidden), ("b", bias)):
        parts = whole.chunk(4, dim=-1)
        found |= {f"{letter}{number}": part for number, part in enumerate(parts)}
    return found


def _gate(number: int) -> str:
    return f"i{number} + h{number} + b{number}"


def _sigmoid(of: str) -> str:
    return _SIGMOID.format(of)


_CELL = f"{_sigmoid(_gate(1))} * cell + {_sigmoid(_gate(0))} * tanh({_gate(2)})"

NUMEXPR_FORMS: Mapping[str, tuple[Sequence[str], Callable[..., Views]]] = {
    "tiny": (["where(tanh(x*y + half) > 0, tanh(x*y + half), zero)"], _named("x", "y")),
    "relu_tanh": (["tanh(where(x*y + half > 0, x*y + half, zero))"], _named("x", "y")),
    "lstm_cell": ([_CELL, f"{_sigmoid(_gate(3))} * tanh(result)"], _gates),
    "scaled_residual": (
        [f"x + (u * scale + shift) * {_sigmoid('u')}"],
        _named("x", "u", "scale", "shift"),
    ),
    "mish": (["x * tanh(log1p(exp(x)))"], _named("x")),
    "polar": (["r * cos(a)", "r * sin(a)"], _named("r", "a")),
    "logistic_loss": (["where(x > 0, x, zero) - x*y + log1p(exp(-abs(x)))"], _named("x", "y")),
    "saxpy": (["two * x + y"], _named("x", "y")),
    "transpose_add": (["x + y"], lambda x, y: {"x": x.t(), "y": y}),
    "normalize_image": (
        ["(pixels / full - mean) / deviation"],
        lambda p, m, d: {"pixels": p.permute(0, 3, 1, 2), "mean": m, "deviation": d},
    ),
}
"""Workload -> expressions in order (`result` is the one before), and what their names stand for."""

_NUMBERS = {"half": 0.5, "zero": 0.0, "two": 2.0, "full": 255.0}


def numexpr_fused(name: str, args: tuple[Any, ...]) -> Callable[[], Any] | str:
    """A call of that workload through `numexpr.evaluate`, or why there is none.

    It has as many threads as PyTorch; its results are NumPy's arrays.
    """
    if name not in NUMEXPR_FORMS:
        return "not expressible"
    if importlib.util.find_spec("numexpr") is None:
        return "not installed"
    numexpr = importlib.import_module("numexpr")
    numexpr.set_num_threads(torch.get_num_threads())
    texts, views = NUMEXPR_FORMS[name]
    arrays: dict[str, Any] = {key: view.numpy() for key, view in views(*args).items()}
    arrays |= {key: np.array(number, np.float32) for key, number in _NUMBERS.items()}

    def call() -> Any:
        results: list[Any] = []
        for text in texts:
            given = {**arrays, "result": results[-1]} if results else arrays
            results.append(numexpr.evaluate(text, given, {}))
        # the cell's state comes second
        return tuple(reversed(results)) if name == "lstm_cell" else _plain(results)

    return call


def _plain(results: Sequence[Any]) -> Any:
    return results[0] if len(results) == 1 else tuple(results)
