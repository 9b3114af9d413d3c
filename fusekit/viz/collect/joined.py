"""One view of a program that torch.compile took apart: all graphs that a call runs, joined.

A graph hands tensors to later graphs. Such a tensor is found again by the memory it lies in, and
the graphs are joined there: one node for one tensor, as if the program were one graph.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from fusekit.errors import UsageError
from fusekit.ir import Loc
from fusekit.runtime.compiled import GraphRun, original_of, runs
from fusekit.runtime.engines import Engine
from fusekit.runtime.leaf_names import leaf_names
from fusekit.runtime.program import Program
from fusekit.specs import Decline
from fusekit.viz.cell.userline import UserText, shown_name, user_text
from fusekit.viz.code.diff import Variant
from fusekit.viz.collect.boxes import group_name
from fusekit.viz.collect.breaks import Crossing, break_seams, operators, why_two
from fusekit.viz.collect.fused import Filler, declined
from fusekit.viz.collect.ledger import add_row
from fusekit.viz.collect.opaque import fill_opaque
from fusekit.viz.collect.places import memory_of_values, place_of
from fusekit.viz.collect.sources import Texts
from fusekit.viz.model.schema import LedgerRow, Model, Node, Source, User, new_model
from fusekit.viz.words import plural

__all__ = ["Looked", "Part", "add_sources", "look"]


_MADE = ("op", "opaque")
"""Kinds of nodes that compute something."""


@dataclasses.dataclass(frozen=True)
class Part:
    """One graph's place in the model of a program.

    Attributes:
        program: what the graph was compiled to.
        engine: what runs it; None if PyTorch does.
        first: how many groups come before its own.
        numbers: what its values are called in the model; those that are not in it have their own
            number plus `shift`.
        shift: likewise.
    """

    program: Program
    engine: Engine | None
    first: int
    numbers: Mapping[int, int]
    shift: int

    def placed(self, source: Source) -> Source:
        """A text of the graph's own, with the model's groups and values."""
        lines = {str(self._value(int(v))): spans for v, spans in source["lines"].items()}
        return {**source, "group": self._group(source["group"], self.first), "lines": lines}

    def local(self, source: Source) -> Source | None:
        """The reverse of `placed`, as far as it says which text is meant; None if another's."""
        names = [group_name(self.first + i) for i in range(len(self.program.kernels))]
        if source["group"] not in names:
            return None
        return {**source, "group": self._group(source["group"], -self.first), "lines": {}}

    def _value(self, own: int) -> int:
        return self.numbers.get(own + self.shift, own + self.shift)

    @staticmethod
    def _group(name: str | None, shift: int) -> str | None:
        return None if name is None else group_name(int(name.removeprefix("g")) - 1 + shift)


@dataclasses.dataclass(frozen=True)
class Looked:
    """One call of a program, as it was watched.

    Attributes:
        program: what torch.compile returned.
        original: what it was given.
        graphs: the runs of its graphs, in order.
        model: all of them, joined.
        parts: those of them that fusekit compiled, in the model.
        wrote: the call changed its arguments, or what the program holds.
    """

    program: Callable[..., Any]
    original: Callable[..., Any]
    graphs: tuple[GraphRun, ...]
    model: Model
    parts: tuple[Part, ...]
    wrote: bool

    @property
    def engine(self) -> str:
        """What runs the first graph that kernels run; "" if there is none."""
        return next((part.engine.name for part in self.parts if part.engine), "")

    @property
    def served(self) -> tuple[GraphRun, ...]:
        """The first run of each graph that has entries."""
        found = {id(run.dispatcher): run for run in reversed(self.graphs) if run.dispatcher}
        return tuple(reversed(found.values()))

    def other(self, source: Source, variant: Variant) -> Source:
        """A text of the model as it would be made for `variant`; errors as of `Texts.other`."""
        for part in self.parts:
            own = part.local(source)
            if own is not None:
                return part.placed(Texts(part.program).other(own, variant))
        raise UsageError(f"{source['language']} is the same whatever it is made for")

    @property
    def devices(self) -> tuple[str, ...]:
        """Where its tensors are."""
        leaves = (arg for run in self.graphs for arg in run.args)
        found = (leaf.device.type for leaf in leaves if isinstance(leaf, torch.Tensor))
        return tuple(dict.fromkeys(found))


