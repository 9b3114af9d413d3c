"""Contracts: what a cell promises about the structure of its fusion, never about time."""

from __future__ import annotations

import dataclasses
import operator
import re
from collections import Counter
from collections.abc import Callable

from fusekit.errors import FusekitError, UsageError
from fusekit.viz.contracts.pin import Pin, differences, load_pin, pin_of, seam_codes_text
from fusekit.viz.model.schema import Model
from fusekit.viz.words import advice_text, bytes_text, end_name, visible

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
_UNITS = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_CLAUSE = re.compile(r"(\w+)(<=|>=|=)(\d+(?:\.\d+)?)(|B|KiB|MiB|GiB)")
_CODES = re.compile(r"codes=(FK\d{4}(?:\*\d+)?(?:\+FK\d{4}(?:\*\d+)?)*)")
_STRUCTURE = re.compile(r"structure=([0-9a-f]{12})")
PIN = ".pin.json"
"""The ending of the files that `view.pin(path)` writes."""


class ContractError(FusekitError, AssertionError):
    """A fusion has another structure than its cell promises; the message shows the difference."""


@dataclasses.dataclass(frozen=True)
class Clause:
    """One promise: `groups=1`, `saved>=90MiB`, `codes=FK0101*2`, `no-fallback`, or a pin's file."""

    text: str
    name: str
    relation: str = "="
    number: int = 0
    words: str = ""
    pin: Pin | None = None


def parse_contract(text: str) -> tuple[Clause, ...]:
    """The clauses of `groups=1 saved>=90MiB no-fallback`; UsageError names what is none.

    A word that ends in `.pin.json` is a file, which is read.
    """
    clauses = tuple(map(_clause, text.replace(",", " ").split()))
    if not clauses:
        raise UsageError("--expect: the contract is empty")
    return clauses


def _clause(word: str) -> Clause:
    if word == "no-fallback":
        return Clause(word, word)
    if word.endswith(PIN):
        return Clause(word, "pin", pin=load_pin(word))
    for name, pattern in (("codes", _CODES), ("structure", _STRUCTURE)):
        if found := pattern.fullmatch(word):
            return Clause(word, name, words=found[1])
    match = _CLAUSE.fullmatch(word)
    if match and match[1] in _COUNTS and (match[1] == "saved" or match[3].isdecimal()):
        if match[4] and match[1] != "saved":
            raise UsageError(f"--expect: {word!r}: only saved takes a unit")
        number = round(float(match[3]) * _UNITS[match[4]])
        return Clause(word, match[1], match[2], number)
    raise UsageError(
        f"--expect: {word!r} is no clause; there are {', '.join(_COUNTS)} with =, <= or >= and a "
        "number (saved>=90MiB), codes=FK0101*2+FK0106, structure=..., no-fallback, and files "
        f"that end in {PIN}"
    )


def hold(clauses: tuple[Clause, ...], model: Model) -> None:
    """ContractError unless the fusion in `model` is what `clauses` say."""
    lines = []
    for clause in clauses:
        found = _broken(clause, model)
        lines.append(f"  {'-' if found else ' '} {visible(clause.text)}")
        lines += [f"  + {line}" for line in found]
    if any(line.startswith("  -") for line in lines):
        head = f"{visible(model['name'])} is not fused as the cell expects (- expected, + found)"
        raise ContractError("\n".join([head, *lines, *_reasons(model)]))


def _broken(clause: Clause, model: Model) -> list[str]:
    """What was found instead; nothing if the clause holds."""
    if clause.name == "no-fallback":
        return [] if model["compile"] else ["PyTorch runs the whole call"]
    if clause.pin is not None:
        return differences(clause.pin, pin_of(model))
    if clause.name == "codes":
        return _codes(clause, pin_of(model))
    if clause.name == "structure":
        found = pin_of(model).structure
        return [] if found == clause.words else [f"structure={found}"]
    count = _COUNTS[clause.name](model)
    if _RELATIONS[clause.relation](count, clause.number):
        return []
    shown = bytes_text(count).replace(" ", "") if clause.name == "saved" else count
    return [f"{clause.name}={shown}"]


def _codes(clause: Clause, found: Pin) -> list[str]:
    """The codes that are there, and which of them are new."""
    expected: Counter[str] = Counter()
    for word in clause.words.split("+"):
        code, _, times = word.partition("*")
        expected[code] += int(times or 1)
    if Counter(found.codes) == expected:
        return []
    new = sorted(set(found.codes) - set(expected))
    said = f"codes={seam_codes_text(found.codes)}" if found.codes else "no seams"
    return [f"{said}; new: {', '.join(new)}" if new else said]


def _reasons(model: Model) -> list[str]:
    """What stands between the groups, with the change that would remove it."""
    lines = []
    places = {node["id"]: node["line"] for node in model["graph"]["nodes"]}
    for seam in model["seams"]:
        found = (places.get(seam["source"]), places.get(seam["target"]))
        where = next((f"line {line}, " for line in found if line is not None), "")
        ends = f"{end_name(model, seam['source'])} -> {end_name(model, seam['target'])}"
        what = advice_text(seam)
        lines.append(f"[{seam['code']}] {where}{ends}: {visible(seam['sentence'])}; {what}")
    for item in [] if lines else model["declined"]:
        where = "" if item["line"] is None else f"line {item['line']}, "
        op = visible(item["op"] or "the function")
        detail = f" ({visible(item['detail'])})" if item["detail"] else ""
        reason = f"{visible(item['reason'])}{detail}"
        lines.append(f"[{item['code']}] {where}{op}: {reason}; {item['hint']}")
    return ["because", *(f"  {line}" for line in lines)] if lines else []
