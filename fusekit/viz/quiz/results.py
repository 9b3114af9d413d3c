"""What a class answered: records of a quiz, together."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fusekit.errors import UsageError
from fusekit.viz.quiz.quiz import answers_of
from fusekit.viz.words import plural, ratio_text, visible

__all__ = ["EdgeResult", "QuizResults", "quiz_results"]


@dataclasses.dataclass(frozen=True)
class EdgeResult:
    """One edge.

    Attributes:
        edge: the two operators.
        wrong: how many said wrongly whether it fuses.
    """

    edge: str
    wrong: int


@dataclasses.dataclass(frozen=True)
class QuizResults:
    """All records of one quiz.

    Attributes:
        name: of the function.
        records: how many there are.
        edges: what was asked, what most got wrong first.
        launches: the numbers of launches that were guessed, with how often.
        ratio: the median of the guessed ratios of bytes; None if nobody guessed.
        codes: the reasons that were named, with how often.
        points: (who, points, the most points) for each record.
    """

    name: str
    records: int
    edges: tuple[EdgeResult, ...]
    launches: dict[int, int]
    ratio: float | None
    codes: dict[str, int]
    points: tuple[tuple[str, int, int], ...]

    def to_dict(self) -> dict[str, Any]:
        """All of it as values that JSON has."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        """A table of edges, then the guesses."""
        lines = [f"{visible(self.name)}: {plural(self.records, 'record')}"]
        width = max((len(item.edge) for item in self.edges), default=0)
        for item in self.edges:
            share = f"{100 * item.wrong / self.records:.0f} %"
            lines.append(f"  {visible(item.edge).ljust(width)}  {share:>5} wrong ({item.wrong})")
        lines.append(f"  launches: {_counted(self.launches)}")
        if self.ratio is not None:
            lines.append(f"  bytes, eager over fused: {ratio_text(self.ratio)} (median)")
        lines.append(f"  reasons: {_counted(self.codes)}")
        lines += [
            f"  {visible(who) or 'anonymous'}: {got} of {most}" for who, got, most in self.points
        ]
        return "\n".join(lines)

    __repr__ = __str__


def _counted(found: dict[Any, int]) -> str:
    return ", ".join(f"{visible(str(what))} ({times})" for what, times in found.items()) or "none"


def quiz_results(paths: Iterable[str | Path]) -> QuizResults:
    """Read the records that the quiz's page saves; UsageError if they are not of one quiz.

    Args:
        paths: of JSON files; each holds one record, or a list of them.
    """
    records = [record for path in paths for record in _read(Path(path))]
    if not records:
        raise UsageError("no records of answers")
    if len({record["quiz"] for record in records}) > 1:
        raise UsageError("the records are of different quizzes: give those of one")
    wrong: Counter[str] = Counter()
    for record in records:
        for edge in record["edges"]:
            wrong[str(edge["edge"])] += not edge["right"]
    ratios = [record["ratio"] for record in records if record["ratio"]]
    return QuizResults(
        name=records[0]["name"],
        records=len(records),
        edges=tuple(
            EdgeResult(*item) for item in sorted(wrong.items(), key=lambda i: (-i[1], i[0]))
        ),
        launches=_often(record["launches"] for record in records if record["launches"] is not None),
        ratio=statistics.median(ratios) if ratios else None,
        codes=_often(record["code"] for record in records if record["code"]),
        points=tuple(
            (record["who"], int(record["points"]), int(record["most"])) for record in records
        ),
    )


def _often(values: Iterable[Any]) -> dict[Any, int]:
    counted = Counter(values)
    return dict(sorted(counted.items(), key=lambda item: (-item[1], str(item[0]))))


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    found = [answers_of(item, path.name) for item in (data if isinstance(data, list) else [data])]
    for record in found:
        good = all(
            isinstance(edge, dict) and {"edge", "right"} <= set(edge) for edge in record["edges"]
        )
        if not good or not all(isinstance(record.get(key), int) for key in ("points", "most")):
            raise UsageError(f"{path.name}: edges or points are not what they should be")
    return found
