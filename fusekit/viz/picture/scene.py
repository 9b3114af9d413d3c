"""What is drawn: boxes, wires and frames, with what each of them says."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from fusekit.viz.model.schema import Edge, Model, Node, Seam
from fusekit.viz.picture.folding import LIMIT, Fold, Item, fold, leaves
from fusekit.viz.words import bytes_text, plural, short, tensor_text, visible

__all__ = [
    "LIMIT",
    "NARROW",
    "WIDE",
    "Box",
    "Cluster",
    "Scene",
    "Story",
    "Wire",
    "flat_scene",
    "scene",
    "widest",
]

NARROW, WIDE = 2.0, 14.0
"""Widths, in pixels, of a seam without bytes, and of the one that moves most."""

_THIN = 1.3
"""Width of a wire whose bytes are not compared."""


@dataclasses.dataclass(frozen=True, slots=True)
class Box:
    """A node to draw.

    Attributes:
        key: its name in the page: "n" and the node's number, "g" and a group's, "f" and a fold's;
            nothing of the user's.
        label: the first line.
        detail: the second line.
        kind: the node's kind; "group", "repeat" or "fold" for what is folded; "port" for an end of
            a wire at the border of an unfolded box, "tag" for the name of a tensor.
        group: index of the group, or None.
        values: the tensors it stands for, for linking.
        line: the user's line, or None.
        code: why it is opaque, or "".
        title: the whole story, for the tooltip.
    """

    key: str
    label: str
    detail: str
    kind: str
    group: int | None
    values: tuple[int, ...]
    line: int | None
    code: str
    title: str


@dataclasses.dataclass(frozen=True, slots=True)
class Wire:
    """An edge to draw.

    Attributes:
        tail: key of a box.
        head: key of a box.
        value: the tensor.
        bytes: of the tensor.
        code: of the seam that it is, or "".
        title: for the tooltip.
        width: in pixels.
        kind: "" where it stays in registers, or is the user's; "seam"; "memory" for what fusion
            may keep out of memory, in the picture before fusion.
    """

    tail: str
    head: str
    value: int
    bytes: int
    code: str
    title: str
    width: float = _THIN
    kind: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Cluster:
    """A group's frame."""

    index: int
    label: str
    title: str
    members: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Scene:
    """Everything to draw, and what was left out."""

    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]
    clusters: tuple[Cluster, ...] = ()
    note: str = ""


def widest(model: Model) -> int:
    """What a seam of the largest tensor would move, in bytes, or more if one does; 0 without seams.

    Beside this a number that passes from kernel to kernel looks like what it costs: nothing.
    """
    if not model["seams"]:
        return 0
    edges = (2 * edge["bytes"] for edge in model["graph"]["edges"])
    return max(*edges, *(seam["bytes"] for seam in model["seams"]), 0)


