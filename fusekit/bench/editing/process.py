"""Trying an edited kernel in a process of its own, with time limits."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from fusekit.bench.editing.child import MARK
from fusekit.bench.editing.job import GUARD_BYTE, Job, spans_of, total_bytes
from fusekit.frontends.dtypes import TO_TORCH

__all__ = ["Died", "Trial", "trial"]

LIMITS: Mapping[str, float] = {"start": 60.0, "compile": 30.0, "run": 10.0, "time": 30.0}
"""Seconds that each phase may take; `run` is what a user may set."""

_POLL = 0.1

Tick = Callable[[str, float], None]
"""Told the phase and the seconds since it began, several times a second; it may raise."""


class Died(Exception):  # noqa: N818  it is what happened to the other process
    """The process ended, or was ended, in a phase.

    Attributes:
        phase: "start", "compile", "run" or "time".
        status: exit status, negative for a signal; None if it took too long.
        seconds: the limit that was then reached.
    """

    def __init__(self, phase: str, status: int | None, seconds: float) -> None:
        super().__init__(phase, status)
        self.phase = phase
        self.status = status
        self.seconds = seconds

    def __str__(self) -> str:
        """`crashed: signal 11 (SIGSEGV)`, or that it did not end."""
        if self.status is None:
            return f"did not end in {self.seconds:g} s"
        if self.status < 0:
            with contextlib.suppress(ValueError):
                return f"crashed: signal {-self.status} ({signal.Signals(-self.status).name})"
        return f"ended the process, with status {self.status}"


class Trial:
    """A process that tries a job."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        folder: Path,
        job: Job,
        tick: Tick,
        limits: Mapping[str, float],
    ) -> None:
        self._process = process
        self._folder = folder
        self._job = job
        self._tick = tick
        self._limits = limits
        self._rest = b""
        self.phase = "start"

    def until(self, *wanted: str) -> dict[str, Any]:
        """The next of these messages; Died if the process ends before, or a limit is reached."""
        while True:
            message = self._message()
            if message["phase"] in wanted:
                return message
            self.phase = message["phase"]

    def go(self) -> None:
        """Have it measure."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        self._process.stdin.flush()
        self.phase = "time"

    def contents(self) -> list[torch.Tensor]:
        """The regions as the kernel left them, flat."""
        data = torch.frombuffer(bytearray(self._bytes()), dtype=torch.uint8)
        return [
            data[first:last].clone().view(TO_TORCH[region.dtype])
            if last > first
            else torch.empty(0, dtype=TO_TORCH[region.dtype])
            for (first, last), region in zip(
                spans_of(self._job.memory), self._job.memory.regions, strict=True
            )
        ]

    def trespass(self) -> str:
        """Where outside its regions the kernel has written; "" if nowhere."""
        data = torch.frombuffer(bytearray(self._bytes()), dtype=torch.uint8)
        touched = data != GUARD_BYTE
        for first, last in spans_of(self._job.memory):
            touched[first:last] = False
        if not touched.any():
            return ""
        at = int(touched.nonzero()[0])
        before = [i for i, (_, last) in enumerate(spans_of(self._job.memory)) if last <= at]
        if not before:
            return "before its first tensor"
        return f"{at - spans_of(self._job.memory)[before[-1]][1]} bytes behind a tensor's end"

    def _bytes(self) -> bytes:
        return self._folder.joinpath("memory").read_bytes()

    def _message(self) -> dict[str, Any]:
        start, limit = time.monotonic(), self._limits[self.phase]
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while True:
                line, mark, rest = self._rest.partition(b"\n")
                if mark:
                    self._rest = rest
                    text = line.decode(errors="replace")
                    if text.startswith(MARK):
                        found: dict[str, Any] = json.loads(text.removeprefix(MARK))
                        return found
                    continue
                passed = time.monotonic() - start
                self._tick(self.phase, passed)
                if passed > limit:
                    raise Died(self.phase, None, limit)
                if selector.select(_POLL):
                    data = os.read(self._process.stdout.fileno(), 1 << 16)
                    if not data:
                        raise Died(self.phase, self._process.wait(), limit)
                    self._rest += data


@contextmanager
def trial(
    job: Job, contents: Sequence[torch.Tensor], tick: Tick, run_seconds: float
) -> Iterator[Trial]:
    """Start a process that tries `job` on copies of `contents`; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="fusekit-") as name:  # for this user alone: 0700
        folder = Path(name)
        folder.joinpath("job").write_bytes(pickle.dumps(job))
        _write_memory(folder / "memory", job, contents)
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        process = subprocess.Popen(  # noqa: S603  this interpreter, and a folder of ours
            [sys.executable, "-m", "fusekit.bench.editing.child", name],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield Trial(process, folder, job, tick, {**LIMITS, "run": run_seconds})
        finally:
            process.kill()
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    stream.close()  # type: ignore[union-attr]
            process.wait()


def _write_memory(path: Path, job: Job, contents: Sequence[torch.Tensor]) -> None:
    data = torch.full((total_bytes(job.memory),), GUARD_BYTE, dtype=torch.uint8)
    for (first, last), region in zip(spans_of(job.memory), contents, strict=True):
        if last > first:
            data[first:last] = region.contiguous().view(torch.uint8)
    with path.open("wb") as file:
        data.numpy().tofile(file)
