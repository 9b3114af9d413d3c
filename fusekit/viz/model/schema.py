"""The model of a view: plain dicts and lists, the same in memory and in an `x.fk.json` file.

Everything that is ever shown is in here, so that a view can be drawn, saved, compared and loaded
without torch. The classes below are the schema; `check` enforces it, references included.

How things find each other: a *value* is the number of one tensor (its id in the captured graph).
Nodes, edges, ledger rows and source lines carry it, and user lines are reached through
`Node.line`. An adapter translates ids of group graphs to these numbers before it fills a model.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, Literal, TypedDict

from fusekit.errors import UsageError
from fusekit.viz.model.carried import unpacked
from fusekit.viz.model.validate import validate
from fusekit.viz.model.why import Pair, Pairs, Remedy, Rung, Seam, SeamCheck

__all__ = [
    "SCHEMA",
    "VERSION",
    "Compile",
    "Declined",
    "Edge",
    "Graph",
    "Group",
    "Ledger",
    "LedgerRow",
    "Model",
    "Node",
    "Pair",
    "Pairs",
    "Remedy",
    "Rung",
    "Seam",
    "SeamCheck",
    "Source",
    "Timing",
    "TimingRow",
    "Totals",
    "User",
    "check",
    "dumps",
    "load_model",
    "new_model",
    "save_model",
]

SCHEMA = "fusekit-view"
VERSION = 2

_ADDED: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "seams",
        {"value": None, "nodes": [], "checks": [], "remedy": None, "tried": None, "line": None},
    ),
    ("", {"machine": {}, "pairs": {"rows": [], "total": 0}, "ladder": []}),
    ("graph.nodes", {"strides": [], "bytes": 0}),
    ("sources", {"engine": ""}),
    ("timing.rows", {"samples": [], "interval": [], "cause": ""}),
)
"""What version 2 added: where (a path of keys, through lists), and keys with their defaults."""


class User(TypedDict):
    """The user's function, as written."""

    text: str  # dedented or not; "" when the source is not to be had
    first: int  # number of its first line in the file
    file: str  # base name only: a model never holds a path


class Node(TypedDict):
    """One box of the graph."""

    id: str  # unique among nodes
    label: str  # short: "sigmoid", "x", "mm"
    op: str  # in full: "aten.sigmoid.default"; "" for inputs and outputs
    kind: Literal["op", "input", "output", "opaque", "scalar"]
    group: str | None  # Group.id for what a kernel computes, else None
    dtype: str  # "f32"; "" if unknown
    shape: list[int]
    strides: list[int]  # in elements; [] if unknown
    bytes: int  # of its elements; 0 for a scalar, or if unknown
    line: int | None  # line of the user's file
    value: int  # the tensor it makes (for an output: the tensor it returns)


class Edge(TypedDict):
    """A tensor going from one node to another."""

    source: str  # Node.id
    target: str  # Node.id
    value: int
    dtype: str
    shape: list[int]
    bytes: int


class Graph(TypedDict):
    """Nodes in an order that respects data flow, and what flows."""

    nodes: list[Node]
    edges: list[Edge]


class Group(TypedDict):
    """One fusion group, which is one kernel."""

    id: str  # unique among groups: "g1"
    name: str  # what people call it, usually the id
    symbol: str  # the kernel's name in generated source
    engine: str
    key: str
    ops: int
    in_bytes: int
    out_bytes: int
    nodes: list[str]  # Node.id of its members


class Declined(TypedDict):
    """An operator (or a whole function) that PyTorch runs, and why."""

    op: str
    code: str
    reason: str
    detail: str
    line: int | None
    hint: str


class Source(TypedDict):
    """One generated text."""

    language: str  # "cpp", "cuda", "llvm", "asm", "ptx", "sass" or "ir"
    text: str
    symbol: str
    group: str | None  # Group.id
    engine: str  # whose text it is; "" for "ir"
    lines: dict[str, list[list[int]]]  # str(value) -> [first, last] of each run, counted from 1


class LedgerRow(TypedDict):
    """One tensor: the bytes that its reads and its write move."""

    name: str
    shape: list[int]
    dtype: str
    eager: int
    fused: int
    removed: bool  # True when fusion keeps it out of memory altogether
    value: int | None


class Ledger(TypedDict):
    """Every tensor's traffic; the floor is inputs read once and outputs written once."""

    rows: list[LedgerRow]
    eager: int
    fused: int
    floor: int


class Totals(TypedDict):
    """The figures of the headline."""

    groups: int
    launches: int
    eager_launches: int
    saved_bytes: int


class TimingRow(TypedDict):
    """One contender on one device."""

    name: str  # "fused", "eager", "inductor"
    device: str
    seconds: float  # median
    spread: float  # interquartile range, in seconds
    runs: int
    ratio: float | None  # time of the baseline over this one's: above 1 is faster
    outcome: Literal["", "baseline", "faster", "slower", "tie", "cannot tell"]
    samples: list[float]  # seconds for one call, the last 60 at most, four digits each
    interval: list[float]  # where the true ratio is with 95 %: [low, high], or []
    cause: str  # what kept a verdict from being given, as one of a few words; "" if there is one


class Timing(TypedDict):
    """What was measured, how, and what follows from it."""

    rows: list[TimingRow]
    method: str
    verdict: str


class Compile(TypedDict):
    """What making one kernel cost."""

    group: str | None
    symbol: str
    engine: str
    seconds: float
    cached: bool


