"""Measuring: fused against fallback, in turns, the ratio with its interval and a verdict."""

from __future__ import annotations

from fusekit.bench.comparing import compare
from fusekit.bench.comparison import Comparison, Row
from fusekit.bench.contenders import Skipped
from fusekit.bench.crossing import Crossover, crossover
from fusekit.bench.roofs import Roofline, roofline
from fusekit.bench.sweeping import Point, Sweep, sweep
from fusekit.bench.timing import Settings, Timing, measure
from fusekit.bench.trials import what_if
from fusekit.bench.variant import Variant

__all__ = [
    "Comparison",
    "Crossover",
    "Point",
    "Roofline",
    "Row",
    "Settings",
    "Skipped",
    "Sweep",
    "Timing",
    "Variant",
    "compare",
    "crossover",
    "measure",
    "roofline",
    "sweep",
    "what_if",
]
