"""Workers: who measures the points of a sweep, when, and what becomes of those that fail."""

from __future__ import annotations

from fusekit.bench.workers.facts import Worker, processor, settle, side_by_side, this_worker
from fusekit.bench.workers.gather import Lost, gather, one_line
from fusekit.bench.workers.gpus import all_gpus
from fusekit.bench.workers.turns import Turns

__all__ = [
    "Lost",
    "Turns",
    "Worker",
    "all_gpus",
    "gather",
    "one_line",
    "processor",
    "settle",
    "side_by_side",
    "this_worker",
]
