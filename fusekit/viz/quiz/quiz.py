"""A quiz about one fusion: guess the kernels, then see them. It works from a recorded view."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fusekit.errors import UsageError
from fusekit.viz.model.schema import Edge, Model, Node
from fusekit.viz.words import plural, ratio_text, visible

__all__ = ["CODES", "NO_SEAM", "Quiz", "Score", "Truth", "answers_of", "quiz", "truth_of"]

SCHEMA = "fusekit-quiz-answers"
VERSION = 1
NO_SEAM = "none"
"""The answer that every edge fuses."""

CODES = ("FK0101", "FK0102", "FK0103", "FK0104", "FK0105", "FK0106", "FK0107", "FK0108", "FK0109")
"""The reasons to choose from."""

_CLOSE = 1.25
"""A ratio of bytes that is off by less than this factor is right."""


@dataclasses.dataclass(frozen=True)
class Truth:
    """What a quiz asks about, and the answers.

    Attributes:
        key: a fingerprint of the questions and answers.
        nodes: the operators, in an order that says nothing of the kernels.
        kernels: Node.id -> number of its kernel from 1; 0 for what PyTorch runs.
        edges: from operator to operator, each pair once.
        codes: the reason code of each of these edges; "" for one inside a kernel.
        launches: of the fused function.
        ratio: bytes through memory, eager over fused.
    """

    key: str
    nodes: tuple[Node, ...]
    kernels: dict[str, int]
    edges: tuple[Edge, ...]
    codes: tuple[str, ...]
    launches: int
    ratio: float


def truth_of(model: Model) -> Truth:
    """Questions and answers; UsageError for a view without operators."""
    operators = {n["id"]: n for n in model["graph"]["nodes"] if n["kind"] in ("op", "opaque")}
    if len(operators) < 2:
        raise UsageError(f"no quiz about {visible(model['name'])}: it has less than two operators")
    order = {group["id"]: number for number, group in enumerate(model["groups"], start=1)}
    kernels = {name: order.get(node["group"] or "", 0) for name, node in operators.items()}
    edges: dict[tuple[str, str], Edge] = {}
    for edge in model["graph"]["edges"]:
        if edge["source"] in operators and edge["target"] in operators:
            edges.setdefault((edge["source"], edge["target"]), edge)
    codes = tuple(_code(model, edge, operators) for edge in edges.values())
    ledger = model["ledger"]
    ratio = ledger["eager"] / ledger["fused"] if ledger["fused"] else 1.0
    launches = model["totals"]["launches"]
    known = json.dumps([model["name"], kernels, list(edges), codes, launches, round(ratio, 3)])
    return Truth(
        key=hashlib.sha256(known.encode()).hexdigest()[:12],
        nodes=tuple(_in_the_users_order(model, operators)),
        kernels=kernels,
        edges=tuple(edges.values()),
        codes=codes,
        launches=launches,
        ratio=round(ratio, 3),
    )


def _code(model: Model, edge: Edge, operators: Mapping[str, Node]) -> str:
    source, target = operators[edge["source"]], operators[edge["target"]]
    if source["group"] is not None and source["group"] == target["group"]:
        return ""
    starts, ends = ({node["id"], node["group"]} for node in (source, target))
    for seam in model["seams"]:
        if seam["source"] in starts and seam["target"] in ends:
            return seam["code"]
    return "FK0101"  # between two operators that PyTorch runs


def _in_the_users_order(model: Model, operators: Mapping[str, Node]) -> list[Node]:
    """Each after what it reads; of those that may come next, the one on the first line."""
    needs: dict[str, set[str]] = {name: set() for name in operators}
    for edge in model["graph"]["edges"]:
        if edge["source"] in operators and edge["target"] in operators:
            needs[edge["target"]].add(edge["source"])
    found: list[Node] = []
    done: set[str] = set()
    left = list(operators.values())
    while left:
        ready = [node for node in left if needs[node["id"]] <= done]
        node = min(ready, key=lambda each: each["line"] or 0)
        left.remove(node)
        found.append(node)
        done.add(node["id"])
    return found


# answers


@dataclasses.dataclass(frozen=True)
class Score:
    """How right a record of answers is.

    Attributes:
        edges: for each edge, True if it was said rightly whether it fuses.
        launches: True if the number is right.
        ratio: by which factor the guessed ratio of bytes is off, 1 or more; None without a guess.
        seam: True if the edge named is one that does not fuse (or none, if all do).
        code: True if its reason is right as well.
    """

    edges: tuple[bool, ...]
    launches: bool
    ratio: float | None
    seam: bool
    code: bool

    @property
    def points(self) -> int:
        """One for each edge, for the launches, a close ratio, the seam and its code."""
        close = self.ratio is not None and self.ratio <= _CLOSE
        return sum(self.edges) + self.launches + close + self.seam + self.code

    @property
    def most(self) -> int:
        """The most points there are."""
        return len(self.edges) + 4

    def __str__(self) -> str:
        """`7 of 9 points: 5 of 5 edges, ...`."""
        off = "no ratio" if self.ratio is None else f"ratio off by {ratio_text(self.ratio)}"
        parts = [
            f"{sum(self.edges)} of {plural(len(self.edges), 'edge')}",
            f"launches {_right(self.launches)}",
            off,
            f"seam {_right(self.seam)}",
            f"reason {_right(self.code)}",
        ]
        return f"{self.points} of {self.most} points: {', '.join(parts)}"

    __repr__ = __str__


def _right(value: bool) -> str:  # noqa: FBT001  right or wrong
    return "right" if value else "wrong"


def answers_of(data: object, where: str) -> dict[str, Any]:
    """A record of answers as the page saves it; UsageError for anything else."""
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise UsageError(f"{where}: not a record of answers of fusekit's quiz")
    if data.get("version") != VERSION:
        raise UsageError(f"{where}: version {data.get('version')!r} of answers; this reads 1")
    kinds: dict[str, type | tuple[type, ...]] = {
        "quiz": str,
        "name": str,
        "who": str,
        "kernels": dict,
        "launches": (int, float, type(None)),
        "ratio": (int, float, type(None)),
        "seam": str,
        "code": str,
        "edges": list,
    }
    for key, kind in kinds.items():
        if not isinstance(data.get(key), kind):
            raise UsageError(f"{where}: {key} is missing, or not what it should be")
    return data


class Quiz:
    """Questions about a fusion: a page that scores itself, and the same scoring in Python."""

    def __init__(self, model: Model) -> None:
        """Ask about `model`."""
        self._model = model
        self.truth = truth_of(model)

    def __repr__(self) -> str:
        edges = plural(len(self.truth.edges), "edge")
        return f"Quiz({visible(self._model['name'])})  {len(self.truth.nodes)} operators · {edges}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """The questions as text/html, which scores itself where scripts may run."""
        del include, exclude
        from fusekit.viz.quiz.page import quiz_block  # noqa: PLC0415  for who displays it

        return {"text/plain": repr(self), "text/html": quiz_block(self._model, self.truth)}

    def html(self) -> str:
        """A whole HTML document that needs nothing else, no fusekit and no torch."""
        from fusekit.viz.quiz.page import quiz_page  # noqa: PLC0415  likewise

        return quiz_page(self._model, self.truth)

    def save(self, path: str | Path) -> Path:
        """Write the page to `path`."""
        target = Path(path)
        target.write_text(self.html(), encoding="utf-8", newline="\n")
        return target

    def score(self, answers: Mapping[str, Any]) -> Score:
        """How right answers are; UsageError if they are to another quiz.

        Args:
            answers: what the page saves: "kernels" (Node.id -> number of a kernel, 0 for
                PyTorch, None for no answer), "launches", "ratio", "seam" ("source target", or
                "none") and "code".
        """
        given = answers_of(dict(answers), "answers")
        truth = self.truth
        if given["quiz"] != truth.key:
            raise UsageError("these answers are to another quiz")
        said = {str(k): v for k, v in given["kernels"].items()}
        edges = tuple(
            _said(said, edge) is (not code)
            for edge, code in zip(truth.edges, truth.codes, strict=True)
        )
        codes = {
            f"{edge['source']} {edge['target']}": code
            for edge, code in zip(truth.edges, truth.codes, strict=True)
            if code
        } or {NO_SEAM: ""}
        guess = given["ratio"]
        off = max(guess / truth.ratio, truth.ratio / guess) if guess and truth.ratio else None
        seam = given["seam"] in codes
        return Score(
            edges=edges,
            launches=given["launches"] == truth.launches,
            ratio=off,
            seam=seam,
            code=seam and given["code"] == codes[given["seam"]],
        )


def _said(said: Mapping[str, Any], edge: Edge) -> bool | None:
    """True if both ends were put into one kernel; None without an answer."""
    one, other = said.get(edge["source"]), said.get(edge["target"])
    return None if one is None or other is None else bool(one) and one == other


def quiz(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Quiz:
    """A quiz about one call of a function, fused or not: predict, then reveal.

    `view.quiz()` makes one of a recorded view, without torch; `fusekit.quiz_results(paths)` reads
    what a class answered.
    """
    from fusekit.api import FusedFunction, fuse  # noqa: PLC0415  torch takes seconds
    from fusekit.viz.collect.fused import collect  # noqa: PLC0415  likewise

    fused = function if isinstance(function, FusedFunction) else fuse(function)
    return Quiz(collect(fused, args, kwargs, timing=False).model)
