"""Functions that eager PyTorch computes inexactly even in float64, by mpmath."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import torch

from tests.opdb.database import name_of

__all__ = ["exact_of", "slack_of"]

DIGITS = 40

RECURRENCE = 1e-12
"""What a recurrence of a few dozen steps leaves of terms of some thousands."""


def _recurrence(first: Callable[..., Any], step: Callable[..., Any]) -> Callable[..., Any]:
    """A polynomial of x and a degree; step(n, x, p, q) makes number n + 1 of n and n - 1."""

    def polynomial(x: Any, degree: Any) -> Any:
        last, now = mpmath.mpf(1), first(x)
        if degree < 1:
            return mpmath.mpf(0 if degree < 0 else 1)
        for n in range(1, int(degree)):
            last, now = now, step(n, x, now, last)
        return now

    return polynomial


def _chebyshev(first: Callable[..., Any]) -> Callable[..., Any]:
    return _recurrence(first, lambda _, x, p, q: 2 * x * p - q)


_KINDS = {
    "t": _chebyshev(lambda x: x),
    "u": _chebyshev(lambda x: 2 * x),
    "v": _chebyshev(lambda x: 2 * x - 1),
    "w": _chebyshev(lambda x: 2 * x + 1),
}

_EXACT: dict[str, Callable[..., Any]] = {
    "airy_ai": mpmath.airyai,
    "bessel_j0": lambda x: mpmath.besselj(0, x),
    "bessel_j1": lambda x: mpmath.besselj(1, x),
    "bessel_y0": lambda x: mpmath.bessely(0, x),
    "bessel_y1": lambda x: mpmath.bessely(1, x),
    "hermite_polynomial_h": _recurrence(lambda x: 2 * x, lambda n, x, p, q: 2 * (x * p - n * q)),
    "hermite_polynomial_he": _recurrence(lambda x: x, lambda n, x, p, q: x * p - n * q),
    "laguerre_polynomial_l": _recurrence(
        lambda x: 1 - x, lambda n, x, p, q: ((2 * n + 1 - x) * p - n * q) / (n + 1)
    ),
    "legendre_polynomial_p": _recurrence(
        lambda x: x, lambda n, x, p, q: ((2 * n + 1) * x * p - n * q) / (n + 1)
    ),
    **{f"chebyshev_polynomial_{kind}": made for kind, made in _KINDS.items()},
    **{
        f"shifted_chebyshev_polynomial_{kind}": lambda x, n, made=made: made(2 * x - 1, n)
        for kind, made in _KINDS.items()
    },
    # on a GPU, eager multiplies float64 by float32's sixth
    "nn_functional_hardsigmoid": lambda x: min(max(x + 3, 0), 6) / 6,
    "nn_functional_hardswish": lambda x: x * min(max(x + 3, 0), 6) / 6,
    "trigamma": lambda x: mpmath.psi(1, x),
}


def exact_of(op: Any, sample: Any, wrong: torch.Tensor) -> torch.Tensor | None:
    """The results of the elements marked, as float64; None for an operator that is not here."""
    function = _EXACT.get(_function_name(op, sample))
    if function is None:
        return None
    operands = [x for x in (sample.input, *sample.args) if isinstance(x, torch.Tensor)]
    rows = zip(
        *(x.broadcast_to(wrong.shape)[wrong].double().tolist() for x in operands), strict=True
    )
    with mpmath.workdps(DIGITS):
        made = [_value(function, row) for row in rows]
    return torch.tensor(made, dtype=torch.float64, device=wrong.device)


def slack_of(op: Any) -> float:
    """How far a float64 result may be from the exact one where its terms cancel."""
    return RECURRENCE if "polynomial" in name_of(op) else 0.0


def _function_name(op: Any, sample: Any) -> str:
    name = name_of(op)
    if "polygamma" in name:  # each of its entries has samples of several orders
        return "trigamma" if sample.args == (1,) else ""
    return name.removeprefix("special_")


def _value(function: Callable[..., Any], row: tuple[float, ...]) -> float:
    try:
        return float(mpmath.re(function(*map(mpmath.mpf, row))))
    except (ValueError, ZeroDivisionError):  # a pole
        return float("inf")
