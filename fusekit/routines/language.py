"""What a routine may call, with C's meaning: a routine is also a Python function of NumPy scalars.

A routine is a Python function in a small subset of Python, which is parsed (`parser`) and written
out in C, CUDA or LLVM. Called from Python, with `numpy.float64` and `int` arguments, it computes
the same, so that it can be tested and stepped through without any compiler.

The subset: parameters are annotated `float` (a double), `int` (an int64) or `Table`, which a caller
fills with a tuple of numbers that its module names; so is the result. Statements are assignments
(also of several names at once), `if`, `while`, `for ... in range(...)`, `break` and `return`; a
name keeps the type that it gets first. Expressions are numbers, names, `TABLE[index]`,
`len(TABLE)`, `+ - * /` (a float), `//` and `%` (of integers that are not negative), comparisons,
`and or not`, `x if c else y`, `float()`, `int()` (towards zero), the functions below, and other
routines. Both sides of `and`, `or` and a conditional expression may be computed: neither may divide
integers by what may be 0, nor index beyond a table. What a module names in capitals is a constant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np

__all__ = [
    "ARITIES",
    "Table",
    "atan2",
    "ceil",
    "copysign",
    "cos",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "fabs",
    "floor",
    "fma",
    "isfinite",
    "isnan",
    "lgamma",
    "log",
    "log1p",
    "pow",
    "sin",
    "sqrt",
    "tan",
    "trunc",
]

Table = tuple[float, ...]
"""Constants that a routine indexes."""

ARITIES: Mapping[str, int] = {
    **dict.fromkeys(("exp", "exp2", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tan"), 1),
    **dict.fromkeys(("erf", "erfc", "lgamma", "fabs", "floor", "ceil", "trunc"), 1),
    **dict.fromkeys(("isnan", "isfinite"), 1),
    **dict.fromkeys(("pow", "copysign", "atan2"), 2),
    "fma": 3,
}
"""The functions of the C library that routines call, all of doubles; `isnan` and `isfinite` give
bools."""


def _quiet(function: Callable[..., float]) -> Callable[..., float]:
    """As C's: what is out of range is NaN or an infinity, without a warning."""

    def called(*operands: float) -> float:
        with np.errstate(all="ignore"):
            return np.float64(function(*operands))

    return called


exp, exp2, expm1 = _quiet(np.exp), _quiet(np.exp2), _quiet(np.expm1)
log, log1p, sqrt = _quiet(np.log), _quiet(np.log1p), _quiet(np.sqrt)
sin, cos, tan, atan2 = _quiet(np.sin), _quiet(np.cos), _quiet(np.tan), _quiet(np.arctan2)
fabs, floor, ceil, trunc = _quiet(np.fabs), _quiet(np.floor), _quiet(np.ceil), _quiet(np.trunc)
pow, copysign = _quiet(np.power), _quiet(np.copysign)  # noqa: A001  C's name
erf, erfc = _quiet(math.erf), _quiet(math.erfc)


def fma(x: float, y: float, z: float) -> float:
    """x*y + z, rounded once."""
    if not (isfinite(x) and isfinite(y) and isfinite(z)):
        with np.errstate(all="ignore"):
            return np.float64(x) * y + z
    exact = Fraction(x) * Fraction(y) + Fraction(z)
    try:
        return np.float64(float(exact))
    except OverflowError:
        return np.float64(math.copysign(math.inf, exact))


def lgamma(x: float) -> float:
    """The logarithm of |gamma(x)|; infinite at 0 and the negative integers."""
    try:
        return np.float64(math.lgamma(x))
    except (ValueError, OverflowError):
        return np.float64(math.inf)


def isnan(x: float) -> bool:
    """True if x is a NaN."""
    return bool(np.isnan(x))


def isfinite(x: float) -> bool:
    """True if x is neither infinite nor a NaN."""
    return bool(np.isfinite(x))
