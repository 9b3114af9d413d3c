"""The process that tries an edited kernel: it may crash, hang or write anywhere it likes.

`python -m fusekit.bench.editing.child FOLDER`: the job is in FOLDER/job, the tensors are in
FOLDER/memory. Says what it begins and what came of it on standard output, a line of JSON after a
mark each time; waits for a line on standard input before it measures.
"""

from __future__ import annotations

import json
import mmap
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from fusekit.bench.editing.job import Job, spans_of
from fusekit.bench.measuring.stopwatch import take, told
from fusekit.bench.measuring.timing import Settings
from fusekit.compilers import toolchain
from fusekit.config import options
from fusekit.errors import CompileError
from fusekit.runtime.engines import ENGINES

__all__ = ["MARK"]

MARK = "\x1efusekit "
"""Before each line that is not the kernel's own."""

_COMPILE_SECONDS = 25.0
"""The compiler's limit: it is stopped by this process, which is stopped a little later."""

_SETTINGS = Settings(seconds=1.5)


def main(folder: Path) -> None:
    """Compile, load, run once, measure."""
    job: Job = pickle.loads(folder.joinpath("job").read_bytes())  # noqa: S301  our parent wrote it
    torch.set_num_threads(job.threads)
    toolchain.TIMEOUT_SECONDS = _COMPILE_SECONDS
    options(fast=job.options.fast, cuda_arch=job.options.cuda_arch, disk_cache=False)
    with folder.joinpath("memory").open("r+b") as file:
        memory = mmap.mmap(file.fileno(), 0)
    bench = _Bench(job, memory)
    _say("compile")
    try:
        run = bench.loaded_edit()
    except (CompileError, AttributeError, KeyError) as error:
        log = error.log if isinstance(error, CompileError) else ""
        message = str(error) if isinstance(error, CompileError) else _no_entry(job)
        _say("refused", log=log, message=message)
        return
    _say("run")
    status = run()
    bench.finish()
    _say("ran", status=str(status or ""))
    if not sys.stdin.readline():
        return
    _say("time")
    _say("timed", **_timed(bench.loaded_generated(), run))


def _timed(generated: Callable[[], Any], edited: Callable[[], Any]) -> dict[str, Any]:
    """Medians and verdict; the generated kernel races itself, too, to see what that is worth."""
    taken = take({"generated": generated, "edited": edited, "again": generated}, _SETTINGS)
    said, control = (told(taken, "generated", name) for name in ("edited", "again"))
    outcome, reason = said.outcome, said.sentence
    if control.outcome in ("faster", "slower"):
        outcome = "cannot tell"
        reason = f"the machine is busy: the generated kernel is {control.outcome} than itself"
    return {
        "seconds": taken.timings["edited"].median,
        "generated_seconds": taken.timings["generated"].median,
        "ratio": said.ratio.median,
        "interval": said.ratio.interval,
        "outcome": outcome,
        "reason": reason,
    }


def _no_entry(job: Job) -> str:
    return f"the text has no function {job.edited.symbol}: that is what is called"


def _say(phase: str, **facts: Any) -> None:
    sys.stdout.write(f"\n{MARK}{json.dumps({'phase': phase, **facts})}\n")
    sys.stdout.flush()


class _Bench:
    """The kernel's arguments, and what launches it."""

    def __init__(self, job: Job, memory: mmap.mmap) -> None:
        self.job = job
        self.engine = ENGINES[job.engine]
        self.memory = memory
        self.host = torch.frombuffer(memory, dtype=torch.uint8)
        self.on_gpu = self.engine.device == "cuda"
        if self.on_gpu:
            torch.cuda.set_device(job.device)
            self.there = self.host.cuda()
        else:
            self.there = self.host
        spans, base = spans_of(job.memory), self.there.data_ptr()
        regions = job.memory.regions
        self.addresses = [
            base + spans[place.base][0] + place.offset * regions[place.base].dtype.itemsize
            for place in job.memory.places
        ]

    def loaded_edit(self) -> Callable[[], Any]:
        """The edited kernel, compiled without any cache."""
        compiler = self.engine.load_compiler()
        image = compiler.image(self.job.edited)
        return self._call(compiler.load(self.job.edited, image))

    def loaded_generated(self) -> Callable[[], Any]:
        """The generated one."""
        return self._call(self.engine.load_compiler().compile(self.job.generated))

    def finish(self) -> None:
        """Have what was written be in the file."""
        if self.on_gpu:
            torch.cuda.synchronize()
            self.host.copy_(self.there)

    def _call(self, artifact: Any) -> Callable[[], Any]:
        launcher = self.engine.load_launcher()(artifact)
        layout = launcher.layout(self.job.binding, self.job.device)
        function, arguments = launcher.function, (layout, *self.job.scalars, *self.addresses)
        if not self.on_gpu:
            return lambda: function(*arguments)

        def run() -> Any:
            status = function(*arguments)
            torch.cuda.synchronize()
            return status

        return run


if __name__ == "__main__":
    main(Path(sys.argv[1]))
