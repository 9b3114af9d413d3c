"""The table of what is measured: a row for each function that kernels compute approximately."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from fusekit.errors import UsageError

__all__ = ["FUNCTIONS", "Function", "named"]


@dataclasses.dataclass(frozen=True, slots=True)
class Function:
    """One row.

    Attributes:
        name: of the IR's op.
        path: the public function, below `torch`; `NUMBER:` before it is a first argument.
        arity: how many tensors it takes.
        low: random arguments are drawn from here ...
        high: ... to here: where the function does something.
        near: points to look around: zeros, poles, branch points.
    """

    name: str
    path: str
    arity: int = 1
    low: float = -10.0
    high: float = 10.0
    near: tuple[float, ...] = (0.0,)


_PI = 3.141592653589793
_TURNS = tuple(k * _PI / 2 for k in (0, 1, 2, 3, 4, 7, 100, 1000001))
_POLES = (0.0, -1.0, -2.0, -3.0, -10.0)
_J0 = (0.0, 2.404825557695773, 5.520078110286311, 8.653727912911013, 5.0, 25.0)
_J1 = (0.0, 3.8317059702075125, 7.015586669815619, 10.173468135062722, 5.0, 25.0)
_Y0 = (0.0, 0.8935769662791675, 3.957678419314858, 7.086051060301773, 5.0, 25.0)
_Y1 = (0.0, 2.197141326031017, 5.429681040794135, 8.596005868331169, 5.0, 25.0)
_AIRY = (0.0, -2.3381074104597674, -4.087949444130970, -5.520559828095551, 2.09, 103.9)

_UNARY: tuple[Function, ...] = (
    Function("exp", "exp", 1, -750, 720, (0.0, 709.78, -745.1, 88.72, -103.97)),
    Function("exp2", "exp2", 1, -1080, 1030, (0.0, 1024.0, -1074.0, 128.0, -149.0)),
    Function("expm1", "expm1", 1, -50, 720, (0.0, 709.78)),
    Function("log", "log", 1, 0, 10, (0.0, 1.0)),
    Function("log2", "log2", 1, 0, 10, (0.0, 1.0, 2.0, 1024.0)),
    Function("log10", "log10", 1, 0, 10, (0.0, 1.0, 10.0, 1000.0)),
    Function("log1p", "log1p", 1, -1, 10, (0.0, -1.0)),
    Function("sin", "sin", 1, -100, 100, _TURNS),
    Function("cos", "cos", 1, -100, 100, _TURNS),
    Function("tan", "tan", 1, -100, 100, _TURNS),
    Function("asin", "asin", 1, -1, 1, (0.0, 1.0, -1.0, 0.5)),
    Function("acos", "acos", 1, -1, 1, (0.0, 1.0, -1.0, 0.5)),
    Function("atan", "atan", 1, -10, 10, (0.0, 1.0)),
    Function("sinh", "sinh", 1, -720, 720, (0.0, 710.47, 89.41)),
    Function("cosh", "cosh", 1, -720, 720, (0.0, 710.47, 89.41)),
    Function("tanh", "tanh", 1, -25, 25, (0.0, 0.55)),
    Function("asinh", "asinh", 1, -100, 100, (0.0, 1.0)),
    Function("acosh", "acosh", 1, 1, 100, (1.0, 2.0)),
    Function("atanh", "atanh", 1, -1, 1, (0.0, 1.0, -1.0)),
    Function("sigmoid", "sigmoid", 1, -750, 50, (0.0, -709.78, -745.1, -88.72)),
    Function("erf", "erf", 1, -6, 6, (0.0, 0.5, 1.0)),
    Function("erfc", "erfc", 1, -6, 28, (0.0, 0.5, 1.0, 26.54)),
    Function("lgamma", "lgamma", 1, -30, 30, (*_POLES, 1.0, 2.0, -2.4570247382208006)),
    Function("airy_ai", "special.airy_ai", 1, -30, 110, _AIRY),
    Function("bessel_j0", "special.bessel_j0", 1, -100, 100, _J0),
    Function("bessel_j1", "special.bessel_j1", 1, -100, 100, _J1),
    Function("bessel_y0", "special.bessel_y0", 1, 0, 100, _Y0),
    Function("bessel_y1", "special.bessel_y1", 1, 0, 100, _Y1),
    Function("spherical_bessel_j0", "special.spherical_bessel_j0", 1, -100, 100, (0.0, _PI, 0.5)),
    Function("i0", "special.i0", 1, -720, 720, (0.0, 8.0, 713.98)),
    Function("i0e", "special.i0e", 1, -100, 100, (0.0, 8.0)),
    Function("i1", "special.i1", 1, -720, 720, (0.0, 8.0, 713.98)),
    Function("i1e", "special.i1e", 1, -100, 100, (0.0, 8.0)),
    Function("k0", "special.modified_bessel_k0", 1, 0, 750, (0.0, 1.0, 2.0, 740.0)),
    Function("k0e", "special.scaled_modified_bessel_k0", 1, 0, 100, (0.0, 1.0, 2.0)),
    Function("k1", "special.modified_bessel_k1", 1, 0, 750, (0.0, 1.0, 2.0, 740.0)),
    Function("k1e", "special.scaled_modified_bessel_k1", 1, 0, 100, (0.0, 1.0, 2.0)),
    Function("digamma", "digamma", 1, -30, 30, (*_POLES, 1.4616321449683623, -0.504083008264455)),
    Function("trigamma", "1:special.polygamma", 1, -30, 30, _POLES),
    Function("erfcx", "special.erfcx", 1, -26.7, 60, (0.0, -26.64, 50.0)),
    Function("erfinv", "erfinv", 1, -1, 1, (0.0, 0.7, 1.0, -1.0)),
    Function("ndtri", "special.ndtri", 1, 0, 1, (0.0, 0.5, 1.0, 0.1353352832366127)),
    Function("log_ndtr", "special.log_ndtr", 1, -40, 40, (0.0, -1.0, 1.0, 8.0)),
)

_POLYNOMIALS = (
    *(
        Function(f"chebyshev_polynomial_{kind}", f"special.chebyshev_polynomial_{kind}", 2, -1, 1)
        for kind in "tuvw"
    ),
    *(
        Function(
            f"shifted_chebyshev_polynomial_{kind}",
            f"special.shifted_chebyshev_polynomial_{kind}",
            2,
            0,
            1,
        )
        for kind in "tuvw"
    ),
    Function("hermite_polynomial_h", "special.hermite_polynomial_h", 2, -6, 6),
    Function("hermite_polynomial_he", "special.hermite_polynomial_he", 2, -6, 6),
    Function("laguerre_polynomial_l", "special.laguerre_polynomial_l", 2, 0, 30),
    Function("legendre_polynomial_p", "special.legendre_polynomial_p", 2, -1, 1),
)

_BINARY: tuple[Function, ...] = (
    Function("atan2", "atan2", 2),
    Function("hypot", "hypot", 2),
    Function("pow", "pow", 2),
    Function("zeta", "special.zeta", 2),
    Function("igamma", "special.gammainc", 2),
    Function("igammac", "special.gammaincc", 2),
)

FUNCTIONS: Mapping[str, Function] = {row.name: row for row in (*_UNARY, *_BINARY, *_POLYNOMIALS)}
"""Every row, by name."""


def named(names: Iterable[str]) -> list[Function]:
    """The rows of some names, all rows if there are none; an op's name or torch's will do.

    Raises:
        UsageError: there is no such function.
    """
    others = {row.path.rpartition(".")[2].rpartition(":")[2]: row for row in FUNCTIONS.values()}
    rows = []
    for name in names:
        row = FUNCTIONS.get(name) or others.get(name)
        if row is None:
            raise UsageError(f"no function {name!r}; there are {', '.join(sorted(FUNCTIONS))}")
        rows.append(row)
    return rows or list(FUNCTIONS.values())
