"""A run over the models as plain text, as docs/models.md, as JSON."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections import Counter
from collections.abc import Iterator

from fusekit.bench.models.results import ModelRow, ModelsRun, Task, Time
from fusekit.bench.report import markdown_table, seconds_text, text_table

__all__ = ["ModelsReport", "row_text"]

_TASKS = {"forward": "Forward, without gradients", "step": "Training step"}

_TIMES = ("model", "fusekit", "eager", "Inductor", "/ eager", "/ Inductor", "compile", "Inductor's")

_INSIDE = ("model", "groups", "kernels", "in kernels", "left to PyTorch", "graphs left whole")

_AGREES = 1e-3
"""float32 results further from eager's than that, over the largest value, are wrong."""

_INTRO = """\
# Whole models

Models with random weights under `torch.compile(model, backend="fusekit")`, float32, beside eager
PyTorch and Inductor. Those of `transformers` are built from configurations: nothing is downloaded.
They are small, so that host time counts as much as kernels do. `tests/models` compares forward and
training steps of each with float64, in float32 and bfloat16, and with batches of other sizes.

Made by `{command} --markdown docs/models.md --json docs/figures/models.json`
on {date}, in {seconds}: {machine}; batches of {batch}.

Each model has a process of its own with empty caches. A forward is in evaluation mode under
`no_grad`; a training step is loss, backward and AdamW, where the loss is compiled with the model
and AdamW's own step is PyTorch's for everyone. Times are medians of samples taken in turns, ± half
the distance between the quartiles; / is fusekit's time over the other's, below 1 is faster. Compile
is what the first call takes longer than a later one: TorchDynamo and AOTAutograd included, which
all backends share.
"""

_ABOUT_INSIDE = """\
Groups are kernel launches in one call, kernels what was compiled for them (a training step finds
those of the forward). In kernels: of the calls of operators that compute something (views do not),
those that stand in kernels. Left to PyTorch: the others by reason code, FK0101 not pointwise
(matrix products, reductions, convolutions, gathers), FK0103 random, or tagged so by PyTorch as
attention is.
"""


@dataclasses.dataclass(frozen=True)
class ModelsReport:
    """A run, to be shown: `str`, `markdown`, `json`."""

    run: ModelsRun

    def __str__(self) -> str:
        """Tables for a terminal."""
        parts = []
        for task, title in _TASKS.items():
            parts += [title, text_table(_TIMES, self._times(task)), ""]
            parts += [text_table(_INSIDE, self._inside(task)), ""]
        return "\n".join(["", *parts, *self._notes(), "", f"took {self.run.seconds:.0f} s"])

    def markdown(self) -> str:
        """The page docs/models.md."""
        about = dataclasses.asdict(self.run) | {"seconds": f"{self.run.seconds / 60:.0f} minutes"}
        parts = [_INTRO.format(**about)]
        for task, title in _TASKS.items():
            parts += [f"## {title}", "", markdown_table(_TIMES, self._times(task)), ""]
            parts += [self._summary(task), "", markdown_table(_INSIDE, self._inside(task)), ""]
        parts += [_ABOUT_INSIDE.strip(), "", self._operators(), ""]
        parts += [f"- {note}" for note in self._notes()]
        return "\n".join(parts).rstrip() + "\n"

    def json(self) -> str:
        """Everything, and what follows from it."""
        made = dataclasses.asdict(self.run)
        for data, row in zip(made["rows"], self.run.rows, strict=True):
            for name, task in row.tasks.items():
                over = {who: task.over(who) for who in ("eager", "inductor")}
                data["tasks"][name] |= {"share": task.share, "over": over}
        return json.dumps(made, indent=1) + "\n"

    def _tasks(self, name: str) -> Iterator[tuple[ModelRow, Task]]:
        return ((row, row.tasks[name]) for row in self.run.rows if name in row.tasks)

    def _times(self, name: str) -> list[tuple[str, ...]]:
        return [(row.title, *_time_cells(task)) for row, task in self._tasks(name)]

    def _inside(self, name: str) -> list[tuple[str, ...]]:
        return [(row.title, *_inside_cells(task)) for row, task in self._tasks(name)]

    def _summary(self, name: str) -> str:
        tasks = [task for _, task in self._tasks(name)]
        if not tasks:
            return "Nothing was measured."
        said = []
        for who, title in (("eager", "eager's"), ("inductor", "Inductor's")):
            ratios = [ratio for task in tasks if (ratio := task.over(who)) is not None]
            if ratios:
                said.append(f"{statistics.geometric_mean(ratios):.2f} of {title} time")
        shares = [task.share for task in tasks]
        fused = sum(task.fused for task in tasks)
        every = fused + sum(sum(task.opaque.values()) for task in tasks)
        spread = f"{min(shares):.0%} to {max(shares):.0%}"
        means = f"Geometric mean: {' and '.join(said)}."
        return f"{means} In kernels: {fused / every:.0%} of all operators ({spread})."

    def _operators(self) -> str:
        """What PyTorch runs most often, over all models."""
        found: Counter[str] = Counter()
        for _, task in self._tasks("step"):
            found.update(task.opaque)
        each = ", ".join(f"`{name}` {count}" for name, count in found.most_common(12))
        return f"Most often left to PyTorch in the training steps: {each or 'nothing'}."

    def _notes(self) -> list[str]:
        said = [f"{row.title}: skipped, {row.skipped}" for row in self.run.rows if row.skipped]
        for row in self.run.rows:
            said += [f"{row.title}: {who} {why}" for who, why in row.notes.items()]
            said += [
                f"{row.title}: the {name} is WRONG, {task.difference:.1e} from eager's"
                for name, task in row.tasks.items()
                if not task.difference <= _AGREES
            ]
        return said


def row_text(row: ModelRow) -> str:
    """A row in a few lines, as soon as it is measured."""
    if row.skipped:
        return f"{row.title}: skipped, {row.skipped}"
    lines = [f"{row.title}: {row.seconds:.0f} s"]
    for name, task in row.tasks.items():
        cells = dict(zip(_TIMES[1:], _time_cells(task), strict=True))
        said = ", ".join(f"{head} {cell}" for head, cell in cells.items())
        lines.append(f"  {name}: {said}, in kernels {task.share:.0%}")
    return "\n".join(lines)


def _time_cells(task: Task) -> tuple[str, ...]:
    ours, inductor = task.times["fusekit"], task.times.get("inductor")
    ratios = (task.over("eager"), task.over("inductor"))
    return (
        *(_spread(task.times.get(who)) for who in ("fusekit", "eager", "inductor")),
        *("-" if ratio is None else f"{ratio:.2f}" for ratio in ratios),
        seconds_text(ours.compile),
        "-" if inductor is None else seconds_text(inductor.compile),
    )


def _inside_cells(task: Task) -> tuple[str, ...]:
    return (
        str(task.groups),
        str(task.kernels),
        f"{task.share:.0%} of {task.fused + sum(task.opaque.values())}",
        _counts(task.reasons),
        _counts(task.whole) if task.whole else f"none of {task.graphs}",
    )


def _counts(found: object) -> str:
    assert isinstance(found, dict)
    return ", ".join(f"{name} × {count}" for name, count in found.items()) or "none"


def _spread(time: Time | None) -> str:
    return "-" if time is None else f"{seconds_text(time.median)} ±{seconds_text(time.spread / 2)}"
