"""What a measurement was made on: packages, processor, GPU. Kept with the times, never printed."""

from __future__ import annotations

import os
import platform

import torch

import fusekit
from fusekit.bench.workers import processor

__all__ = ["this_machine"]


def this_machine() -> dict[str, str]:
    """Names and versions, for people."""
    found = {
        "fusekit": fusekit.__version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": f"{processor()}, {torch.get_num_threads()} of {os.cpu_count()} threads",
    }
    if torch.cuda.is_available():
        found["gpu"] = f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"
    return found
