"""What a view can measure about its call, for `FusionView`: torch is imported here."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from fusekit.api import FusedFunction
from fusekit.bench.crossing import search as crossing
from fusekit.bench.crossing.search import Crossover
from fusekit.bench.measuring.stopwatch import Tell
from fusekit.bench.measuring.sweeping import Point, Sweep, points_of
from fusekit.bench.trying.alteration import Alterable

__all__ = ["crossover", "sweep"]

_Call = tuple[FusedFunction, tuple[Any, ...], dict[str, Any]]


def sweep(
    call: _Call,
    sizes: Sequence[int],
    *,
    dtype: str = "",
    layout: str = "",
    against: Sequence[str] = ("eager",),
    seconds: float = 0.5,
    tell: Tell | None = None,
) -> Sweep:
    """The call at several sizes, timed by the stopwatch with warm caches.

    An interrupt (the notebook's stop button) ends it; sizes measured until then are returned.

    Args:
        call: the function and its arguments.
        sizes: of the first tensor's first dimension; none means eight powers of two up to the
            call's own.
        dtype: what floating point arguments are cast to; "" leaves them.
        layout: of `fusekit.bench.trying.alteration.LAYOUTS`; "" leaves them.
        against: of "eager" and "inductor"; the first is the baseline.
        seconds: the most time for the rounds at one size.
        tell: told how many sizes are done, of how many, and a word; may raise.
    """
    fused, args, kwargs = call
    alterable = Alterable(args, kwargs)
    most = max(alterable.extent, 1)
    wanted = list(sizes) or alterable.powers(max(1, most >> 8), most)
    points = points_of(
        fused,
        lambda size: alterable.make(size, dtype, layout),
        wanted,
        against=against,
        seconds=seconds,
        tell=tell,
    )
    found: tuple[Point, ...] = ()
    with contextlib.suppress(KeyboardInterrupt):
        for point in points:
            found = (*found, point)
    return Sweep(fused.name, found)


def crossover(call: _Call, **choices: Any) -> Crossover:
    """See `fusekit.crossover`."""
    fused, args, kwargs = call
    return crossing.crossover(fused, *args, **choices, **kwargs)
