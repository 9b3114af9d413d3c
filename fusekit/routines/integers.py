"""Functions of integers."""

from __future__ import annotations

__all__ = ["gcd"]


def gcd(a: int, b: int) -> int:
    """The greatest common divisor, by Euclid's algorithm, in at most 92 steps; 0 of 0 and 0.

    The operands are absolute values. One may be negative: the most negative integer of a dtype,
    which has none. Eager divides it as it is, so that the remainders alternate in sign, and of
    -2**63 and 6 finds -2. So does this.
    """
    divisor = a
    rest = b
    if divisor < 0:
        divisor, rest = rest, divisor
    if rest >= 0:
        return _euclid(divisor, rest, 1)
    if divisor <= 0:
        return rest
    return _euclid(divisor, (-(rest + 1) % divisor + 1) % divisor, -1)


def _euclid(divisor: int, rest: int, turn: int) -> int:
    """The last remainder but 0, of which each has `turn` times the sign of the one before."""
    sign = 1
    while rest > 0:
        divisor, rest = rest, divisor % rest
        sign = sign * turn
    return sign * divisor
