"""One view of a program that torch.compile took apart: all graphs that a call runs, joined.

A graph hands tensors to later graphs. Such a tensor is found again by the memory it lies in, and
the graphs are joined there: one node for one tensor, as if the program were one graph.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils import _pytree as pytree

from fusekit.errors import UsageError
from fusekit.frontends.dtypes import FROM_TORCH
from fusekit.ir import Loc
from fusekit.runtime.compiled import GraphRun, original_of, runs
from fusekit.runtime.leaf_names import leaf_names
from fusekit.viz.cell.userline import UserText, user_text
from fusekit.viz.collect.fused import Filler, declined
from fusekit.viz.model.schema import Edge, Model, Node, User, new_model
from fusekit.viz.view import FusionView
from fusekit.viz.words import plural

__all__ = ["explore_compiled", "place_of"]


def explore_compiled(
    program: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> FusionView:
    """The view of one call of what torch.compile returned; the call is made.

    Raises:
        UsageError: torch.compile did not return `program`, or the backend is another one.
    """
    original = original_of(program)
    if original is None:
        raise UsageError("this is not what torch.compile returned")
    with runs() as graphs:
        result = program(*args, **kwargs)
    if not graphs:
        raise UsageError('no graph ran in fusekit; is it torch.compile(..., backend="fusekit")?')
    name = str(getattr(original, "__name__", type(original).__name__))
    names = _names(original, args, kwargs)
    return FusionView(_joined(name, graphs, names, _ends(result), user_text(original)))


def _joined(
    name: str,
    graphs: Sequence[GraphRun],
    names: Mapping[Hashable, str],
    ends: Mapping[Hashable, str],
    user: UserText,
) -> Model:
    """The model of graphs that ran one after the other.

    `names` are those of tensors, by the memory they lie in; `ends` are those of what the program
    returned: other results of its graphs are no outputs of the program.
    """
    title = name if len(graphs) == 1 else f"{name} · {plural(len(graphs), 'graph')}"
    joined = _Joined(new_model(name, title=title), ends, user)
    for run in graphs:
        joined.add(run, names)
    return joined.finished()


def place_of(tensor: Any) -> Hashable:
    """Where a tensor lies and how: the same for aliases of the same shape."""
    if not isinstance(tensor, torch.Tensor):
        return None
    try:
        address = tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):  # no memory of its own: sparse, or a wrapper
        return id(tensor)
    if not address:
        return id(tensor)
    return address, tensor.storage_offset(), tuple(tensor.shape), tensor.stride(), tensor.dtype


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
        self.values = 0
        self.count = 0

    def add(self, run: GraphRun, names: Mapping[Hashable, str]) -> None:
        """Take in one more graph."""
        leaves = [self._name(arg, names) or f"input[{i}]" for i, arg in enumerate(run.args)]
        part = new_model(run.name)
        if run.entry is not None and run.entry.program is not None:
            filler = Filler(part, run.entry, run.entry.program, leaves, run.explanation)
            filler.fill()
            places = {box.id: box.nodes[-1].loc for box in filler.boxes}
            for node in part["graph"]["nodes"]:
                node["line"] = self._line(places.get(node["id"]))
            results = _made(run)
        else:
            _fill_opaque(part, run, leaves)
            results = [x for x in run.results if isinstance(x, torch.Tensor)]
        part["declined"] = [
            {**declined(each), "line": self._line(each.loc)} for each in run.explanation.declined
        ]
        self._renumber(part)
        self._join(part, run, results)
        self._sources(part)
        self.model["groups"] += part["groups"]
        self.model["declined"] += part["declined"]
        self.model["seams"] += part["seams"]
        self.model["compile"] += part["compile"]
        _add_figures(self.model, part)
        self.count += 1

    def _name(self, arg: Any, names: Mapping[Hashable, str]) -> str:
        """What to call what a graph takes: as the user does, or as what made it."""
        known = self.known.get(place_of(arg))
        return names.get(place_of(arg)) or (known["label"] if known else "")

    def _line(self, loc: Loc | None) -> int | None:
        """A line of the text that is shown; a model's code lies in many files."""
        if loc is None or Path(loc.file).name != self.user.file:
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
        for source in part["sources"]:
            source["group"] = ids[source["group"]] if source["group"] else None
            source["lines"] = {str(int(v) + shift): span for v, span in source["lines"].items()}
        for made in part["compile"]:
            made["group"] = ids[made["group"]] if made["group"] else None

    def _sources(self, part: Model) -> None:
        """One text for each kernel, whichever graphs share it."""
        known = {(s["language"], s["text"]): s for s in self.model["sources"]}
        for source in part["sources"]:
            same = known.get((source["language"], source["text"]))
            if same is None:
                self.model["sources"].append(source)
            else:
                same["lines"].update(source["lines"])

    def _join(self, part: Model, run: GraphRun, results: Sequence[Any]) -> None:
        """Replace inputs that are known, and drop outputs that only later graphs read."""
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
        values = {nodes[name]["value"]: known["value"] for name, known in same.items()}
        for row in part["ledger"]["rows"]:
            row["value"] = None if row["value"] is None else values.get(row["value"], row["value"])
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

    def _node(self, name: str) -> Node:
        return next(node for node in self.model["graph"]["nodes"] if node["id"] == name)

    def finished(self) -> Model:
        """The model, with its outputs at the end, in the order in which they are returned."""
        graph, order = self.model["graph"], {name: i for i, name in enumerate(self.ends.values())}
        outputs = [node for node in graph["nodes"] if node["kind"] == "output"]
        outputs.sort(key=lambda node: order.get(node["label"], len(order)))
        graph["nodes"] = [node for node in graph["nodes"] if node["kind"] != "output"] + outputs
        return self.model


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


