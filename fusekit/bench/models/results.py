"""What was measured of a model, as values that JSON holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

__all__ = ["ModelRow", "ModelsRun", "Task", "Time"]


@dataclasses.dataclass(frozen=True, slots=True)
class Time:
    """One contender on one task, in seconds.

    Attributes:
        first: the first call, which compiles.
        median: of the later ones.
        spread: the distance between their quartiles.
        runs: how many there are.
    """

    first: float
    median: float
    spread: float
    runs: int

    @property
    def compile(self) -> float:
        """What the first call took longer than a later one."""
        return self.first - self.median


@dataclasses.dataclass(frozen=True)
class Task:
    """A forward, or a training step.

    Attributes:
        times: contender -> its time.
        graphs: that run in one call.
        groups: kernels launched in one call.
        kernels: compiled for it, beyond those that were there.
        fused: calls of torch operators that stand in kernels.
        opaque: those that PyTorch runs, by operator.
        reasons: the same by reason code.
        whole: graphs that PyTorch runs whole, by reason code.
        difference: of the result from eager's, over the largest value of that.
    """

    times: Mapping[str, Time]
    graphs: int
    groups: int
    kernels: int
    fused: int
    opaque: Mapping[str, int]
    reasons: Mapping[str, int]
    whole: Mapping[str, int]
    difference: float

    @property
    def share(self) -> float:
        """Of the operators that compute, those that stand in kernels."""
        return self.fused / max(self.fused + sum(self.opaque.values()), 1)

    def over(self, contender: str) -> float | None:
        """The time of fusekit over that of another; None if either is missing."""
        ours, theirs = self.times.get("fusekit"), self.times.get(contender)
        return ours.median / theirs.median if ours and theirs else None


@dataclasses.dataclass(frozen=True)
class ModelRow:
    """One model.

    Attributes:
        name: in the zoo.
        title: for a table.
        parameters: numbers that it learns.
        tasks: "forward" and "step"; empty if `skipped`.
        notes: contender -> why it is missing.
        skipped: why nothing was measured; "" if something was.
        seconds: that measuring it took.
    """

    name: str
    title: str
    parameters: int = 0
    tasks: Mapping[str, Task] = dataclasses.field(default_factory=dict)
    notes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    skipped: str = ""
    seconds: float = 0.0

    @staticmethod
    def from_data(data: dict[str, Any]) -> ModelRow:
        """What `dataclasses.asdict` made of one."""
        tasks = {
            name: Task(**{**task, "times": {n: Time(**t) for n, t in task["times"].items()}})
            for name, task in data["tasks"].items()
        }
        return ModelRow(**{**data, "tasks": tasks})


@dataclasses.dataclass(frozen=True)
class ModelsRun:
    """All of them.

    Attributes:
        machine: processor, cores, threads, versions.
        date: of the run, ISO.
        batch: sequences or images in a batch.
        command: that measures the same.
        rows: one for each model.
        seconds: that it took.
    """

    machine: str
    date: str
    batch: int
    command: str
    rows: tuple[ModelRow, ...] = ()
    seconds: float = 0.0
