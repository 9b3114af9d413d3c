"""`compare`: one call, fused and not, in turns, with a verdict."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, TypedDict

import torch
from torch.utils import _pytree as pytree

from fusekit.bench.contenders import AGAINST, Contender, Skipped, find_contenders
from fusekit.bench.report import comparison_table, comparison_text, seconds_text
from fusekit.bench.timing import Outcome, Settings, Timing, judge, measure
from fusekit.errors import UsageError

__all__ = [
    "Comparison",
    "Label",
    "Row",
    "TimingDict",
    "TimingRowDict",
    "compare",
    "devices_of",
    "rounded",
]

_MOST_SAMPLES = 60
"""As many of a contender's samples are kept as plain data, the last ones."""

Label = Literal["", "baseline", "faster", "slower", "tie", "cannot tell"]


class TimingRowDict(TypedDict):
    """One row as plain data; the schema of views has the same."""

    name: str
    device: str
    seconds: float
    spread: float
    runs: int
    ratio: float | None
    outcome: Label
    samples: list[float]
    interval: list[float]
    cause: str


class TimingDict(TypedDict):
    """A comparison as plain data."""

    rows: list[TimingRowDict]
    method: str
    verdict: str


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One contender on one device.

    Attributes:
        name: "eager", "inductor", "fused"; "fused llvm" where several engines were asked for.
        device: "cpu" or "cuda".
        engine: what runs it; "" for what is not ours.
        timing: what was measured.
        ratio: the baseline's median over this one's: above 1 is faster.
        outcome: against the baseline: "faster", "slower", "tie", "cannot tell"; "baseline".
        reason: of the outcome, with numbers.
        declined: why PyTorch runs it although it was fused; "" if it does not.
        interval: where the true median ratio lies with 95 %; None if that was not worked out.
        cause: the kind of what kept a verdict from being given; "" if there is one.
    """

    name: str
    device: str
    engine: str
    timing: Timing
    ratio: float | None
    outcome: Label
    reason: str
    declined: str = ""
    interval: tuple[float, float] | None = None
    cause: str = ""

    @property
    def seconds(self) -> float:
        """The median."""
        return self.timing.median

    @property
    def spread(self) -> float:
        """The interquartile range."""
        return self.timing.spread


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What was measured, and what follows.

    Attributes:
        name: of the function.
        rows: for each device the baseline first, the others behind it.
        skipped: what could not be measured, and why.
        settings: how it was measured.
        told: how it was measured, in a sentence, where that does not follow from the settings.
        threads: with how many it was measured; a worker's may differ from those of this process.
    """

    name: str
    rows: tuple[Row, ...]
    skipped: tuple[Skipped, ...]
    settings: Settings
    told: str = ""
    threads: int = dataclasses.field(default_factory=torch.get_num_threads)

    @property
    def verdict(self) -> str:
        """One sentence for each device; it begins with the outcome."""
        said = [self._verdict(row) for row in self.rows if row.name.startswith("fused")]
        return "; ".join(said) or "cannot tell: nothing of fusekit ran"

    @property
    def outcome(self) -> Outcome:
        """Of the first fused row."""
        fused = next((row for row in self.rows if row.name.startswith("fused")), None)
        if fused is None or fused.outcome == "" or fused.outcome == "baseline":  # noqa: PLR1714  mypy
            return "cannot tell"
        return fused.outcome

    @property
    def method(self) -> str:
        """How it was measured, in a sentence."""
        if self.told:
            return self.told
        inner = sorted({row.timing.inner for row in self.rows})
        disturbed = sum(row.timing.disturbed for row in self.rows)
        calls = "one call" if inner in ([], [1]) else f"{inner[0]} to {inner[-1]} calls"
        flushed = "caches written over before each" if self.settings.flush else "caches warm"
        said = f"Medians and quartiles of samples of {calls}, taken in turns, {flushed}, "
        said += f"{self.threads} threads, first calls apart"
        return f"{said}; {disturbed} disturbed samples dropped." if disturbed else f"{said}."

    def row(self, name: str, device: str | None = None) -> Row | None:
        """The row of a contender, if it was measured."""
        found = (r for r in self.rows if r.name == name and device in (None, r.device))
        return next(found, None)

    def as_timing(self) -> TimingDict:
        """The timing section of a view."""
        rows = [
            TimingRowDict(
                name=row.name,
                device=row.device,
                seconds=row.seconds,
                spread=row.spread,
                runs=row.timing.runs,
                ratio=row.ratio,
                outcome=row.outcome,
                samples=[rounded(sample) for sample in row.timing.samples[-_MOST_SAMPLES:]],
                interval=[rounded(end) for end in row.interval or ()],
                cause=row.cause,
            )
            for row in self.rows
        ]
        skipped = "".join(f" {item}." for item in self.skipped)
        return TimingDict(rows=rows, method=self.method + skipped, verdict=self.verdict)

    def __str__(self) -> str:
        """A table, the verdict, the method."""
        return comparison_text(self)

    def __rich__(self) -> Any:
        """The same, for rich.print."""
        return comparison_table(self)

    def _verdict(self, row: Row) -> str:
        where = f"{row.name} on {row.device}"
        if row.declined:
            return f"{where}: not fused, {row.declined}"
        times = f"{where} takes {seconds_text(row.seconds)}"
        if row.outcome in ("", "baseline"):
            return times
        return f"{row.outcome}: {times}, {row.reason}"


