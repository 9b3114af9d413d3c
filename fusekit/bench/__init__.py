"""Measuring: fused against fallback, in turns, the ratio with its interval and a verdict."""

from __future__ import annotations

from fusekit.bench.crossing.search import Crossover, crossover
from fusekit.bench.limits.roofs import Roofline, roofline
from fusekit.bench.measuring.comparing import compare
from fusekit.bench.measuring.comparison import Comparison, Row
from fusekit.bench.measuring.contenders import Skipped
from fusekit.bench.measuring.sweeping import Point, Sweep
from fusekit.bench.measuring.timing import Settings, Timing, measure
from fusekit.bench.spreading import sweep
from fusekit.bench.trying.trials import what_if
from fusekit.bench.trying.variant import Variant
from fusekit.bench.workers import Worker, all_gpus

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
    "Worker",
    "all_gpus",
    "compare",
    "crossover",
    "measure",
    "roofline",
    "sweep",
    "what_if",
]
