"""What only a fresh process can show: imports, first calls, kernels that are new or on disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fusekit.bench.measuring.contenders import why_no_inductor
from fusekit.bench.suite.compiling import FUNCTIONS
from fusekit.bench.suite.results import Race
from fusekit.compilers.nvrtc import why_no_nvrtc
from fusekit.errors import FusekitError
from fusekit.runtime.engines import ENGINES

__all__ = ["ENGINE_NAMES", "ProcessError", "compile_races", "startup_races"]

ENGINE_NAMES = ("llvm", "cuda", "cpp")
"""Those that compile."""

_LONGEST = 300
"""Seconds after which a process is given up."""

_QUICK_KERNELS = {"llvm": 8, "cuda": 6, "cpp": 6}

_STARTUP = """
import json, time, torch
x = torch.randn(8, 1024)
begin = time.perf_counter()
import fusekit
imported = time.perf_counter() - begin
fusekit.fuse(lambda x, y: torch.relu(x * y + 0.5).tanh())(x, x)
first = time.perf_counter() - begin
later = []
for fn in (
    lambda x, y: torch.relu(x - y * 0.5).sigmoid(),
    lambda x, y: torch.exp(-x * x) + y,
    lambda x, y: torch.where(x > y, x.sin(), y.cos()),
    lambda x, y: (x / (1 + y.abs())).sqrt().log1p(),
):
    begin = time.perf_counter()
    fusekit.fuse(fn)(x, x)
    later.append(time.perf_counter() - begin)
print(json.dumps({"import": [imported], "first": [first], "later": later}))
"""
"""torch is there, its first operator has run, nothing of fusekit is: the first call imports it."""

_INDUCTOR = """
import json, time, torch
x = torch.randn(8, 1024)
begin = time.perf_counter()
torch.compile(lambda x, y: torch.relu(x * y + 0.5).tanh())(x, x)
first = time.perf_counter() - begin
begin = time.perf_counter()
torch.compile(lambda x, y: torch.relu(x - y * 0.5).sigmoid())(x, x)
print(json.dumps({"first": [first], "later": [time.perf_counter() - begin]}))
"""

_STARTUP_TITLES = {
    "import": ("import", "seconds of `import fusekit` where torch is imported"),
    "first": ("first", "import, trace, compile and run of a first function, caches empty"),
    "later": ("first", "trace, compile and run of other functions in that process"),
}
"""Name of a race -> its row, and what it is."""


class ProcessError(FusekitError):
    """A process that was to measure something failed; the text is its last line."""


def startup_races(*, quick: bool) -> Iterator[Race]:
    """Imports, first and later calls; in turns with Inductor's in processes of their own.

    Raises:
        ProcessError: a process of ours failed; Inductor's become a note.
    """
    ours: dict[str, list[float]] = {name: [] for name in _STARTUP_TITLES}
    theirs: dict[str, list[float]] = {}
    why = "left out of a quick run" if quick else why_no_inductor("cpu") or ""
    for turn in range(6 if quick else 9):
        for name, taken in _data(["-c", _STARTUP]).items():
            ours[name] += taken
        if not why and turn % 3 == 0:
            try:
                for name, taken in _data(["-c", _INDUCTOR]).items():
                    theirs.setdefault(name, []).extend(taken)
            except ProcessError as error:
                why = f"failed: {error}"
    for name, (row, title) in _STARTUP_TITLES.items():
        samples = {"fused": tuple(ours[name])}
        if name in theirs:
            samples["inductor"] = tuple(theirs[name])
        notes = {"inductor": why} if why and name != "import" else {}
        yield Race(row, name, title, samples, paired=False, notes=notes)


def compile_races(engine: str, *, quick: bool) -> Iterator[Race]:
    """Seconds of new kernels on an engine, then of the same ones from the disk cache.

    Raises:
        ProcessError: there is no such compiler here, or its process failed.
    """
    why, note = _engine(engine)
    if why:
        raise ProcessError(why)
    words = ["-W", "ignore", "-m", "fusekit.bench.suite.compiling", engine]
    count = _QUICK_KERNELS[engine] if quick else FUNCTIONS
    with tempfile.TemporaryDirectory(prefix="fusekit-bench-") as folder:
        for name, title in (("", "new kernels"), (" cached", "from the disk cache")):
            samples = {"fused": tuple(_data([*words, str(count)], Path(folder)))}
            notes = {"fused": note} if note else {}
            said = f"{engine}: {title}"
            yield Race("compile", f"{engine}{name}", said, samples, paired=False, notes=notes)


def _engine(name: str) -> tuple[str, str]:
    """Why an engine cannot compile here, and what to know of it if it can."""
    why = ENGINES[name].unavailable()
    if why is None:
        return "", ""
    if name != "cuda" or why_no_nvrtc():
        return why, ""
    return "", "generated and compiled, not loaded: no GPU"


def _data(words: Sequence[str], folder: Path | None = None) -> Any:
    """What such a process prints on its last line; without a folder it has no disk cache."""
    with tempfile.TemporaryDirectory(prefix="fusekit-bench-") as fresh:
        try:
            done = subprocess.run(  # noqa: S603  this interpreter, and texts from above
                [sys.executable, *words],
                capture_output=True,
                text=True,
                timeout=_LONGEST,
                check=False,
                env=_environment(folder or Path(fresh), keep=folder is not None),
            )
        except subprocess.TimeoutExpired as error:
            raise ProcessError(f"took more than {_LONGEST} s") from error
    lines = (done.stderr if done.returncode else done.stdout).strip().splitlines()
    last = lines[-1] if lines else f"exit code {done.returncode}"
    if done.returncode:
        raise ProcessError(last)
    return json.loads(last)


def _environment(folder: Path, *, keep: bool) -> Mapping[str, str]:
    """This process's, with caches in a folder: those of fusekit, Inductor, NVRTC and the driver."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "FUSEKIT_DISK_CACHE": "1" if keep else "0",
        "FUSEKIT_CACHE_DIR": str(folder / "fusekit"),
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
        "TRITON_CACHE_DIR": str(folder / "triton"),
        "CUDA_CACHE_PATH": str(folder / "cuda"),
    }