class Story:
    """Looks up in a model what boxes and wires say."""

    def __init__(self, model: Model, *, fused: bool = True) -> None:
        """Index `model`; without `fused`, wires are those of eager PyTorch."""
        self.model = model
        self.fused = fused
        self.nodes = model["graph"]["nodes"]
        self.number = {node["id"]: i for i, node in enumerate(self.nodes)}
        self.order = {group["id"]: i for i, group in enumerate(model["groups"])}
        self.names = self._names()
        self.reasons = {item["code"]: item["reason"] for item in reversed(model["declined"])}
        self.seams = self._seams()
        self.most = widest(model)

    def group_of(self, node: int) -> int | None:
        """The number of the group that computes a node."""
        name = self.nodes[node]["group"]
        return self.order[name] if name else None

    def _names(self) -> dict[int, str]:
        """What to call a tensor: as what makes it, which is a kernel once it is fused."""
        titles = {group["id"]: group["name"] for group in self.model["groups"]}
        found: dict[int, str] = {}
        for node in self.nodes:
            if node["kind"] != "output":
                name = titles[node["group"]] if node["group"] and self.fused else node["label"]
                found.setdefault(node["value"], name)
        return found

    def node_box(self, index: int) -> Box:
        """The box of one node."""
        node = self.nodes[index]
        label = _end(node["label"]) if node["kind"] == "input" else short(node["label"], 22)
        code = self._code_of(node) if node["kind"] == "opaque" else ""
        return Box(
            f"n{index}",
            label,
            _detail(node),
            node["kind"],
            self.group_of(index),
            (node["value"],),
            node["line"],
            short(code, 12),
            self._node_title(node, code),
        )

    def fold_box(self, item: Fold) -> Box:
        """The box of what is folded."""
        inside = [*leaves(item.items)]
        values = tuple(dict.fromkeys(self.nodes[i]["value"] for i in inside))
        is_group = item.kind == "group"
        group = int(item.key[1:]) if is_group else None
        title = self.group_title(group) if group is not None else self._fold_title(item, inside)
        return Box(
            item.key,
            short(item.label, 22),
            _end(item.detail, 26),
            item.kind if item.kind in ("group", "repeat") else "fold",
            group,
            values,
            None,
            "",
            title,
        )

    def tag(self, key: str, wire: Wire) -> Box:
        """The name of a tensor, to stand beside a box that reads it."""
        return Box(
            key,
            _end(self.names.get(wire.value, f"%{wire.value}"), 18),
            "",
            "tag",
            None,
            (wire.value,),
            None,
            "",
            wire.title,
        )

    def cluster(self, index: int, members: Sequence[str]) -> Cluster:
        """The frame of a group."""
        group = self.model["groups"][index]
        name, engine = short(group["name"], 18), short(group["engine"], 14)
        label = f"{name} · {engine} · {plural(group['ops'], 'op')}"
        return Cluster(index, label, self.group_title(index), tuple(members))

    def wire(self, edge: Edge, tail: str, head: str) -> Wire:
        """An edge between two boxes that stand for its ends, or for more."""
        what = f"{tensor_text(edge)} · {bytes_text(edge['bytes'])}"
        ends = edge["source"], edge["target"]
        seam = self.seams.get(ends)
        if not self.fused:
            kinds = {self.nodes[self.number[end]]["kind"] for end in ends}
            is_memory = kinds <= {"op", "opaque"}
            width = self._width(2 * edge["bytes"]) if is_memory else _THIN
            kind = "memory" if is_memory else ""
            return Wire(tail, head, edge["value"], edge["bytes"], "", what, width, kind)
        if seam is None:
            return Wire(tail, head, edge["value"], edge["bytes"], "", what)
        price = f"{bytes_text(seam['bytes'])}, {plural(seam['launches'], 'launch')}"
        title = f"{what}\n{visible(seam['code'])}: {visible(seam['sentence'])}\n{price}"
        code, width = short(seam["code"], 12), self._width(seam["bytes"])
        return Wire(tail, head, edge["value"], edge["bytes"], code, title, width, "seam")

    def _width(self, nbytes: int) -> float:
        """Linear in bytes, up to `widest`."""
        share = min(nbytes / self.most, 1.0) if self.most else 0.0
        return NARROW + (WIDE - NARROW) * share

    def _seams(self) -> dict[tuple[str, str], Seam]:
        """Edge -> its seam. One between groups is drawn on the first edge between them."""
        first: dict[tuple[str, str], tuple[str, str]] = {}
        for edge in self.model["graph"]["edges"]:
            ends = edge["source"], edge["target"]
            tails, heads = ((end, self.nodes[self.number[end]]["group"]) for end in ends)
            for tail in filter(None, tails):
                for head in filter(None, heads):
                    first.setdefault((tail, head), ends)
        found: dict[tuple[str, str], Seam] = {}
        for seam in self.model["seams"]:
            drawn = first.get((seam["source"], seam["target"]))
            if drawn is not None:
                found.setdefault(drawn, seam)
        return found

    def _node_title(self, node: Node, code: str) -> str:
        line, user = node["line"], self.model["user"]
        is_long = len(node["label"]) > 22 and node["kind"] in ("input", "output")
        story = [
            node["op"] or node["label"],
            node["label"] if is_long and node["op"] else "",
            node["dtype"] if node["kind"] == "scalar" else _tensor(node),
            f"strides [{','.join(map(str, node['strides']))}]" if node["strides"] else "",
            f"{user['file']}:{line}" if line is not None else "",
            f"{code}: {self.reasons.get(code, '')}" if code else "",
        ]
        return "\n".join(visible(part) for part in story if part)

    def group_title(self, index: int) -> str:
        """What a kernel is and moves."""
        group = self.model["groups"][index]
        flow = f"reads {bytes_text(group['in_bytes'])}, writes {bytes_text(group['out_bytes'])}"
        head = f"{visible(group['name'])}: {plural(group['ops'], 'op')}, {visible(group['engine'])}"
        return f"{head}\n{visible(group['symbol'])}\n{flow}"

    def _fold_title(self, item: Fold, inside: Sequence[int]) -> str:
        groups = {self.group_of(i) for i in inside} - {None}
        calls = sum(self.nodes[i]["kind"] == "opaque" for i in inside)
        parts = [plural(len(inside), "node"), plural(len(groups), "kernel")]
        parts.append(f"{plural(calls, 'operator')} left to PyTorch")
        path = f"\n{visible(item.detail)}" if item.kind == "layer" else ""
        return f"{visible(item.label)}{path}\n{', '.join(parts)}"

    def _code_of(self, node: Node) -> str:
        """Why it is opaque: declined at its line if that is known, else by its operator."""
        declined = self.model["declined"]
        same = [item for item in declined if item["op"] in (node["op"], node["label"])]
        here = [item for item in same if item["line"] == node["line"]]
        return next((item["code"] for item in here or same), "")


