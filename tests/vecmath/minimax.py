"""Where the coefficients in `fusekit/vecmath` come from: weighted minimax fits by Remez exchange.

    python tests/vecmath/minimax.py            # every fit, with its error
    python tests/vecmath/minimax.py erf_root   # one

A fit minimises max |weight * (f - sum(c_i * x**e_i))|. Coefficients are rounded to the working
format one after the other, lowest power first, and the rest is fitted again after each rounding,
so that later ones absorb what earlier ones lost.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence

import mpmath
import numpy as np
from mpmath import mp, mpf

mp.dps = 40

Function = Callable[[mpf], mpf]


@dataclasses.dataclass(frozen=True)
class Fit:
    """One approximation problem.

    Attributes:
        f: the function, with removable singularities removed.
        powers: exponents of the polynomial's terms, ascending.
        low: left end of the interval.
        high: right end of the interval.
        weight: what the error is multiplied by; None means 1/f (relative error).
        single: round to float32 (otherwise to float64).
        fixed: leading coefficients that are given, in the order of `powers`.
    """

    f: Function
    powers: Sequence[int]
    low: float
    high: float
    weight: Function | None = None
    single: bool = True
    fixed: Sequence[float] = ()


def solve(fit: Fit, points: int = 400) -> tuple[list[float], float]:
    """The rounded coefficients and the weighted error they leave."""
    grid = _chebyshev(fit.low, fit.high, points)
    values = [fit.f(x) for x in grid]
    weights = [
        abs(1 / v if fit.weight is None else fit.weight(x))
        for x, v in zip(grid, values, strict=True)
    ]
    known = [mpf(c) for c in fit.fixed]
    rest = [v - _sum(known, fit.powers, x) for x, v in zip(grid, values, strict=True)]
    free = _remez(grid, rest, weights, fit.powers[len(known) :])
    basis = np.array(
        [[w * x**e for e in fit.powers] for x, w in zip(grid, weights, strict=True)], dtype=float
    )
    exact = known + free
    errors = np.array(
        [
            w * (v - _sum(exact, fit.powers, x))
            for x, v, w in zip(grid, values, weights, strict=True)
        ],
        float,
    )
    for i in range(len(known), len(exact)):
        rounded = _round(exact[i], single=fit.single)
        errors += basis[:, i] * float(exact[i] - rounded)
        exact[i] = rounded
        changes = _lawson(basis[:, i + 1 :], errors)
        errors -= basis[:, i + 1 :] @ changes
        exact[i + 1 :] = [c + mpf(float(d)) for c, d in zip(exact[i + 1 :], changes, strict=True)]
    return [float(c) for c in exact], float(np.max(np.abs(errors)))


def _lawson(basis: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """The combination of columns that leaves the smallest maximum, by reweighted least squares.

    Needed because the terms that remain after the constant one is fixed are all zero at x = 0,
    where the exchange of `_remez` breaks down.
    """
    best = np.zeros(basis.shape[1])
    lowest = np.max(np.abs(errors))
    share = np.full(len(errors), 1 / len(errors))
    scale = np.max(np.abs(basis), axis=0, initial=0)
    for _ in range(80 if basis.shape[1] else 0):
        root = np.sqrt(share)
        solution = np.linalg.lstsq(root[:, None] * basis / scale, root * errors)[0] / scale
        left = np.abs(errors - basis @ solution)
        if left.max() < lowest:
            best, lowest = solution, left.max()
        share *= left
        share /= share.sum()
    return best


def _remez(
    grid: list[mpf], values: list[mpf], weights: list[mpf], powers: Sequence[int]
) -> list[mpf]:
    """Exchange until the extrema stop moving."""
    count = len(powers) + 1
    last = len(grid) - 1
    chosen = [round(last * i / (count - 1)) for i in range(count)]
    for _ in range(40):
        matrix = mpmath.matrix(count, count)
        target = mpmath.matrix(count, 1)
        for row, i in enumerate(chosen):
            for column, power in enumerate(powers):
                matrix[row, column] = weights[i] * grid[i] ** power
            matrix[row, count - 1] = (-1) ** row
            target[row] = weights[i] * values[i]
        solution = list(mpmath.lu_solve(matrix, target))
        errors = [
            w * (v - _sum(solution, powers, x))
            for x, v, w in zip(grid, values, weights, strict=True)
        ]
        found = _extrema(errors, count)
        if found == chosen or len(found) < count:
            break
        chosen = found
    return solution[:-1]


def _extrema(errors: list[mpf], count: int) -> list[int]:
    """One index per run of equal sign, thinned at the ends to `count`."""
    found: list[int] = []
    for i, error in enumerate(errors):
        if found and (errors[found[-1]] >= 0) == (error >= 0):
            if abs(error) > abs(errors[found[-1]]):
                found[-1] = i
        else:
            found.append(i)
    while len(found) > count:
        found.pop(0 if abs(errors[found[0]]) < abs(errors[found[-1]]) else -1)
    return found


def _chebyshev(low: float, high: float, points: int) -> list[mpf]:
    middle, half = (mpf(low) + mpf(high)) / 2, (mpf(high) - mpf(low)) / 2
    nodes = (-mpmath.cos(mp.pi * (i + mpf(1) / 2) / points) for i in range(points))
    return [middle + half * node for node in nodes]


def _sum(coefficients: Sequence[mpf], powers: Sequence[int], x: mpf) -> mpf:
    return mpmath.fsum(c * x**e for c, e in zip(coefficients, powers, strict=False))


def _round(value: mpf, *, single: bool) -> mpf:
    if not single:
        return mpf(float(value))
    # float() first would round twice, which moves a coefficient by at most half an ulp: harmless
    return mpf(float(np.float32(float(value))))


HALF_LN2 = float(mp.ln2 / 2) * 1.0001
HALF_PI = mp.pi / 2
ROOT_HALF, ROOT_TWO = float(mpmath.sqrt(0.5)) - 1e-7, float(mpmath.sqrt(2)) + 1e-7


def odd(f: Function, terms: int, high: float) -> Fit:
    """f(x) = x + x**3 * p(x*x) on |x| <= high, for an odd f."""
    return Fit(
        lambda x: (f(x) / x - 1) / x**2, range(0, 2 * terms, 2), 0, high, lambda x: x**3 / f(x)
    )


def erfcx_of(t: mpf) -> mpf:
    """erfc(a) * e**(a*a) with t = (a - 3) / (a + 3)."""
    a = 3 * (1 + t) / (1 - t)
    return mpmath.erfc(a) * mpmath.exp(a * a)


FITS: dict[str, Fit] = {
    # e**r = 1 + r * q(r)
    "exp": Fit(
        lambda r: mpmath.expm1(r) / r, range(6), -HALF_LN2, HALF_LN2, lambda r: r / mpmath.exp(r)
    ),
    # e**2s = 1 + s * q(s)
    "exp_double": Fit(
        lambda s: mpmath.expm1(2 * s) / s,
        range(6),
        -HALF_LN2 / 2,
        HALF_LN2 / 2,
        lambda s: s / mpmath.exp(2 * s),
    ),
    # e**r - 1 = r + r**2 * q(r)
    "expm1": Fit(
        lambda r: (mpmath.expm1(r) - r) / r**2,
        range(5),
        -HALF_LN2,
        HALF_LN2,
        lambda r: r**2 / mpmath.expm1(r),
    ),
    # 2**r = 1 + r * q(r), and as one polynomial
    "exp2": Fit(
        lambda r: (mp.mpf(2) ** r - 1) / r, range(6), -0.5, 0.5, lambda r: r / mp.mpf(2) ** r
    ),
    "exp2_wide": Fit(lambda r: mp.mpf(2) ** r, range(7), -0.5, 0.5, single=False),
    # log(1 + f) = f - f**2 / 2 + f**3 * q(f)
    "log": Fit(
        lambda f: (mpmath.log1p(f) - f + f * f / 2) / f**3,
        range(8),
        ROOT_HALF - 1,
        ROOT_TWO - 1,
        lambda f: f**3 / mpmath.log1p(f),
    ),
    # log2(1 + f) = f * q(f)
    "log2_wide": Fit(
        lambda f: mpmath.log1p(f) / f / mp.ln2,
        range(13),
        ROOT_HALF - 1,
        ROOT_TWO - 1,
        single=False,
    ),
    # sine and cosine of r quarter turns
    "sin": Fit(lambda r: mpmath.sin(HALF_PI * r) / r, range(0, 10, 2), 0, 0.625, single=False),
    "cos": Fit(
        lambda r: mpmath.cos(HALF_PI * r), range(0, 10, 2), 0, 0.625, single=False, fixed=(1.0,)
    ),
    "sin_near": odd(mpmath.sin, 3, 0.79),
    "cos_near": Fit(
        lambda r: (mpmath.cos(r) - 1) / r**2,
        range(0, 8, 2),
        0,
        0.79,
        lambda r: r**2 / mpmath.cos(r),
    ),
    "asin": odd(mpmath.asin, 5, 0.5),
    "atan": odd(mpmath.atan, 9, 1),
    "tanh": odd(mpmath.tanh, 5, 0.6),
    "sinh": odd(mpmath.sinh, 3, HALF_LN2),
    # cosh(r) = 1 + r**2 * q(r*r), absolute error
    "cosh": Fit(lambda r: (mpmath.cosh(r) - 1) / r**2, range(0, 6, 2), 0, HALF_LN2, lambda r: r**2),
    # erf(x) = x + x * q(x*x)
    "erf": Fit(lambda x: mpmath.erf(x) / x - 1, range(0, 14, 2), 0, 1, lambda x: x / mpmath.erf(x)),
    # erf(x) = 1 - q(x - 1.5)**4, absolute error
    "erf_root": Fit(
        lambda t: mpmath.erfc(t + 1.5) ** 0.25,
        range(9),
        -0.5,
        2.42,
        lambda t: 4 * mpmath.erfc(t + 1.5) ** 0.75,
    ),
    "erfcx": Fit(erfcx_of, range(11), -1, 7.1 / 13.1, single=False),
}


@dataclasses.dataclass(frozen=True)
class Pieces:
    """A function on intervals of one width, each with a polynomial of its own: tabled.py.

    Attributes:
        f: an odd function that rounds to 1 from (entries - 1.5) * step on.
        step: the intervals' width; number k lies around k * step.
        entries: intervals; the last one has the constant 1.
        terms: coefficients after the first, f(centre + t) = f(centre) + t * q(t).
        lead: what q leaves out at the origin: f(t) = lead * t + t * q(t).
    """

    f: Function
    step: float
    entries: int
    terms: int
    lead: float = 0.0

    def solve(self) -> tuple[list[list[float]], float]:
        """Centres, values there, then coefficients, an entry for each interval; their error."""
        rows, errors = zip(*(self._row(k) for k in range(self.entries - 1)), strict=True)
        last = [self.step * (self.entries - 1), 1.0] + [0.0] * self.terms
        return [list(column) for column in zip(*rows, last, strict=True)], max(errors)

    def _row(self, k: int) -> tuple[list[float], float]:
        middle, reach = k * self.step, self.step / 2 * 1.002
        centre, value = self._centre(middle) if k else (0.0, 0.0)

        def rest(t: mpf) -> mpf:
            return (self.f(centre + t) - value) / t - (0 if k else self.lead)

        def weight(t: mpf) -> mpf:
            return t / self.f(centre + t)

        low, high = middle - reach - centre, middle + reach - centre
        fit = Fit(rest, range(self.terms), low if k else 1e-6, high, weight)
        coefficients, error = solve(fit, points=80)
        return [centre, value, *coefficients], error

    def _centre(self, middle: float) -> tuple[float, float]:
        """A float32 near the middle whose result is all but one, and that (Gal's method).

        Where the function is flat, such are rare, and further away.
        """
        for share in _SHARES:
            width = share * self.step
            found = min(map(self._rounded, np.linspace(middle - width, middle + width, 1001)))
            if found[0] < _ALL_BUT:
                break
        return found[1:]

    def _rounded(self, x: float) -> tuple[float, float, float]:
        """(how far the result at x, as float32, is from one; that x; that float32)."""
        near = float(np.float32(x))
        exact = self.f(mpf(near))
        value = float(_round(exact, single=True))
        return abs(float(exact - value)), near, value


_SHARES = (0.01, 0.05, 0.2, 0.5, 0.8)
_ALL_BUT = 2.0**-30


PIECES = {
    "tabled_erf": Pieces(mpmath.erf, 277 / 1024, 16, 5, lead=1.0),
    "tabled_tanh": Pieces(mpmath.tanh, 303 / 1024, 32, 6),
}


def reductions() -> Iterator[tuple[float, float]]:
    """(2**s * 2/pi mod 4) / 2**s, |...| <= 2, in two float64 parts: trigonometric._RANGES."""
    with mpmath.workprec(400):
        for s in (27, 54, 79):
            scaled = mpf(2) ** s * 2 / mp.pi
            factor = (scaled - 4 * mpmath.nint(scaled / 4)) / mpf(2) ** s
            yield float(factor), float(factor - mpf(float(factor)))


def main(names: list[str]) -> None:
    """Print the coefficients of the fits that are named, or of all."""
    for name in PIECES.keys() & names if names else PIECES:
        columns, error = PIECES[name].solve()
        print(f"{name}: weighted error 2**{np.log2(error):.2f}")
        for column in columns:
            print(f"    ({', '.join(f'{c:.9g}' for c in column)}),")
    for name in FITS.keys() & names if names else FITS:
        coefficients, error = solve(FITS[name])
        digits = 9 if FITS[name].single else 17
        print(f"{name}: weighted error 2**{np.log2(error):.2f}")
        for c in coefficients:
            print(f"    {c:.{digits}g},")
    if not names:
        print("reductions:", *reductions(), sep="\n    ")


if __name__ == "__main__":
    main(sys.argv[1:])
