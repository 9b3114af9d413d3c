"""SASS, the GPU's own instructions, as NVIDIA's nvdisasm prints them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from fusekit.errors import CompileError, EngineUnavailableError

__all__ = ["find", "sass"]

_NAME = "nvdisasm"
_TIMEOUT_SECONDS = 60.0


def find() -> str | None:
    """The disassembler's path: on PATH, or in a CUDA toolkit at its usual place."""
    homes = (os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda")
    folders = [str(Path(home, "bin")) for home in homes if home]
    return shutil.which(_NAME) or shutil.which(_NAME, path=os.pathsep.join(folders))


def sass(cubin: bytes) -> str:
    """The instructions of a cubin.

    Raises:
        EngineUnavailableError: there is no disassembler here.
        CompileError: it failed.
    """
    program = find()
    if program is None:
        raise EngineUnavailableError(
            f"SASS takes {_NAME}, which comes with the CUDA toolkit: put it on PATH"
        )
    with tempfile.TemporaryDirectory(prefix="fusekit-") as folder:
        path = Path(folder, "kernel.cubin")
        path.write_bytes(cubin)
        try:
            done = subprocess.run(  # noqa: S603  a vector, no shell
                [program, "-c", str(path)],
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