class Model(TypedDict):
    """A whole view."""

    schema: str
    version: int
    title: str
    name: str  # of the user's function
    user: User
    graph: Graph
    groups: list[Group]
    declined: list[Declined]
    seams: list[Seam]
    pairs: Pairs
    ladder: list[Rung]
    sources: list[Source]
    ledger: Ledger
    totals: Totals
    timing: Timing | None
    compile: list[Compile]
    machine: dict[str, str]  # what it was measured on, by name: "torch", "processor"; {} if not


def new_model(name: str, *, title: str = "") -> Model:
    """An empty model, for an adapter to fill."""
    return Model(
        schema=SCHEMA,
        version=VERSION,
        title=title or name,
        name=name,
        user=User(text="", first=1, file=""),
        graph=Graph(nodes=[], edges=[]),
        groups=[],
        declined=[],
        seams=[],
        pairs=Pairs(rows=[], total=0),
        ladder=[],
        sources=[],
        ledger=Ledger(rows=[], eager=0, fused=0, floor=0),
        totals=Totals(groups=0, launches=0, eager_launches=0, saved_bytes=0),
        timing=None,
        compile=[],
        machine={},
    )


def check(data: object, *, where: str = "model") -> Model:
    """Return `data` as a model; UsageError names the first place that does not fit the schema."""
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise UsageError(f'{where}: not a fusekit view (no "schema": "{SCHEMA}")')
    version = data.get("version")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise UsageError(
            f"{where}: version {version!r} of the format; this fusekit reads 1 to {VERSION}, "
            "so a newer fusekit is needed"
        )
    for path, added in _ADDED if version == 1 else ():
        _add(data, path.split(".") if path else [], added)
    if version == 1:
        _separate_runs(data.get("sources"))
    data["version"] = VERSION
    model: Model = validate(data, Model, where)
    _check_references(model, where)
    return model


def _add(data: Any, path: list[str], added: dict[str, Any]) -> None:
    """Give older data what it lacks; what is malformed is left for `validate` to name."""
    if isinstance(data, list):
        for item in data:
            _add(item, path, added)
    elif isinstance(data, dict) and path:
        _add(data.get(path[0]), path[1:], added)
    elif isinstance(data, dict):
        for key, default in added.items():
            data.setdefault(key, copy.deepcopy(default))


def _separate_runs(sources: Any) -> None:
    """Version 1 had one run of lines for each value."""
    for source in sources if isinstance(sources, list) else ():
        lines = source.get("lines") if isinstance(source, dict) else None
        if isinstance(lines, dict):
            source["lines"] = {value: _runs(found) for value, found in lines.items()}


def _runs(found: Any) -> Any:
    is_one = isinstance(found, list) and all(type(line) is int for line in found)
    return [found] if is_one else found


def _check_references(model: Model, where: str) -> None:
    nodes = _unique([node["id"] for node in model["graph"]["nodes"]], f"{where}.graph.nodes")
    groups = _unique([group["id"] for group in model["groups"]], f"{where}.groups")
    for node in model["graph"]["nodes"]:
        _known(node["group"], groups, f"{where}: node {node['id']!r} is in group")
    for edge in model["graph"]["edges"]:
        _all_known([edge["source"], edge["target"]], nodes, f"{where}: an edge ends at node")
    for group in model["groups"]:
        _all_known(group["nodes"], nodes, f"{where}: group {group['id']!r} has node")
    for seam in model["seams"]:
        ends = [seam["source"], seam["target"]]
        _all_known(ends, nodes | groups, f"{where}: a seam ends at")
        _all_known(seam["nodes"], nodes, f"{where}: a seam is at node")
    for rung in model["ladder"]:
        for pair in rung["joins"]:
            _all_known(pair, nodes, f"{where}: a step of the ladder joins node")
    for source in model["sources"]:
        _known(source["group"], groups, f"{where}: a source is of group")
        _check_spans(source, where)


def _unique(ids: list[str], where: str) -> set[str]:
    found = set(ids)
    if len(found) != len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise UsageError(f"{where}: the id {twice!r} appears twice")
    return found


def _known(name: str | None, names: set[str], what: str) -> None:
    if name is not None and name not in names:
        raise UsageError(f"{what} {name!r}, which is not in the model")


def _all_known(found: list[str], names: set[str], what: str) -> None:
    for name in found:
        _known(name, names, what)


def _check_spans(source: Source, where: str) -> None:
    total = source["text"].count("\n") + 1
    for value, runs in source["lines"].items():
        good = value.isdecimal() and all(
            len(run) == 2 and 1 <= run[0] <= run[1] <= total for run in runs
        )
        if not good:
            raise UsageError(
                f"{where}: source {source['symbol']!r}: value {value!r} is on lines {runs}, "
                f"but the text has lines 1 to {total}"
            )


def dumps(model: Model) -> str:
    """The file format: JSON, sorted, one space of indentation, the same for equal models."""
    return json.dumps(model, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def save_model(model: Model, path: str | Path) -> Path:
    """Write `model` to `path` (usually `x.fk.json`) and return the path."""
    target = Path(path)
    try:
        text = dumps(check(model))
    except ValueError as error:  # a NaN or an infinity: JSON has none
        raise UsageError(f"the model cannot be written to {target.name}: {error}") from error
    target.write_text(text, encoding="utf-8", newline="\n")
    return target


def load_model(path: str | Path) -> Model:
    """Read what `save_model` wrote, or a card's Markdown; UsageError for anything else."""
    source = Path(path)
    try:
        text = source.read_text(encoding="utf-8")
        if source.suffix == ".md":
            text = unpacked(text, source.name)
        data = json.loads(text, parse_constant=_reject)
    except UsageError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{source}: cannot be read as a fusekit view: {error}") from error
    return check(data, where=source.name)


def _reject(constant: str) -> Any:
    raise ValueError(f"{constant} is not a number that a view may hold")
