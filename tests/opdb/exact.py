"""Functions that eager PyTorch computes inexactly even in float64, by mpmath."""

from __future__ import annotations

import math
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
        if mpmath.isnan(x):
            return x  # eager's is what its memory held
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


def _digamma(x: Any) -> Any:
    if x > 0:
        return mpmath.psi(0, x)
    return mpmath.psi(0, 1 - x) - mpmath.pi / mpmath.tan(mpmath.pi * x)


def _trigamma(x: Any) -> Any:
    """By reflection: mpmath's own counts up from far below 0."""
    if x > 0:
        return mpmath.psi(1, x)
    return (mpmath.pi / mpmath.sinpi(x)) ** 2 - mpmath.psi(1, 1 - x)


def _fmod(x: Any, y: Any) -> Any:
    return mpmath.mpf(math.fmod(x, y))


def _remainder(x: Any, y: Any) -> Any:
    rest = math.fmod(x, y)
    return mpmath.mpf(rest + y if rest and (rest < 0) != (y < 0) else rest)


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
    "zeta": lambda x, q: mpmath.mpf(0) if x > 1e6 < q else mpmath.zeta(x, q),
    "digamma": _digamma,
    "log_ndtr": lambda x: mpmath.log1p(-mpmath.erfc(x / mpmath.sqrt(2)) / 2),
    "trigamma": _trigamma,
    "erfcx": lambda x: mpmath.exp(x * x) * mpmath.erfc(x),
    # eager divides, and the quotient of a denormal divisor overflows
    "fmod": _fmod,
    "remainder": _remainder,
    "__rmod__": lambda x, y: _remainder(y, x),
}


def exact_of(op: Any, sample: Any, wrong: torch.Tensor) -> torch.Tensor | None:
    """The results of the elements marked, as float64; None for an operator that is not here."""
    function = _EXACT.get(_function_name(op, sample))
    if function is None:
        return None
    operands = [x for x in (sample.input, *sample.args) if isinstance(x, torch.Tensor)]
    rows = zip(
        *(x.double().broadcast_to(wrong.shape)[wrong].tolist() for x in operands), strict=True
    )
    with mpmath.workdps(DIGITS):
        made = [_value(function, row) for row in rows]
    return torch.tensor(made, dtype=torch.float64, device=wrong.device)


def slack_of(op: Any) -> float:
    """How far a result may be from the exact one where its terms cancel, relative if above 1."""
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