def compare(
    fn: Callable[..., Any],
    *args: Any,
    devices: Iterable[str] | None = None,
    engines: Sequence[str] | None = None,
    against: Sequence[str] = ("eager",),
    settings: Settings | None = None,
    **kwargs: Any,
) -> Comparison:
    """Measure one call fused and not, on every device that is here.

    Args:
        fn: a function over tensors, or a `FusedFunction`.
        *args: as for the call; every contender works on copies.
        devices: "cpu", "cuda"; None for the arguments' own and for the GPU if there is one.
        engines: which engines serve; None for the one that `fuse` chooses.
        against: "eager", "inductor"; the first is the baseline of every ratio.
        settings: how to measure.
        **kwargs: as for the call.

    Raises:
        UsageError: a device, an engine or a contender does not exist.
    """
    unknown = [name for name in against if name not in AGAINST]
    if unknown or not against:
        raise UsageError(f"against takes {' and '.join(AGAINST)}, got {list(against)}")
    if isinstance(engines, str):
        raise UsageError(f"engines takes a list of names: engines=[{engines!r}]")
    how = settings or Settings()
    rows: list[Row] = []
    skipped: list[Skipped] = []
    for device in devices_of(devices, (args, kwargs)):
        if device == "cuda" and not torch.cuda.is_available():
            skipped.append(Skipped("", device, "no GPU that torch can use"))
            continue
        found, missing = find_contenders(
            fn, args, kwargs, device=device, engines=engines, against=against
        )
        skipped += missing
        rows += _rows(found, device, how)
    return Comparison(getattr(fn, "__name__", type(fn).__name__), tuple(rows), tuple(skipped), how)


def rounded(number: float) -> float:
    """Four significant digits, which is more than any measurement has."""
    return float(f"{number:.4g}")


def devices_of(wanted: Iterable[str] | None, arguments: Any) -> list[str]:
    """Where to measure: what was asked for, or where the tensors are and the GPU."""
    if wanted is not None:
        names = [wanted] if isinstance(wanted, str) else list(wanted)
        for name in names:
            if name not in ("cpu", "cuda"):
                raise UsageError(f"no device {name!r}; there are cpu, cuda")
        return names
    leaves = pytree.tree_leaves(arguments)
    own = [leaf.device.type for leaf in leaves if isinstance(leaf, torch.Tensor)]
    gpu = ["cuda"] if torch.cuda.is_available() else []
    return list(dict.fromkeys([*(own or ["cpu"]), *gpu]))


def _rows(found: list[Contender], device: str, how: Settings) -> list[Row]:
    if not found:
        return []
    timings = measure(
        {contender.name: contender.call for contender in found},
        how,
        synchronize=torch.cuda.synchronize if device == "cuda" else None,
        firsts={contender.name: contender.first for contender in found},
    )
    baseline = timings[found[0].name]
    return [_row(contender, device, timings[contender.name], baseline) for contender in found]


def _row(contender: Contender, device: str, timing: Timing, baseline: Timing) -> Row:
    ratio: float | None = None
    label: Label = "" if contender.name.startswith("fused") else "baseline"
    reason = ""
    if timing is not baseline:
        verdict = judge(timing, baseline)
        ratio, label, reason = baseline.median / timing.median, verdict.outcome, verdict.reason
    return Row(
        name=contender.name,
        device=device,
        engine=contender.engine,
        timing=timing,
        ratio=ratio,
        outcome=label,
        reason=reason,
        declined=contender.declined,
    )
