"""Where a run takes place."""

from __future__ import annotations

import datetime as dt
import re
import shutil
import subprocess
from pathlib import Path

import torch

import fusekit
from fusekit.bench.gpu.results import Machine

__all__ = ["this_machine"]

_DRIVER = Path("/proc/driver/nvidia/version")


def this_machine() -> Machine:
    """The current device, its driver, the versions, the date."""
    has_gpu = torch.cuda.is_available()
    return Machine(
        device=torch.cuda.get_device_name() if has_gpu else "no GPU",
        driver=_driver() if has_gpu else "none",
        torch=torch.__version__,
        fusekit=fusekit.__version__,
        date=dt.datetime.now(dt.UTC).date().isoformat(),
    )


def _driver() -> str:
    """The driver's version, from the kernel or from nvidia-smi; containers may hide either."""
    try:
        found = re.search(r"\b(\d+\.\d+(?:\.\d+)?)\b", _DRIVER.read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError):
        found = None
    return found[1] if found else _asked() or "unknown"


def _asked() -> str:
    command = shutil.which("nvidia-smi")
    if command is None:
        return ""
    query = [command, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(  # noqa: S603  a vector, no shell, nothing of the user's
            query, capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.splitlines()[0].strip() if done.stdout.strip() else ""
