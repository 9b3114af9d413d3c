"""What a measurement was made on: packages, processor, GPU. Kept with the times, never printed."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

import fusekit

__all__ = ["this_machine"]


def this_machine() -> dict[str, str]:
    """Names and versions, for people."""
    found = {
        "fusekit": fusekit.__version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": f"{_processor()}, {torch.get_num_threads()} of {os.cpu_count()} threads",
    }
    if torch.cuda.is_available():
        found["gpu"] = f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"
    return found


def _processor() -> str:
    """The model, as the operating system names it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()
