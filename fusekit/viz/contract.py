"""Contracts: what a cell promises about the structure of its fusion, never about time."""

from __future__ import annotations

import dataclasses
import operator
import re
from collections.abc import Callable

from fusekit.errors import FusekitError, UsageError
from fusekit.viz.model import Model
from fusekit.viz.words import end_name, visible

__all__ = ["Clause", "ContractError", "hold", "parse_contract"]

_COUNTS: dict[str, Callable[[Model], int]] = {
    "groups": lambda model: len(model["groups"]),
    "launches": lambda model: model["totals"]["launches"],
    "seams": lambda model: len(model["seams"]),
    "declined": lambda model: len(model["declined"]),
    "saved": lambda model: model["totals"]["saved_bytes"],
}
_RELATIONS: dict[str, Callable[[int, int], bool]] = {
    "=": operator.eq,
    "<=": operator.le,
    ">=": operator.ge,
}
_CLAUSE = re.compile(r"(\w+)(<=|>=|=)(\d+)")


class ContractError(FusekitError, AssertionError):
    """A fusion has another structure than its cell promises; the message shows the difference."""


@dataclasses.dataclass(frozen=True)
class Clause:
    """One promise: `groups=1`, `launches<=3`, or `no-fallback`."""

    text: str
    name: str
    relation: str = "="
    number: int = 0


def parse_contract(text: str) -> tuple[Clause, ...]:
    """The clauses of `groups=1 launches=1 no-fallback`; UsageError names what is none."""
    clauses = []
    for word in text.replace(",", " ").split():
        match = _CLAUSE.fullmatch(word)
        if word == "no-fallback":
            clauses.append(Clause(word, word))
        elif match and match[1] in _COUNTS:
            clauses.append(Clause(word, match[1], match[2], int(match[3])))
        else:
            raise UsageError(
                f"--expect: {word!r} is no clause; there are {', '.join(_COUNTS)} with =, <= or >= "
                "and a number, and no-fallback"
            )
    if not clauses:
        raise UsageError("--expect: the contract is empty")
    return tuple(clauses)


def hold(clauses: tuple[Clause, ...], model: Model) -> None:
    """ContractError unless the fusion in `model` is what `clauses` say."""
    lines = []
    for clause in clauses:
        if clause.name == "no-fallback":
            broken, found = not model["compile"], "PyTorch runs the whole call"
        else:
            count = _COUNTS[clause.name](model)
            broken = not _RELATIONS[clause.relation](count, clause.number)
            found = f"{clause.name}={count}"
        lines.append(f"  {'-' if broken else ' '} {clause.text}")
        lines += [f"  + {found}"] if broken else []
    if any(line.startswith("  -") for line in lines):
        head = f"{visible(model['name'])} is not fused as the cell expects (- expected, + found)"
        raise ContractError("\n".join([head, *lines, *_reasons(model)]))


def _reasons(model: Model) -> list[str]:
    """What stands between the groups, with the change that would remove it."""
    lines = []
    places = {node["id"]: node["line"] for node in model["graph"]["nodes"]}
    for seam in model["seams"]:
        found = (places.get(seam["source"]), places.get(seam["target"]))
        where = next((f"line {line}, " for line in found if line is not None), "")
        ends = f"{end_name(model, seam['source'])} -> {end_name(model, seam['target'])}"
        lines.append(f"[{seam['code']}] {where}{ends}: {visible(seam['sentence'])}; {seam['hint']}")
    for item in [] if lines else model["declined"]:
        where = "" if item["line"] is None else f"line {item['line']}, "
        op = visible(item["op"] or "the function")
        detail = f" ({visible(item['detail'])})" if item["detail"] else ""
        reason = f"{visible(item['reason'])}{detail}"
        lines.append(f"[{item['code']}] {where}{op}: {reason}; {item['hint']}")
    return ["because", *(f"  {line}" for line in lines)] if lines else []
