"""`fusekit bench --device cuda`: fused kernels against copy bandwidth and the other fusers."""

from __future__ import annotations

from fusekit.bench.gpu.race import FULL, QUICK, GpuSettings, demand_gpu, measure_gpu
from fusekit.bench.gpu.report import GpuReport
from fusekit.bench.gpu.results import GpuRow, GpuRun
from fusekit.bench.gpu.workloads import GPU_WORKLOADS, GpuWorkload

__all__ = [
    "FULL",
    "GPU_WORKLOADS",
    "QUICK",
    "GpuReport",
    "GpuRow",
    "GpuRun",
    "GpuSettings",
    "GpuWorkload",
    "demand_gpu",
    "measure_gpu",
]