def look(program: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Looked:
    """Make one call of what torch.compile returned, and say what ran.

    Raises:
        UsageError: torch.compile did not return `program`, or the backend is another one.
    """
    original = original_of(program)
    if original is None:
        raise UsageError("this is not what torch.compile returned")
    held = [*_held(original), *pytree.tree_leaves((args, kwargs))]
    before = _versions(held)
    with runs() as graphs:
        result = program(*args, **kwargs)
    if not graphs:
        raise UsageError('no graph ran in fusekit; is it torch.compile(..., backend="fusekit")?')
    name = str(getattr(original, "__name__", type(original).__name__))
    title = name if len(graphs) == 1 else f"{name} · {plural(len(graphs), 'graph')}"
    joined = _Joined(new_model(name, title=title), _ends(result), user_text(original))
    names = _names(original, args, kwargs)
    for run in graphs:
        joined.add(run, names)
    wrote = _versions(held) != before
    return Looked(program, original, tuple(graphs), joined.finished(), tuple(joined.parts), wrote)


def _held(original: Callable[..., Any]) -> Iterator[torch.Tensor]:
    """What a module keeps from call to call."""
    if isinstance(original, torch.nn.Module):
        yield from original.parameters()
        yield from original.buffers()


def _versions(leaves: Sequence[Any]) -> list[int]:
    """How often each tensor was written."""
    tensors = (leaf for leaf in leaves if isinstance(leaf, torch.Tensor))
    return [tensor._version for tensor in tensors if not tensor.is_inference()]  # noqa: SLF001  no public name


def _names(
    original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[Hashable, str]:
    """What to call tensors: arguments as in the signature, parameters as in the module."""
    found: dict[Hashable, str] = {}
    called = original.forward if isinstance(original, torch.nn.Module) else original
    leaves = pytree.tree_leaves(args) + pytree.tree_leaves(kwargs)
    for leaf, name in zip(leaves, leaf_names(called, args, kwargs), strict=True):
        found.setdefault(place_of(leaf), name)
    if isinstance(original, torch.nn.Module):
        for name, tensor in (*original.named_parameters(), *original.named_buffers()):
            found.setdefault(place_of(tensor), name)
    found.pop(None, None)
    return found


def _ends(result: Any) -> dict[Hashable, str]:
    """What to call the tensors that the program returned, in their order."""
    found: dict[Hashable, str] = {}
    for path, leaf in pytree.tree_flatten_with_path(result)[0]:
        found.setdefault(place_of(leaf), f"output{pytree.keystr(path)}")
    return found


class _Joined:
    """A model that grows graph by graph."""

    def __init__(self, model: Model, ends: Mapping[Hashable, str], user: UserText) -> None:
        self.model = model
        self.user = user
        model["user"] = User(text=user.text, first=user.first, file=user.file)
        self.ends = ends
        self.known: dict[Hashable, Node] = {}
        self.parts: list[Part] = []
        self.rows: dict[Hashable, LedgerRow] = {}
        self.crossings: list[Crossing] = []
        self.before: tuple[GraphRun, Node] | None = None
        self.broken: Decline | None = None
        self.values = 0
        self.count = 0

    def add(self, run: GraphRun, names: Mapping[Hashable, str]) -> None:
        """Take in one more graph."""
        leaves = [self._name(arg, names) or f"input[{i}]" for i, arg in enumerate(run.args)]
        part = new_model(run.name)
        if run.entry is not None and run.entry.program is not None:
            filler = Filler(part, run.entry, run.entry.program, leaves, run.explanation)
            leaves_made = pytree.tree_leaves(run.results, is_leaf=lambda leaf: leaf is None)
            memory = memory_of_values(run.entry.program.capture, run.args, leaves_made)
            rows = filler.fill(memory)
            places = {box.id: box.nodes[-1].loc for box in filler.boxes}
            for node in part["graph"]["nodes"]:
                node["line"] = self._line(places.get(node["id"]))
            results = _made(run)
        else:
            rows = fill_opaque(part, run, leaves)
            results = [x for x in run.results if isinstance(x, torch.Tensor)]
        part["declined"] = [
            {**declined(each), "line": self._line(each.loc)} for each in run.explanation.declined
        ]
        first, shift = len(self.model["groups"]), self.values
        self._renumber(part)
        numbers = self._join(part, run, results)
        for row in part["ledger"]["rows"]:
            row["value"] = None if row["value"] is None else numbers.get(row["value"], row["value"])
        if run.entry is not None and run.entry.program is not None:
            engine = run.entry.plan.engine if run.entry.plan else None
            self.parts.append(Part(run.entry.program, engine, first, numbers, shift))
            add_sources(self.model["sources"], map(self.parts[-1].placed, part["sources"]))
        for seam in part["seams"]:
            lines = {node["id"]: node["line"] for node in part["graph"]["nodes"]}
            seam["line"] = next((lines[n] for n in seam["nodes"] if lines[n] is not None), None)
        self._break(run, list(operators(part["graph"]["nodes"])))
        self.model["groups"] += part["groups"]
        self.model["declined"] += part["declined"]
        self.model["seams"] += part["seams"]
        self.model["compile"] += part["compile"]
        for place, row in zip(rows, part["ledger"]["rows"], strict=True):
            add_row(self.rows, (self.count, len(self.rows)) if place is None else place, row)
        _add_figures(self.model, part)
        self.count += 1

    def _name(self, arg: Any, names: Mapping[Hashable, str]) -> str:
        """What to call what a graph takes: as the user does, or as what made it."""
        known = self.known.get(place_of(arg))
        return names.get(place_of(arg)) or (known["label"] if known else "")

    def _line(self, loc: Loc | None) -> int | None:
        """A line of the text that is shown; a model's code lies in many files."""
        if loc is None or shown_name(loc) != self.user.file:
            return None
        last = self.user.first + self.user.text.count("\n")
        return loc.line if self.user.first <= loc.line <= last else None

    def _renumber(self, part: Model) -> None:
        """Ids and values that no other graph has."""
        shift, first = self.values, len(self.model["groups"])
        ids = {node["id"]: f"{self.count}.{node['id']}" for node in part["graph"]["nodes"]}
        for index, group in enumerate(part["groups"], start=first + 1):
            ids[group["id"]] = f"g{index}"
            group["name"] = f"group {index}"
        for node in part["graph"]["nodes"]:
            node["id"], node["value"] = ids[node["id"]], node["value"] + shift
            node["group"] = ids[node["group"]] if node["group"] else None
            self.values = max(self.values, node["value"] + 1)
        for item in (*part["graph"]["edges"], *part["seams"]):
            item["source"], item["target"] = ids[item["source"]], ids[item["target"]]
        for seam in part["seams"]:
            seam["nodes"] = [ids[node] for node in seam["nodes"]]
            seam["value"] = None if seam["value"] is None else seam["value"] + shift
        for edge in part["graph"]["edges"]:
            edge["value"] += shift
            self.values = max(self.values, edge["value"] + 1)
        for row in part["ledger"]["rows"]:
            row["value"] = None if row["value"] is None else row["value"] + shift
        for group in part["groups"]:
            group["id"], group["nodes"] = ids[group["id"]], [ids[i] for i in group["nodes"]]
        for made in part["compile"]:
            made["group"] = ids[made["group"]] if made["group"] else None

    def _join(self, part: Model, run: GraphRun, results: Sequence[Any]) -> dict[int, int]:
        """Replace inputs that are known, and drop outputs that only later graphs read.

        Returns what the values of the inputs that were replaced are called.
        """
        nodes = {node["id"]: node for node in part["graph"]["nodes"]}
        same: dict[str, Node] = {}
        for node, tensor in _inputs(part, run):
            place = place_of(tensor)
            if place in self.known:
                same[node["id"]] = self.known[place]
            else:
                self.known[place] = node
        for edge in part["graph"]["edges"]:
            known = same.get(edge["source"])
            if known is not None:
                edge["source"], edge["value"] = known["id"], known["value"]
                reader = nodes[edge["target"]]
                if known["kind"] in _MADE and reader["kind"] in _MADE:
                    crossing = Crossing(known, reader, known["value"], edge["bytes"])
                    self.crossings.append(crossing)
        outputs = [node for node in nodes.values() if node["kind"] == "output"]
        makers = {edge["target"]: edge for edge in part["graph"]["edges"]}
        dropped = set(same)
        for node, tensor in zip(outputs, results, strict=False):
            place, made = place_of(tensor), makers.get(node["id"])
            if made is not None:
                maker = nodes.get(made["source"]) or self._node(made["source"])
                self.known.setdefault(place, {**maker, "value": made["value"]})
            if place in self.ends:
                node["label"] = self.ends[place]
            else:
                dropped.add(node["id"])
        floor = sum(nodes[i]["bytes"] for i in dropped if nodes[i]["kind"] != "scalar")
        part["ledger"]["floor"] = max(part["ledger"]["floor"] - floor, 0)
        kept = [node for node in nodes.values() if node["id"] not in dropped]
        self.model["graph"]["nodes"].extend(kept)
        self.model["graph"]["edges"].extend(
            edge for edge in part["graph"]["edges"] if edge["target"] not in dropped
        )
        return {nodes[name]["value"]: known["value"] for name, known in same.items()}

    def _break(self, run: GraphRun, computed: Sequence[Node]) -> None:
        """The seams between the graphs so far and this one; none around one without operators."""
        if not computed:
            return
        if self.before is not None:
            before, last = self.before
            decline = why_two(before, run, self.broken)
            line, ends = self._line(decline.loc), (last, computed[0])
            self.model["seams"] += break_seams(decline, line, self.crossings, ends)
        self.before, self.broken = (run, computed[-1]), run.ended or self.broken
        self.crossings = []

    def _node(self, name: str) -> Node:
        return next(node for node in self.model["graph"]["nodes"] if node["id"] == name)

    def finished(self) -> Model:
        """The model, with its outputs at the end, in the order in which they are returned."""
        self.model["ledger"]["rows"] = list(self.rows.values())
        graph, order = self.model["graph"], {name: i for i, name in enumerate(self.ends.values())}
        outputs = [node for node in graph["nodes"] if node["kind"] == "output"]
        outputs.sort(key=lambda node: order.get(node["label"], len(order)))
        graph["nodes"] = [node for node in graph["nodes"] if node["kind"] != "output"] + outputs
        return self.model


def add_sources(held: list[Source], more: Iterable[Source]) -> None:
    """One text for each kernel, whichever graphs share it."""
    known = {(source["language"], source["text"]): source for source in held}
    for source in more:
        same = known.setdefault((source["language"], source["text"]), source)
        if same is source:
            held.append(source)
        else:
            same["lines"].update(source["lines"])


def _made(run: GraphRun) -> list[Any]:
    """The results that the program makes, in the order of the output nodes."""
    assert run.entry is not None
    assert run.entry.program is not None
    wanted = run.entry.program.capture.results
    leaves = pytree.tree_leaves(run.results, is_leaf=lambda leaf: leaf is None)
    pairs = zip(leaves, wanted, strict=False)
    return [tensor for tensor, result in pairs if result.value is not None]


def _inputs(part: Model, run: GraphRun) -> Iterator[tuple[Node, Any]]:
    """Input nodes with the tensors they stand for."""
    nodes = [node for node in part["graph"]["nodes"] if node["kind"] == "input"]
    if run.entry is None or run.entry.program is None:
        tensors = [arg for arg in run.args if isinstance(arg, torch.Tensor)]
        yield from zip(nodes, tensors, strict=True)
        return
    for node, source in zip(nodes, run.entry.program.capture.sources, strict=True):
        if source.leaf is not None:
            yield node, run.args[source.leaf]
        elif source.free is not None:
            yield node, source.free.value


def _add_figures(model: Model, part: Model) -> None:
    ledger, totals = model["ledger"], model["totals"]
    ledger["eager"] += part["ledger"]["eager"]
    ledger["fused"] += part["ledger"]["fused"]
    ledger["floor"] += part["ledger"]["floor"]
    totals["groups"] += part["totals"]["groups"]
    totals["launches"] += part["totals"]["launches"]
    totals["eager_launches"] += part["totals"]["eager_launches"]
    totals["saved_bytes"] += part["totals"]["saved_bytes"]