def scene(model: Model, *, limit: int = LIMIT) -> Scene:
    """What is shown first: every node, or, where these are more than `limit`, folded boxes."""
    story = Story(model)
    if len(story.nodes) <= limit:
        return flat_scene(story)
    return level(story, fold(model, limit=limit), note=folded_note(story))


def folded_note(story: Story) -> str:
    """What is said beneath a picture that does not show every node."""
    return f"{plural(len(story.nodes), 'node')}, folded: layers, groups and parts are one box each"


def flat_scene(story: Story) -> Scene:
    """Every node a box, and a frame around each group."""
    boxes = tuple(story.node_box(i) for i in range(len(story.nodes)))
    clusters = []
    if story.fused:
        for index, group in enumerate(story.model["groups"]):
            members = [f"n{story.number[i]}" for i in group["nodes"]]
            clusters.append(story.cluster(index, members))
    wires: dict[tuple[str, str, int], Wire] = {}
    for edge in story.model["graph"]["edges"]:
        tail, head = (f"n{story.number[end]}" for end in (edge["source"], edge["target"]))
        keep(wires, story.wire(edge, tail, head))
    return Scene(boxes, tuple(wires.values()), tuple(clusters))


def level(story: Story, items: Sequence[Item], *, note: str = "") -> Scene:
    """One level of the tree, by itself: what is outside does not appear."""
    home = {node: key_of(item) for item in items for node in leaves([item])}
    wires: dict[tuple[str, str, int], Wire] = {}
    for edge in story.model["graph"]["edges"]:
        tail, head = (home.get(story.number[end]) for end in (edge["source"], edge["target"]))
        if tail is not None and head is not None and tail != head:
            keep(wires, story.wire(edge, tail, head))
    boxes = tuple(
        story.fold_box(item) if isinstance(item, Fold) else story.node_box(item) for item in items
    )
    return Scene(boxes, tuple(wires.values()), (), note)


def key_of(item: Item) -> str:
    """What a box is called."""
    return item.key if isinstance(item, Fold) else f"n{item}"


def keep(wires: dict[tuple[str, str, int], Wire], wire: Wire) -> None:
    """Draw one wire for one tensor between two boxes: the seam, if one of them is."""
    key = wire.tail, wire.head, wire.value
    old = wires.get(key)
    if old is None or (wire.code and not old.code):
        wires[key] = wire


def _detail(node: Node) -> str:
    """Type and bytes, as far as there is room."""
    if node["kind"] == "scalar":
        return short(node["dtype"], 26)
    text = _tensor(node)
    return text if len(text) <= 28 else short(tensor_text(node), 26)


def _tensor(node: Node) -> str:
    size = f" · {bytes_text(node['bytes'])}" if node["bytes"] else ""
    return f"{tensor_text(node)}{size}"


def _end(text: str, limit: int = 22) -> str:
    """The end of a long dotted name, which is what tells it from others."""
    line = visible(text)
    cut = line[len(line) - limit + 1 :].partition(".")[2] if len(line) > limit else ""
    return f"…{cut}" if cut else short(text, limit)
