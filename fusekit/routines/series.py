"""Sums of series, for the routines beside this module."""

from __future__ import annotations

from fusekit.routines.language import Table

__all__ = ["chebyshev", "polynomial"]


def polynomial(x: float, coefficients: Table) -> float:
    """A polynomial in x by Horner's rule; its coefficients from the highest power down."""
    total = coefficients[0]
    for index in range(1, len(coefficients)):
        total = total * x + coefficients[index]
    return total


def chebyshev(x: float, coefficients: Table) -> float:
    """The sum of c[n] * T_n(x/2) by Clenshaw's recurrence, from the highest n down.

    The last coefficient, c[0], counts half. It is the convention of Cephes, whose tables fit as
    they are: twice the argument saves a multiplication in each step.
    """
    newest, newer, old = coefficients[0], 0.0, 0.0
    for index in range(1, len(coefficients)):
        newest, newer, old = x * newest - newer + coefficients[index], newest, newer
    return 0.5 * (newest - old)
