"""Special functions and what else takes loops and branches: scalar functions, written in Python.

Each is a function in a small subset of Python (`language`), with float64 arithmetic. Every dialect
writes it out in its own language and calls it element by element; float32 is widened for it and
the result rounded, so that it is right in float32 nearly to the last bit.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Mapping
from typing import Any

from fusekit.routines import (
    airy,
    bessel,
    error,
    gamma,
    incomplete_gamma,
    integers,
    modified_bessel,
    polynomials,
    zeta,
)
from fusekit.routines.parser import parse
from fusekit.routines.program import Routine

__all__ = ["FUNCTIONS", "Routine", "routine"]

FUNCTIONS: Mapping[str, Callable[..., Any]] = types.MappingProxyType(
    {
        function.__name__: function
        for function in (
            airy.airy_ai,
            bessel.bessel_j0,
            bessel.bessel_j1,
            bessel.bessel_y0,
            bessel.bessel_y1,
            bessel.spherical_bessel_j0,
            error.erfcx,
            error.erfinv,
            error.log_ndtr,
            error.ndtri,
            gamma.digamma,
            gamma.trigamma,
            incomplete_gamma.igamma,
            incomplete_gamma.igammac,
            integers.gcd,
            modified_bessel.i0,
            modified_bessel.i0e,
            modified_bessel.i1,
            modified_bessel.i1e,
            modified_bessel.k0,
            modified_bessel.k0e,
            modified_bessel.k1,
            modified_bessel.k1e,
            polynomials.chebyshev_polynomial_t,
            polynomials.chebyshev_polynomial_u,
            polynomials.chebyshev_polynomial_v,
            polynomials.chebyshev_polynomial_w,
            polynomials.hermite_polynomial_h,
            polynomials.hermite_polynomial_he,
            polynomials.laguerre_polynomial_l,
            polynomials.legendre_polynomial_p,
            polynomials.shifted_chebyshev_polynomial_t,
            polynomials.shifted_chebyshev_polynomial_u,
            polynomials.shifted_chebyshev_polynomial_v,
            polynomials.shifted_chebyshev_polynomial_w,
            zeta.zeta,
        )
    }
)
"""Op name -> the Python function."""


@functools.cache
def routine(op: str) -> Routine | None:
    """The routine that computes the op of that name; None if it is not one."""
    function = FUNCTIONS.get(op)
    return None if function is None else parse(function, ())
