"""Editing a kernel: another text for one of a call's, checked, measured, and never served."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch.utils import _pytree as pytree

from fusekit.bench.accuracy import distance
from fusekit.bench.editing.job import Job
from fusekit.bench.editing.process import Died, Tick, Trial, trial
from fusekit.bench.gpu.checks import close
from fusekit.bench.measuring.ratio import Outcome
from fusekit.bench.report import seconds_text
from fusekit.bench.standalone.export import write_standalone
from fusekit.codegen import KernelSource
from fusekit.config import current
from fusekit.errors import UsageError
from fusekit.runtime.dispatch import Dispatcher
from fusekit.runtime.engines import ENGINES, Engine
from fusekit.runtime.kernel_memory import by_reference, contents_of, memory_of, scalars_of
from fusekit.runtime.kernels import generate
from fusekit.runtime.program import KernelCall, Program

__all__ = ["CompilerMessage", "EditResult", "KernelEditor", "editor"]

RUN_SECONDS = 10.0
"""What the first call of an edited kernel may take."""

_MESSAGE = re.compile(
    r"^[^\s:()]*(?::(\d+)(?::(\d+))?|\((\d+)\)): (?:fatal )?(error|warning|note): (.*)$",
    re.MULTILINE,
)
"""As g++, clang++, LLVM's reader of assembly, and NVRTC say where something is wrong."""

Status = Literal["right", "wrong", "refused", "crashed", "endless", "trespassed"]


@dataclasses.dataclass(frozen=True, slots=True)
class CompilerMessage:
    """What a compiler says of a line.

    Attributes:
        line: of the text, counted from 1; None where the compiler names none.
        column: in it; None likewise.
        kind: "error", "warning" or "note".
        text: what it says.
    """

    line: int | None
    column: int | None
    kind: str
    text: str

    def __str__(self) -> str:
        """`line 12: error: ...`."""
        where = "" if self.line is None else f"line {self.line}: "
        return f"{where}{self.kind}: {self.text}"

    def to_dict(self) -> dict[str, object]:
        """All of it as values that JSON has."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, slots=True)
class EditResult:
    """What came of an edited kernel.

    Attributes:
        status: "right"; "wrong": its results are not the reference's; "refused": it does not
            compile; "crashed"; "endless": it did not end in time; "trespassed": it wrote outside
            its tensors.
        detail: more about that, in a sentence.
        errors: the compiler's messages.
        ulp: the largest distance from the reference, in units of the last place; None where it
            never ran to its end.
        absolute: the same as a number.
        same_bits: the results are the generated kernel's, bit for bit; None likewise.
        seconds: median of its runs; None unless it is right.
        generated_seconds: that of the generated kernel, measured in turns with it.
        ratio: how many times as fast as the generated kernel it is; None unless it was measured.
        interval: where the true median ratio lies with 95 %; None if rounds were too few.
        outcome: against the generated one: "faster", "slower", "tie", "cannot tell"; "" if it was
            not measured.
        reason: of the outcome, with numbers.
    """

    status: Status
    detail: str
    errors: tuple[CompilerMessage, ...] = ()
    ulp: float | None = None
    absolute: float | None = None
    same_bits: bool | None = None
    seconds: float | None = None
    generated_seconds: float | None = None
    ratio: float | None = None
    interval: tuple[float, float] | None = None
    outcome: Outcome | Literal[""] = ""
    reason: str = ""

    @property
    def ok(self) -> bool:
        """True if it compiled, ran, and computed what it should."""
        return self.status == "right"

    @property
    def timing(self) -> str:
        """What was measured, in a sentence; "" if nothing was."""
        if self.seconds is None or self.generated_seconds is None:
            return ""
        times = f"{seconds_text(self.seconds)}, generated {seconds_text(self.generated_seconds)}"
        return f"{self.outcome}: edited {times} ({self.reason})"

    def __str__(self) -> str:
        """What came of it, without times; then the compiler's messages."""
        return "\n".join((f"{self.status}: {self.detail}", *(f"  {e}" for e in self.errors)))

    def to_dict(self) -> dict[str, object]:
        """All of it as values that JSON has."""
        return {
            **{f.name: getattr(self, f.name) for f in dataclasses.fields(self)},
            "errors": [error.to_dict() for error in self.errors],
            "ok": self.ok,
        }