def _fill_opaque(part: Model, run: GraphRun, names: Sequence[str]) -> None:
    """A graph that PyTorch runs as a whole is one node."""
    tensors = [(n, x) for n, x in zip(names, run.args, strict=True) if isinstance(x, torch.Tensor)]
    made = [x for x in run.results if isinstance(x, torch.Tensor)]
    op = next((each.op for each in run.explanation.declined if each.op), run.name)
    label = op.split(".")[1] if op.count(".") > 1 else op
    first = made[0] if made else None
    body = _node("n0", label, "opaque", first, len(tensors))
    body["op"] = op
    inputs = [_node(f"i{i}", n, "input", x, i) for i, (n, x) in enumerate(tensors)]
    outputs = [_node(f"o{i}", "output", "output", x, len(tensors) + i) for i, x in enumerate(made)]
    part["graph"]["nodes"] = [*inputs, body, *outputs]
    part["graph"]["edges"] = [
        *(_edge(node, "n0", node) for node in inputs),
        *(_edge(body, node["id"], node) for node in outputs),
    ]
    part["totals"]["launches"] = part["totals"]["eager_launches"] = 1


def _node(name: str, label: str, kind: Any, tensor: torch.Tensor | None, value: int) -> Node:
    node = Node(
        id=name,
        label=label,
        op="",
        kind=kind,
        group=None,
        dtype="",
        shape=[],
        strides=[],
        bytes=0,
        line=None,
        value=value,
    )
    if tensor is not None:
        node["dtype"], node["shape"] = _dtype(tensor), list(tensor.shape)
        if tensor.layout is torch.strided:
            node["strides"] = list(tensor.stride())
            node["bytes"] = tensor.numel() * tensor.element_size()
    return node


def _dtype(tensor: torch.Tensor) -> str:
    """The name that the IR has for it, else torch's."""
    known = FROM_TORCH.get(tensor.dtype)
    return known.value if known else str(tensor.dtype).removeprefix("torch.")


def _edge(source: Node, target: str, tensor: Node) -> Edge:
    return Edge(
        source=source["id"],
        target=target,
        value=tensor["value"],
        dtype=tensor["dtype"],
        shape=tensor["shape"],
        bytes=tensor["bytes"],
    )


def _add_figures(model: Model, part: Model) -> None:
    ledger, totals = model["ledger"], model["totals"]
    ledger["rows"] += part["ledger"]["rows"]
    ledger["eager"] += part["ledger"]["eager"]
    ledger["fused"] += part["ledger"]["fused"]
    ledger["floor"] += part["ledger"]["floor"]
    totals["groups"] += part["totals"]["groups"]
    totals["launches"] += part["totals"]["launches"]
    totals["eager_launches"] += part["totals"]["eager_launches"]
    totals["saved_bytes"] += part["totals"]["saved_bytes"]
