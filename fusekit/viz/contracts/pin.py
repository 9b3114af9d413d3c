"""Pins: the structure of a fusion in a file, to compare later ones with; and how two differ.

A pin holds kernels, launches, seams and their codes, and which operators are in which kernel. It
holds no sizes, times, symbols or versions, so it is the same on every machine.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

from fusekit.errors import UsageError
from fusekit.viz.model.schema import Edge, Model, Node
from fusekit.viz.words import visible

__all__ = ["Pin", "differences", "load_pin", "pin_of", "seam_codes_text"]

_SCHEMA = "fusekit-pin"
_VERSION = 1
_MOST_SAID = 12
"""More differences than these are counted."""


@dataclasses.dataclass(frozen=True)
class Pin:
    """The structure of one fusion.

    Attributes:
        name: of the function.
        groups: how many kernels there are.
        launches: kernels that are launched, and operators left to PyTorch.
        fused: False if PyTorch runs the whole call.
        codes: the reason code of each seam, sorted.
        operators: what to call each operator -> number of its kernel from 1; 0 for PyTorch.
        edges: (operator, operator that reads it, code), the code "" inside a kernel.
        structure: a fingerprint of which operators are joined how.
    """

    name: str
    groups: int
    launches: int
    fused: bool
    codes: tuple[str, ...]
    operators: dict[str, int]
    edges: tuple[tuple[str, str, str], ...]
    structure: str

    def __str__(self) -> str:
        """The contract: what `--expect` takes."""
        clauses = [f"groups={self.groups}", f"launches={self.launches}", f"seams={len(self.codes)}"]
        clauses += [f"codes={seam_codes_text(self.codes)}"] if self.codes else []
        clauses += [f"structure={self.structure}"]
        clauses += ["no-fallback"] if self.fused else []
        return " ".join(clauses)

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """All of it as values that JSON has; what the file holds."""
        return {"schema": _SCHEMA, "version": _VERSION, **dataclasses.asdict(self)}

    def save(self, path: str | Path) -> Path:
        """Write it to `path`, usually `x.pin.json`; `--expect x.pin.json` compares with it."""
        target = Path(path)
        text = json.dumps(self.to_dict(), indent=1, sort_keys=True, ensure_ascii=False)
        target.write_text(text + "\n", encoding="utf-8", newline="\n")
        return target


def load_pin(path: str | Path) -> Pin:
    """Read what `Pin.save` wrote; UsageError for anything else."""
    source = Path(path)
    try:
        data = json.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(
            f"there is no pin {str(path)!r}; view.pin({str(path)!r}) writes it"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{source}: cannot be read as a pin: {error}") from error
    wanted = {field.name for field in dataclasses.fields(Pin)} | {"schema", "version"}
    if not isinstance(data, dict) or set(data) != wanted or data["schema"] != _SCHEMA:
        raise UsageError(f"{source}: not a pin of fusekit")
    if data["version"] != _VERSION:
        raise UsageError(f"{source}: version {data['version']!r} of pins; this fusekit reads 1")
    fields = {key: data[key] for key in wanted - {"schema", "version", "codes", "edges"}}
    edges = tuple(tuple(map(str, edge)) for edge in data["edges"])
    return Pin(codes=tuple(map(str, data["codes"])), edges=edges, **fields)  # type: ignore[arg-type]


def pin_of(model: Model) -> Pin:
    """The structure of the fusion in a model."""
    names = _names(model)
    order = {group["id"]: number for number, group in enumerate(model["groups"], start=1)}
    nodes = {node["id"]: node for node in model["graph"]["nodes"]}
    edges = [
        (names[edge["source"]], names[edge["target"]], _code(model, edge, nodes))
        for edge in model["graph"]["edges"]
        if edge["source"] in names and edge["target"] in names
    ]
    return Pin(
        name=model["name"],
        groups=len(model["groups"]),
        launches=model["totals"]["launches"],
        fused=bool(model["compile"]),
        codes=tuple(sorted(seam["code"] for seam in model["seams"])),
        operators={name: order.get(nodes[i]["group"] or "", 0) for i, name in names.items()},
        edges=tuple(sorted(edges)),
        structure=_structure(model, nodes),
    )


def seam_codes_text(codes: tuple[str, ...]) -> str:
    """`FK0101*2+FK0106`."""
    counted = sorted(Counter(codes).items())
    return "+".join(f"{visible(code)}*{n}" if n > 1 else visible(code) for code, n in counted)


def _names(model: Model) -> dict[str, str]:
    """What to call each operator: by its line in the function, whatever else is in the file.

    Several of one name on one line have a number.
    """
    seen: Counter[str] = Counter()
    found = {}
    first = model["user"]["first"]
    for node in model["graph"]["nodes"]:
        if node["kind"] in ("op", "opaque"):
            line = "" if node["line"] is None else f" (line {node['line'] - first + 1})"
            name = f"{visible(node['label'])}{line}"
            seen[name] += 1
            found[node["id"]] = name if seen[name] == 1 else f"{name} #{seen[name]}"
    return found


def _code(model: Model, edge: Edge, nodes: dict[str, Node]) -> str:
    """The code of the seam that an edge is; "" for one inside a kernel."""
    source, target = nodes[edge["source"]], nodes[edge["target"]]
    if source["group"] is not None and source["group"] == target["group"]:
        return ""
    starts, ends = ({node["id"], node["group"]} for node in (source, target))
    for seam in model["seams"]:
        same = seam["value"] in (None, edge["value"])
        if same and seam["source"] in starts and seam["target"] in ends:
            return seam["code"]
    return "" if source["group"] is None and target["group"] is None else "memory"


def _structure(model: Model, nodes: dict[str, Node]) -> str:
    """Of each kernel the operators and what flows between them, without names, lines and sizes."""
    kernels = []
    for group in model["groups"]:
        members = set(group["nodes"])
        labels = sorted(nodes[node]["label"] for node in members)
        flows = sorted(
            f"{nodes[edge['source']]['label']}>{nodes[edge['target']]['label']}"
            for edge in model["graph"]["edges"]
            if {edge["source"], edge["target"]} <= members
        )
        kernels.append([labels, flows])
    left = sorted(node["label"] for node in nodes.values() if node["kind"] == "opaque")
    text = json.dumps([sorted(kernels), left])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def differences(old: Pin, new: Pin) -> list[str]:
    """What is another structure, as sentences; empty if it is the same."""
    found = [
        f"{what} {before} -> {after}"
        for what, before, after in (
            ("groups", old.groups, new.groups),
            ("launches", old.launches, new.launches),
            ("fused", old.fused, new.fused),
        )
        if before != after
    ]
    found += _code_differences(old, new)
    found += _some(_edge_differences(old, new))
    found += _some(_operator_differences(old, new))
    if not found and old.structure != new.structure:
        found.append(f"structure {old.structure} -> {new.structure}")
    return found


def _code_differences(old: Pin, new: Pin) -> list[str]:
    before, after = Counter(old.codes), Counter(new.codes)
    added = [f"reason code {code} is new" for code in sorted(after.keys() - before.keys())]
    gone = [f"reason code {code} is gone" for code in sorted(before.keys() - after.keys())]
    changed = [
        f"seams with {code}: {before[code]} -> {after[code]}"
        for code in sorted(before.keys() & after.keys())
        if before[code] != after[code]
    ]
    return added + gone + changed


def _edge_differences(old: Pin, new: Pin) -> list[str]:
    before = {(source, target): code for source, target, code in old.edges}
    after = {(source, target): code for source, target, code in new.edges}
    found = []
    for ends in sorted(before.keys() & after.keys()):
        was, now = before[ends], after[ends]
        if was != now:
            edge = f"the edge {ends[0]} -> {ends[1]}"
            became = f"became a seam [{now}]" if now else "is no seam any more"
            found.append(f"{edge} {became if not (was and now) else f'is [{now}], was [{was}]'}")
    return found


def _operator_differences(old: Pin, new: Pin) -> list[str]:
    found = [f"{name} is new" for name in sorted(new.operators.keys() - old.operators.keys())]
    found += [f"{name} is gone" for name in sorted(old.operators.keys() - new.operators.keys())]
    for name in sorted(old.operators.keys() & new.operators.keys()):
        was, now = old.operators[name], new.operators[name]
        if bool(was) != bool(now):
            found.append(f"{name} {'joined a kernel' if now else 'is left to PyTorch'}")
    return found


def _some(lines: list[str]) -> list[str]:
    left = len(lines) - _MOST_SAID
    return [*lines[:_MOST_SAID], f"and {left} more"] if left > 0 else lines
