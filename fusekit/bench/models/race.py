"""All models, each in a fresh process with empty caches."""

from __future__ import annotations

import datetime as dt
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

import fusekit
from fusekit.bench.models.measure import BATCH
from fusekit.bench.models.results import ModelRow, ModelsRun
from fusekit.bench.models.zoo import ZOO, missing
from fusekit.bench.workers import processor
from fusekit.errors import UsageError

__all__ = ["measure_models"]

_LONGEST = 600
"""Seconds after which a model is given up."""


def measure_models(
    only: Sequence[str] | None, say: Callable[[ModelRow], object], *, quick: bool = False
) -> ModelsRun:
    """Measure these models, or all; `say` gets each row when it is there.

    Raises:
        UsageError: there is no such model.
    """
    unknown = [name for name in only or () if name not in ZOO]
    if unknown:
        raise UsageError(f"no model {unknown[0]!r}; there are {', '.join(ZOO)}")
    began = time.perf_counter()
    rows = []
    for name in only or ZOO:
        rows.append(_row(name, quick=quick))
        say(rows[-1])
    words = ["fusekit", "bench", "--models", *(["--quick"] if quick else [])]
    words += ["--only", ",".join(only)] if only else []
    return ModelsRun(
        machine=_machine(),
        date=dt.datetime.now(dt.UTC).date().isoformat(),
        batch=BATCH,
        command=shlex.join(words),
        rows=tuple(rows),
        seconds=time.perf_counter() - began,
    )


def _row(name: str, *, quick: bool) -> ModelRow:
    entry = ZOO[name]
    skipped = missing(entry)
    if skipped is not None:
        return ModelRow(name, entry.title, skipped=skipped)
    command = [sys.executable, "-m", "fusekit.bench.models", name, *(["--quick"] if quick else [])]
    with tempfile.TemporaryDirectory(prefix="fusekit-models-") as folder:
        try:
            done = subprocess.run(  # noqa: S603  a vector, no shell, a name of our table
                command,
                capture_output=True,
                text=True,
                timeout=_LONGEST,
                check=False,
                env={**os.environ, **_empty_caches(Path(folder))},
            )
        except subprocess.TimeoutExpired:
            return ModelRow(name, entry.title, skipped=f"took more than {_LONGEST} s")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return ModelRow(name, entry.title, skipped=f"failed: {last}")
    return ModelRow.from_data(json.loads(done.stdout.strip().splitlines()[-1]))


def _empty_caches(folder: Path) -> dict[str, str]:
    return {
        "FUSEKIT_CACHE_DIR": str(folder / "fusekit"),
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
        "TORCHINDUCTOR_FX_GRAPH_CACHE": "0",
        "TORCHINDUCTOR_AUTOGRAD_CACHE": "0",
    }


def _machine() -> str:
    policy = os.environ.get("OMP_WAIT_POLICY")  # which decides how long threads wait for work
    waiting = f", OMP_WAIT_POLICY={policy}" if policy else ""
    return (
        f"{processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"fusekit {fusekit.__version__}, torch {torch.__version__}, "
        f"Python {sys.version_info.major}.{sys.version_info.minor}{waiting}"
    )
