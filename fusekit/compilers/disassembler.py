"""SASS, the GPU's own instructions, as NVIDIA's nvdisasm prints them."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from fusekit.errors import CompileError, EngineUnavailableError

__all__ = ["find", "sass"]

_NAME = "nvdisasm"
_TIMEOUT_SECONDS = 60.0
_TOOLKIT = "/usr/local/cuda/bin"


def find() -> str | None:
    """The disassembler's path: on PATH, in its own wheel, or in a CUDA toolkit; None if nowhere."""
    return shutil.which(_NAME) or _in_wheel() or shutil.which(_NAME, path=_TOOLKIT)


def _in_wheel() -> str | None:
    try:
        from cuda.pathfinder import find_nvidia_binary_utility  # noqa: PLC0415  may be absent
    except ImportError:
        return None
    found: str | None = find_nvidia_binary_utility(_NAME)
    return found


def sass(cubin: bytes, *, lines: bool = False) -> str:
    """The instructions of a cubin; with `lines`, the source lines that it names stand between.

    Raises:
        EngineUnavailableError: there is no disassembler here.
        CompileError: it failed.
    """
    program = find()
    if program is None:
        raise EngineUnavailableError(
            f"SASS takes {_NAME}: pip install nvidia-cuda-nvdisasm, or put a CUDA toolkit on PATH"
        )
    with tempfile.TemporaryDirectory(prefix="fusekit-") as folder:
        path = Path(folder, "kernel.cubin")
        path.write_bytes(cubin)
        try:
            done = subprocess.run(  # noqa: S603  a vector, no shell
                [program, "-c", *(["-gi"] if lines else []), str(path)],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TIMEOUT_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CompileError(f"{_NAME} did not run", log=str(error)) from error
    if done.returncode:
        raise CompileError(f"{_NAME} failed with status {done.returncode}", log=done.stderr)
    return done.stdout
