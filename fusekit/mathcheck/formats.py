"""Floating point formats, and the distance of results from exact values in units in the last place.

An exact value is kept as the float64 next to it and the rest in units of that float64's last place,
so that values near the ends of the range keep their rest.
"""

from __future__ import annotations

import dataclasses
import typing

import numpy as np
from numpy.typing import NDArray

__all__ = ["FORMATS", "SLACK", "Exact", "Format", "errors", "rounded", "ulp"]

Floats: typing.TypeAlias = NDArray[np.float64]

SLACK = 2.0
"""An infinity this near in ulp to a finite value, or a finite value to an infinity, is rounding."""


@dataclasses.dataclass(frozen=True, slots=True)
class Format:
    """A binary format of IEEE 754, or bfloat16.

    Attributes:
        name: torch's name of the dtype.
        digits: bits of the significand, the implicit one included.
        low: exponent of the least normal number, such as -126.
        high: exponent of the largest number, such as 127.
    """

    name: str
    digits: int
    low: int
    high: int

    @property
    def limit(self) -> float:
        """Where infinity stands for distances, 2 ** (high + 1); for float64 its largest number."""
        return min(2.0**self.high * 2, np.finfo(np.float64).max)


FORMATS: dict[str, Format] = {
    row.name: row
    for row in (
        Format("float32", 24, -126, 127),
        Format("float64", 53, -1022, 1023),
        Format("float16", 11, -14, 15),
        Format("bfloat16", 8, -126, 127),
    )
}
"""What functions are measured in, by name."""


@dataclasses.dataclass(frozen=True, slots=True)
class Exact:
    """Exact values: `value + rest * ulp(value)` in float64's ulp.

    Attributes:
        value: the nearest float64; the largest one where the exact value is larger; NaN where there
            is no real number.
        rest: what is missing, in units of the last place of `value`; at most 1 in magnitude.
    """

    value: Floats
    rest: Floats

    def take(self, index: NDArray[np.intp]) -> Exact:
        """The values at some places."""
        return Exact(self.value[index], self.rest[index])

    def following(self, convention: Floats, got: Floats) -> Exact:
        """The same, and where there is no real number, what PyTorch says in float64.

        Its sign counts for zeros, too, since a real zero has none; where PyTorch finds no zero, the
        sign of `got` will do.
        """
        unknown = np.isnan(self.value)
        zero = (self.value == 0) & (self.rest == 0)
        sign = np.where(convention == 0, convention, got)
        value = np.where(unknown, convention, self.value)
        value = np.where(zero, np.copysign(0.0, sign), value)
        return Exact(value, np.where(unknown, 0.0, self.rest))


def ulp(form: Format, exact: Exact) -> Floats:
    """The unit in the last place of the binade of exact values; that of denormals below them."""
    fraction, _ = np.frexp(exact.value)
    below = (np.abs(fraction) == 0.5) & (exact.rest * fraction < 0)
    place = np.maximum(_place(form, exact.value) - below, form.low)
    return _power(place - form.digits + 1)


def errors(form: Format, got: Floats, exact: Exact) -> Floats:
    """How far results are from exact values, in ulp of the exact value's binade.

    An infinity counts as 2 ** (high + 1), where rounding begins to give it.

    Returns:
        inf where a special value differs: NaN on one side only, an infinity that is not rounding,
        or the other sign of a zero.
    """
    limit = form.limit
    with np.errstate(all="ignore"):
        unit = ulp(form, exact)
        above = _infinite(form, got) - _infinite(form, exact.value)
        near, value = np.clip(got, -limit, limit), np.clip(exact.value, -limit, limit)
        rest = np.where(value == exact.value, exact.rest, 0.0)
        distance = (near - value) / unit + above - rest * (_last_place(value) / unit)
        found = np.minimum(np.abs(distance), np.finfo(np.float64).max)
        nearest = rounded(form, exact)
        differs = np.isnan(got) != np.isnan(exact.value)
        differs |= (np.isinf(got) != np.isinf(nearest)) & ~(found <= SLACK)
        differs |= np.isinf(got) & np.isinf(nearest) & (got != nearest)
        differs |= (got == 0) & (nearest == 0) & (np.signbit(got) != np.signbit(_signed(exact)))
    found = np.where(np.isnan(exact.value), 0.0, found)
    return np.where(differs, np.inf, found)


def rounded(form: Format, exact: Exact) -> Floats:
    """The numbers of a format that are nearest to exact values, halves to even."""
    with np.errstate(all="ignore"):
        unit = _power(_place(form, exact.value) - form.digits + 1)
        scaled = exact.value / unit
        rest = exact.rest * (_last_place(exact.value) / unit)
        whole = np.rint(scaled)
        # halfway as a float64, but not in truth: the rest decides
        tie = (np.abs(scaled - np.trunc(scaled)) == 0.5) & (rest != 0)
        whole = np.where(tie, np.where(rest > 0, np.ceil(scaled), np.floor(scaled)), whole)
        result = whole * unit
    if form.digits == 53:
        over = (np.abs(exact.value) == form.limit) & (np.abs(exact.rest) >= 0.5)
        result = np.where(over, np.copysign(np.inf, exact.value), exact.value)
    else:
        over = np.abs(result) >= form.limit
        result = np.where(over, np.copysign(np.inf, result), result)
    return np.copysign(result, _signed(exact))


def _power(exponent: NDArray[np.int32]) -> Floats:
    """Powers of two."""
    return np.ldexp(np.ones(exponent.shape), exponent)


def _place(form: Format, value: Floats) -> NDArray[np.int32]:
    """The exponent of the binade, of the highest or lowest one beyond."""
    _, exponent = np.frexp(np.minimum(np.abs(value), form.limit))
    place = np.clip(exponent - 1, form.low, form.high)
    found: NDArray[np.int32] = np.where(value == 0, form.low, place)
    return found


def _last_place(value: Floats) -> Floats:
    """A float64's unit in the last place (numpy.spacing of the largest is infinite)."""
    return _power(_place(FORMATS["float64"], value) - 52)


def _infinite(form: Format, value: Floats) -> Floats:
    """What an infinity is above the largest float64 in ulp; other formats' limits are numbers."""
    return np.where(np.isinf(value), np.sign(value), 0.0) * (form.digits == 53)


def _signed(exact: Exact) -> Floats:
    """Something with the sign of the exact value, also where it is less than any float64."""
    return np.where((exact.value == 0) & (exact.rest != 0), exact.rest, exact.value)
