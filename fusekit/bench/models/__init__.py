"""`fusekit bench --models`: whole models under torch.compile, each in a process of its own."""

from __future__ import annotations

from fusekit.bench.models.race import measure_models
from fusekit.bench.models.report import ModelsReport
from fusekit.bench.models.sizes import BENCH, TINY, Built, Size
from fusekit.bench.models.zoo import ZOO, Entry, missing

__all__ = [
    "BENCH",
    "TINY",
    "ZOO",
    "Built",
    "Entry",
    "ModelsReport",
    "Size",
    "measure_models",
    "missing",
]
