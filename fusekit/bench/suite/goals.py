"""The figures to reach: the one table of them, and how each follows from what was measured."""

from __future__ import annotations

import dataclasses
import functools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from fusekit.bench.measuring.ratio import Ratio
from fusekit.bench.report import seconds_text
from fusekit.bench.suite.results import Race, SuiteRun

__all__ = [
    "GOALS",
    "ROWS",
    "TITLES",
    "TOO_BUSY",
    "Estimate",
    "Goal",
    "Verdict",
    "estimate",
    "verdict",
]

Verdict = Literal["met", "missed", "met, within noise", "missed, within noise", "cannot tell", ""]
"""Within noise: the interval has the bound inside. "" where there is no number."""

TOO_BUSY = 0.5
"""Share of the processor from which what other programs do is what is measured."""

Unit = Literal["s", "", "%"]

ROWS: Mapping[str, str] = {
    "gpu": "GPU, memory-bound pointwise functions",
    "chains": "CPU, float32 transcendental chains",
    "memory": "CPU, memory-bound",
    "large": "CPU, results of 64 MB and more",
    "others": "CPU, other named functions",
    "compile": "compiling one new kernel",
    "first": "calls in a fresh process",
    "call": "a call with tiny tensors on the CPU",
    "launch": "host cost of a GPU launch",
    "sizes": "1,000 batch sizes of one function",
    "import": "`import fusekit` where torch is imported",
}
"""Row -> title. `--only` takes these names; "others" has no goal."""

TITLES: Mapping[str, str] = {
    "eager": "eager",
    "inductor": "Inductor",
    "autotuned": "Inductor max-autotune",
    "legacy": "legacy fuser",
    "numexpr": "numexpr",
    "jax": "JAX",
    "cupy": "cupy.fuse",
}
"""Contender -> what people call it."""


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A measured figure.

    Attributes:
        value: in the goal's unit; None if there is none.
        low: the lower end of its interval (95 %).
        high: the upper end.
        detail: of what, the worst of them, what others take.
        complete: False if something of the row is missing: the rest may not speak for all.
        missing: why there is no value, or what is missing of it.
        load: the largest share of the processor that other programs took meanwhile.
    """

    value: float | None
    low: float = 0.0
    high: float = math.inf
    detail: str = ""
    complete: bool = True
    missing: str = ""
    load: float = 0.0


Derive = Callable[[SuiteRun, str], Estimate]
"""(run, row) -> the figure."""


@dataclasses.dataclass(frozen=True)
class Goal:
    """One figure to reach.

    Attributes:
        key: its name in JSON.
        row: of `ROWS`.
        title: what is measured, in a few words.
        bound: what it must be.
        unit: "s", "%" of a share, "" of a ratio or a count.
        derive: how it follows from a run.
        at_least: True if more is better.
        device: "cpu" or "cuda": where it is measured; "any" for either.
    """

    key: str
    row: str
    title: str
    bound: float
    unit: Unit
    derive: Derive
    at_least: bool = False
    device: Literal["cpu", "cuda", "any"] = "cpu"

    def text(self, number: float) -> str:
        """A number in this goal's unit."""
        if not math.isfinite(number):
            return "-"
        if self.unit == "s":
            return seconds_text(number)
        return f"{number:.1%}" if self.unit == "%" else f"{number:.3g}"


def estimate(goal: Goal, run: SuiteRun) -> Estimate:
    """What a run says about a goal."""
    return goal.derive(run, goal.row)


def verdict(goal: Goal, found: Estimate) -> Verdict:
    """Whether the goal is reached, as far as the interval, the load and what is missing allow."""
    if found.value is None:
        return ""
    good = found.value >= goal.bound if goal.at_least else found.value <= goal.bound
    if found.load > TOO_BUSY or (good and not found.complete):
        return "cannot tell"
    if found.low <= goal.bound <= found.high and found.low < found.high:
        return "met, within noise" if good else "missed, within noise"
    return "met" if good else "missed"


# how figures follow


def _ratios(run: SuiteRun, row: str, other: str, who: str) -> tuple[dict[str, Ratio], str]:
    """Of every race of the row that has both, and why others have not."""
    found: dict[str, Ratio] = {}
    lacking: list[str] = []
    for name in run.planned.get(row, ()):
        race = run.race(row, name)
        ratio = race.over(other, who) if race else None
        if ratio is not None:
            found[name] = ratio
        else:
            lacking.append(f"{name} ({_why(run, row, name, race, (who, other))})")
    if not found:
        return found, _shared(run, row) or "; ".join(lacking) or "not measured"
    return found, f"without {', '.join(lacking)}" if lacking else ""


def _why(run: SuiteRun, row: str, name: str, race: Race | None, names: Sequence[str]) -> str:
    if race is None:
        return run.why_missing(row, name) or "not asked for"
    said = (f"{who} {race.notes.get(who, '')}".strip() for who in names if who not in race.samples)
    return ", ".join(said)


def _shared(run: SuiteRun, row: str) -> str:
    """The one reason why nothing of a row was measured; "" if there is none."""
    if run.of(row):
        return ""
    reasons = {run.why_missing(row, name) or "not asked for" for name in run.planned.get(row, ())}
    return reasons.pop() if len(reasons) == 1 else ""


def _reduced(
    run: SuiteRun,
    row: str,
    *,
    of: Callable[[Sequence[float]], float],
    other: str = "inductor",
    who: str = "fused",
) -> Estimate:
    """One number for all ratios of a row; its interval reduces their ends.

    A mean of ends is wider than the interval of the mean: all would have to miss the same way.
    """
    found, missing = _ratios(run, row, other, who)
    if not found:
        return Estimate(None, complete=False, missing=missing)
    medians = {name: ratio.median for name, ratio in found.items()}
    slowest = (min if of is min else max)(medians, key=medians.__getitem__)
    count = f"{len(found)} of {len(run.planned[row])}"
    return Estimate(
        of([*medians.values()]),
        of([ratio.low for ratio in found.values()]),
        of([ratio.high for ratio in found.values()]),
        f"{count}; worst {slowest}, {medians[slowest]:.3g}",
        complete=not missing,
        missing=missing,
        load=max(race.load or 0.0 for race in run.of(row)),
    )


def _mean(values: Sequence[float]) -> float:
    return statistics.geometric_mean(values) if all(values) else 0.0


_worst: Derive = functools.partial(_reduced, of=max)
_average: Derive = functools.partial(_reduced, of=_mean)
_share: Derive = functools.partial(_reduced, of=min, other="fused", who="copy")


def _quantile(run: SuiteRun, row: str, *, name: str, share: float = 0.5) -> Estimate:
    """Of our own samples, in seconds."""
    race = run.race(row, name)
    if race is None or "fused" not in race.samples:
        return Estimate(None, complete=False, missing=_why(run, row, name, race, ["fused"]))
    samples = sorted(race.samples["fused"])
    value = samples[min(len(samples) - 1, math.ceil(share * len(samples)) - 1)]
    value = statistics.median(samples) if share == 0.5 else value
    low, high = race.interval("fused", share)
    detail = "; ".join(filter(None, _beside(race, samples)))
    return Estimate(value, low, high, detail, load=race.load or 0.0)


def _beside(race: Race, samples: Sequence[float]) -> tuple[str, str, str]:
    others = [
        f"{TITLES[who]} {seconds_text(statistics.median(taken))}"
        for who, taken in race.samples.items()
        if who in TITLES
    ]
    ends = f"{len(samples)} of them, {seconds_text(samples[0])} to {seconds_text(samples[-1])}"
    return ends, ", ".join(others), race.notes.get("fused", "")


def _count(run: SuiteRun, row: str, *, name: str, what: str) -> Estimate:
    race = run.race(row, name)
    if race is None or what not in race.counts:
        return Estimate(None, complete=False, missing=_why(run, row, name, race, ["fused"]))
    value = race.counts[what]
    said = [f"{key} {number:g}" for key, number in race.counts.items() if key != what]
    return Estimate(value, value, value, ", ".join(said))


def _of(name: str, share: float = 0.5) -> Derive:
    return functools.partial(_quantile, name=name, share=share)


GOALS: tuple[Goal, ...] = (
    Goal(
        "gpu_share",
        "gpu",
        "share of the copy bandwidth, worst of 12",
        0.97,
        "%",
        _share,
        at_least=True,
        device="cuda",
    ),
    Goal(
        "gpu_mean",
        "gpu",
        "time over Inductor's, geometric mean",
        0.97,
        "",
        _average,
        device="cuda",
    ),
    Goal("chains_mean", "chains", "time over Inductor's, geometric mean", 0.35, "", _average),
    Goal("chains_worst", "chains", "time over Inductor's, worst", 0.8, "", _worst),
    Goal("memory_mean", "memory", "time over Inductor's, geometric mean", 0.85, "", _average),
    Goal("memory_worst", "memory", "time over Inductor's, worst", 1.0, "", _worst),
    Goal("large_mean", "large", "time over Inductor's, geometric mean", 0.4, "", _average),
    Goal("compile_llvm", "compile", "llvm, median", 0.03, "s", _of("llvm")),
    Goal("compile_cuda", "compile", "cuda, median", 0.06, "s", _of("cuda"), device="any"),
    Goal("compile_cpp", "compile", "cpp, median", 0.3, "s", _of("cpp")),
    Goal("cached_llvm", "compile", "llvm, from disk cache", 0.005, "s", _of("llvm cached")),
    Goal(
        "cached_cuda",
        "compile",
        "cuda, from disk cache",
        0.005,
        "s",
        _of("cuda cached"),
        device="any",
    ),
    Goal("cached_cpp", "compile", "cpp, from disk cache", 0.005, "s", _of("cpp cached")),
    Goal("first", "first", "first fuse call, trace included", 0.3, "s", _of("first")),
    Goal("later", "first", "later ones, other functions", 0.06, "s", _of("later")),
    Goal("call", "call", "4 operations, 8 elements", 2.5e-6, "s", _of("call")),
    Goal(
        "launch",
        "launch",
        "4 operations, 8 elements",
        8e-6,
        "s",
        _of("launch"),
        device="cuda",
    ),
    Goal(
        "sizes_kernels",
        "sizes",
        "kernels",
        1,
        "",
        functools.partial(_count, name="sizes", what="kernels"),
    ),
    Goal("sizes_median", "sizes", "cost of a new size, median", 2e-4, "s", _of("sizes")),
    Goal("sizes_p99", "sizes", "cost of a new size, 99 of 100", 2e-4, "s", _of("sizes", 0.99)),
    Goal("import", "import", "over `import torch`", 0.1, "s", _of("import")),
)
"""Every goal, in the order of the report."""
