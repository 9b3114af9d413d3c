"""Fills the part of a model that says why not: seams with their checks and remedies, and pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import combinations
from typing import Any

from fusekit.config import current
from fusekit.fusion import Group
from fusekit.fusion.partition import Seam as PartitionSeam
from fusekit.fusion.partition import Step
from fusekit.fusion.rules import Rules
from fusekit.fusion.verdicts import Check, Verdicts, ends_of
from fusekit.ir import Node
from fusekit.runtime.counterfactual import Outcome, argument_limit, remedies
from fusekit.runtime.explanation import Explanation
from fusekit.runtime.program import Program
from fusekit.runtime.reasons import decline_of
from fusekit.specs import Decline
from fusekit.viz.collect.boxes import Box
from fusekit.viz.model.schema import Model, Pair, Pairs, Remedy, Seam, SeamCheck

__all__ = ["fill_why"]

_MOST_STEPS = 64
"""Pairs are looked at among so many steps: their number grows with the square."""

_MOST_NODES = 4000
"""Larger graphs are not divided once more for their checks."""

_EXAMPLES = 3

_Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


def fill_why(
    model: Model,
    program: Program,
    explained: Explanation,
    *,
    maker: Mapping[int, Box],
    step_end: Callable[[int], str | None],
    call: _Call | None,
    rules: Rules | None,
) -> None:
    """Fill `seams` and `pairs`; `step_end` says which node or group a step is."""
    most = current().max_arguments
    small = len(program.graph.nodes) <= _MOST_NODES
    verdicts = Verdicts(program.partition, argument_limit(program, most), rules) if small else None
    # what a plan says of a changed graph nobody has said
    nothing = [Outcome(None, None)] * len(program.partition.seams)
    found = nothing if rules else remedies(program, most, call)
    rows = zip(program.partition.seams, explained.seams, found, strict=True)
    for seam, info, outcome in rows:
        ends = step_end(seam.producer), step_end(seam.consumer)
        if ends[0] is None or ends[1] is None:
            continue
        consumer = program.partition.steps[seam.consumer]
        nodes = _nodes(ends_of(program.graph, seam, consumer), maker)
        checks = verdicts.of_seam(seam) if verdicts else []
        model["seams"].append(
            Seam(
                source=ends[0],
                target=ends[1],
                code=info.decline.code,
                sentence=info.decline.reason.sentence,
                bytes=2 * info.nbytes,
                launches=1,
                hint=info.decline.hint,
                value=seam.value,
                nodes=nodes,
                checks=_checks(checks, info.decline, _operands(program, seam)),
                remedy=_remedy(outcome),
                tried=outcome.tried,
                line=info.decline.loc.line if info.decline.loc else None,
            )
        )
    if verdicts:
        model["pairs"] = _pairs(program, verdicts)


def _nodes(ends: Iterable[Node], maker: Mapping[int, Box]) -> list[str]:
    """The boxes of the two operators."""
    found = (maker.get(end.outputs[0]) for end in ends if end.outputs)
    return [box.id for box in found if box is not None]


def _operands(program: Program, seam: PartitionSeam) -> str:
    """What the operator that no kernel has was called with."""
    steps = program.partition.steps
    for step in (steps[seam.producer], steps[seam.consumer]):
        if isinstance(step, Node) and step.op == "call":
            return decline_of(program.capture.obstacles, step).detail
    return ""


def _checks(checks: list[Check], decline: Decline, operands: str) -> list[SeamCheck]:
    """What was compared; the refusal of an operator stands for the only check that was made."""
    if len(checks) == 1:
        said = f"{checks[0].operands} ({operands})" if operands else checks[0].operands
        sentence = decline.reason.sentence
        return [SeamCheck(code=decline.code, sentence=sentence, holds=False, operands=said)]
    return [
        SeamCheck(
            code=check.reason.code,
            sentence=check.reason.sentence,
            holds=check.holds,
            operands=check.operands,
        )
        for check in checks
    ]


def _remedy(outcome: Outcome) -> Remedy | None:
    found = outcome.remedy
    if found is None:
        return None
    before, after = found.launches
    return Remedy(text=found.text, before=before, after=after, saved=found.saved)


# pairs


def _pairs(program: Program, verdicts: Verdicts) -> Pairs:
    """All pairs of two kernels, and of a kernel and an operator left to PyTorch."""
    steps = [
        (number, step)
        for number, step in enumerate(program.partition.steps)
        if isinstance(step, Group) or step.op == "call"
    ]
    rows: dict[tuple[str, str], Pair] = {}
    names = _names(steps)
    kernels = sum(isinstance(step, Group) for _, step in steps)
    calls = len(steps) - kernels
    for (number, one), (later, other) in combinations(steps[:_MOST_STEPS], 2):
        if not (isinstance(one, Group) or isinstance(other, Group)):
            continue
        code, sentence, detail = _verdict(verdicts, one, other)
        row = rows.setdefault(
            (code, detail), Pair(code=code, sentence=sentence, detail=detail, count=0, examples=[])
        )
        row["count"] += 1
        if len(row["examples"]) < _EXAMPLES:
            row["examples"].append(f"{names[number]} and {names[later]}")
    total = kernels * (kernels - 1) // 2 + kernels * calls
    return Pairs(
        rows=sorted(rows.values(), key=lambda row: (-row["count"], row["code"])), total=total
    )


def _verdict(verdicts: Verdicts, one: Step, other: Step) -> tuple[str, str, str]:
    """Code, sentence and detail of the first check that fails."""
    failed = next((check for check in verdicts.of_pair(one, other) if not check.holds), None)
    if failed is not None:
        return failed.reason.code, failed.reason.sentence, failed.operands
    assert isinstance(one, Group)
    assert isinstance(other, Group)
    if verdicts.shares(one, other):
        return "", "they may join", "tried with other groups of the same shape first"
    return "", "they may join, but share no tensor", "a kernel of both would move the same bytes"


def _names(steps: Iterable[tuple[int, Step]]) -> dict[int, str]:
    """`group 1`, or the operator."""
    names = {}
    groups = 0
    for number, step in steps:
        if isinstance(step, Group):
            groups += 1
            names[number] = f"group {groups}"
        else:
            parts = (step.origin or step.op).split(".")
            names[number] = parts[1] if len(parts) > 1 else parts[0]
    return names