class KernelEditor:
    """One kernel of one call, to be written otherwise.

    Attributes:
        source: the generated text.
        language: of it.
        symbol: the function that is called; an edited text has to have it.
        group: number of the kernel in the call, from 0.
    """

    def __init__(
        self, program: Program, engine: Engine, leaves: Sequence[Any], group: int, running: Engine
    ) -> None:
        """See `editor`."""
        self._program = program
        self._engine = engine
        self._running = running
        self._leaves = leaves
        self._call: KernelCall = program.kernels[group]
        self._generated: KernelSource = generate(engine, *self._call.form)
        self.group = group
        self.source = self._generated.text
        self.language = self._generated.language
        self.symbol = self._generated.symbol

    def __repr__(self) -> str:
        n_groups = len(self._program.kernels)
        return f"<editor of {self.symbol} in {self.language}, kernel {self.group} of {n_groups}>"

    def compile(
        self, text: str | None = None, *, seconds: float = RUN_SECONDS, tick: Tick | None = None
    ) -> EditResult:
        """Compile a text, run it on copies of the call's arguments, check it, and measure it.

        All of that happens in another process, which may crash or be stopped. What it computes is
        held against the reference engine's, as `fusekit bench` does; its time against that of the
        generated kernel, in turns. No cache that serves calls gets to know of it.

        Args:
            text: what to compile; None for the generated one.
            seconds: how long its first call may take.
            tick: told the phase ("start", "compile", "run", "time") and how long it takes by now,
                several times a second; what it raises stops everything.

        Raises:
            FusionDeclined: the call runs in PyTorch after all, so there is nothing to try it on.
        """
        memory = memory_of(self._call)
        contents = contents_of(self._program, self._running, self._leaves, self._call, memory)
        scalars = scalars_of(self._program, self._leaves, self._call)
        edited = dataclasses.replace(self._generated, text=self.source if text is None else text)
        job = Job(
            engine=self._engine.name,
            generated=self._generated,
            edited=edited,
            binding=self._call.binding,
            scalars=scalars,
            memory=memory,
            options=current(),
            threads=torch.get_num_threads(),
            device=self._program.capture.device.index or 0,
        )
        with trial(job, contents, tick or (lambda _phase, _seconds: None), seconds) as trying:
            try:
                return self._judged(trying, job, contents)
            except Died as died:
                return _died(died)

    def export(self, directory: str | Path) -> list[Path]:
        """Write the generated kernel, with a program that runs it by itself, into a directory.

        `make run` there compiles both, runs the kernel on tensors of these extents and strides,
        filled with a fixed pattern, and prints a checksum, the time of a run, and bytes a second.

        Returns:
            The files that were written.
        """
        scalars = scalars_of(self._program, self._leaves, self._call)
        return write_standalone(Path(directory), self._engine, self._call, scalars)

    def _judged(self, trying: Trial, job: Job, contents: list[torch.Tensor]) -> EditResult:
        answer = trying.until("ran", "refused")
        if answer["phase"] == "refused":
            return _refused(answer["log"], answer["message"])
        trespass = trying.trespass()
        if trespass:
            return EditResult("trespassed", f"the edited kernel wrote {trespass}")
        if answer["status"]:
            said = f"the edited kernel returned {answer['status']}, which says that it failed"
            return EditResult("wrong", said)
        checked = self._checked(job, contents, trying.contents())
        if not checked.ok:
            return checked
        trying.go()
        timed = trying.until("timed")
        return dataclasses.replace(
            checked,
            seconds=timed["seconds"],
            generated_seconds=timed["generated_seconds"],
            ratio=timed["ratio"],
            interval=timed["interval"] and tuple(timed["interval"]),
            outcome=timed["outcome"],
            reason=timed["reason"],
        )

    def _checked(
        self, job: Job, before: list[torch.Tensor], after: list[torch.Tensor]
    ) -> EditResult:
        memory = job.memory
        for region, old, new in zip(memory.regions, before, after, strict=True):
            if not region.is_written and not torch.equal(_bits(old), _bits(new)):
                return EditResult("trespassed", "the edited kernel wrote into what it should read")
        found = [memory.view(after, place) for place in memory.outputs]
        expected = by_reference(self._call, memory, before, job.scalars)
        same = all(torch.equal(_bits(f), _bits(e)) for f, e in zip(found, expected, strict=True))
        apart = distance(found, [_wide(tensor) for tensor in expected])
        wrong = close(found, expected, ())
        if wrong:
            said = f"its results are not the reference's: {wrong}"
            return EditResult("wrong", said, (), apart.ulp, apart.absolute, same)
        said = "the same bits as the reference" if same else f"at most {apart} from the reference"
        return EditResult("right", said, (), apart.ulp, apart.absolute, same)


def editor(
    dispatcher: Dispatcher,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    language: str | None = None,
    group: int = 0,
) -> KernelEditor:
    """An editor for one kernel of a call; see `FusedFunction.edit`."""
    program, plan = dispatcher.entry(args, kwargs).fused()
    running = plan.engine
    device = program.capture.device.type
    fitting = [each.name for each in ENGINES.values() if each.compiler and each.device == device]
    name = language or (running.name if running.compiler else fitting[0])
    if name not in fitting:
        raise UsageError(f"no kernel for {device} is written in {name!r}: {', '.join(fitting)}")
    reason = ENGINES[name].unavailable()
    if reason is not None:
        raise UsageError(f"{name} cannot be compiled here: {reason}")
    if not 0 <= group < len(program.kernels):
        raise UsageError(f"no kernel {group}: the call has {len(program.kernels)}, from 0")
    if not program.kernels[group].binding.numel:
        raise UsageError(f"kernel {group} computes no elements, so it is never launched")
    return KernelEditor(program, ENGINES[name], pytree.tree_leaves((args, kwargs)), group, running)


def messages(log: str) -> tuple[CompilerMessage, ...]:
    """What a compiler printed, line by line, errors first."""
    found = [
        CompilerMessage(int(m[1] or m[3]), int(m[2]) if m[2] else None, m[4], m[5])
        for m in _MESSAGE.finditer(log)
    ]
    return tuple(sorted(found, key=lambda each: each.kind != "error"))


def _refused(log: str, message: str) -> EditResult:
    found = messages(log)
    first = message.splitlines()[0]
    if not found:
        text = log.strip().splitlines()[-1] if log.strip() else first
        found = (CompilerMessage(None, None, "error", text),)
    return EditResult("refused", first, found)


def _died(died: Died) -> EditResult:
    if died.phase == "compile":
        return EditResult("refused", f"the compiler {died}")
    if died.phase == "start":
        return EditResult("crashed", f"the process that should try it {died}")
    return EditResult("endless" if died.status is None else "crashed", f"the edited kernel {died}")


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    """A copy as bytes: NaN is NaN only if it is the same."""
    return tensor.contiguous().flatten().view(torch.uint8)


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor
