"""What of a graph is drawn: every node, or one box per group, or a beginning, as size allows."""

from __future__ import annotations

import dataclasses

from fusekit.viz.model import Edge, Group, Model, Node
from fusekit.viz.words import bytes_text, plural, short, tensor_text, visible

__all__ = ["LIMIT", "Box", "Cluster", "Scene", "Wire", "scene"]

LIMIT = 150
"""More boxes than this are no picture any more."""


@dataclasses.dataclass(frozen=True, slots=True)
class Box:
    """A node to draw.

    Attributes:
        key: its name in DOT and in the page: a letter and a number, nothing of the user's.
        label: the first line.
        detail: the second line.
        kind: the node's kind, or "group" for a collapsed one.
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
    """An edge to draw; with a code, it is a seam."""

    tail: str
    head: str
    value: int
    bytes: int
    code: str
    title: str


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
    clusters: tuple[Cluster, ...]
    note: str = ""


def scene(model: Model, *, limit: int = LIMIT) -> Scene:
    """Choose what to draw: at most `limit` boxes, with a note when that is less than all."""
    nodes = model["graph"]["nodes"]
    if len(nodes) <= limit:
        return _build(model, nodes, collapse=False, note="")
    drawn = [*_representatives(nodes).values()]
    if len(drawn) <= limit:
        note = f"{len(nodes)} nodes: each group is drawn as one box"
        return _build(model, nodes, collapse=True, note=note)
    note = f"the first {limit} of {len(drawn)} boxes ({len(nodes)} nodes; a group is one box)"
    kept = {node["id"] for node in drawn[:limit]}
    groups = {node["group"] for node in drawn[:limit] if node["group"]}
    some = [node for node in nodes if node["id"] in kept or node["group"] in groups]
    return _build(model, some, collapse=True, note=note)


def _representatives(nodes: list[Node]) -> dict[str, Node]:
    """One node for each box of a collapsed graph: the first of a group, any other itself."""
    found: dict[str, Node] = {}
    for node in nodes:
        found.setdefault(f"g{node['group']}" if node["group"] else f"n{node['id']}", node)
    return found


def _build(model: Model, nodes: list[Node], *, collapse: bool, note: str) -> Scene:
    order = {group["id"]: index for index, group in enumerate(model["groups"])}
    keys: dict[str, str] = {}
    boxes: list[Box] = []
    for index, node in enumerate(nodes):
        group = order[node["group"]] if node["group"] else None
        if collapse and group is not None:
            keys[node["id"]] = f"g{group}"
            if all(box.key != f"g{group}" for box in boxes):
                boxes.append(_group_box(model, group))
            continue
        keys[node["id"]] = f"n{index}"
        boxes.append(_node_box(model, node, f"n{index}", group))
    clusters = () if collapse else tuple(_clusters(model, keys))
    return Scene(tuple(boxes), tuple(_wires(model, keys)), clusters, note)


def _node_box(model: Model, node: Node, key: str, group: int | None) -> Box:
    detail = node["dtype"] if node["kind"] == "scalar" else tensor_text(node)
    code = _code_of(model, node) if node["kind"] == "opaque" else ""
    where = f"{model['user']['file']}:{node['line']}" if node["line"] is not None else ""
    story = [node["op"] or node["label"], detail, where, _reason(model, code)]
    title = "\n".join(visible(part) for part in story if part)
    return Box(
        key,
        short(node["label"], 22),
        short(detail, 26),
        node["kind"],
        group,
        (node["value"],),
        node["line"],
        short(code, 12),
        title,
    )


def _group_box(model: Model, index: int) -> Box:
    group = model["groups"][index]
    values = tuple(n["value"] for n in model["graph"]["nodes"] if n["group"] == group["id"])
    label = short(group["name"], 22)
    detail = f"{plural(group['ops'], 'op')} · {short(group['engine'], 12)}"
    return Box(f"g{index}", label, detail, "group", index, values, None, "", _group_title(group))


def _group_title(group: Group) -> str:
    flow = f"reads {bytes_text(group['in_bytes'])}, writes {bytes_text(group['out_bytes'])}"
    head = f"{visible(group['name'])}: {plural(group['ops'], 'op')}, {visible(group['engine'])}"
    return f"{head}\n{visible(group['symbol'])}\n{flow}"


def _clusters(model: Model, keys: dict[str, str]) -> list[Cluster]:
    found = []
    for index, group in enumerate(model["groups"]):
        members = tuple(keys[i] for i in group["nodes"] if i in keys)
        name, engine = short(group["name"], 18), short(group["engine"], 14)
        label = f"{name} · {engine} · {plural(group['ops'], 'op')}"
        found.append(Cluster(index, label, _group_title(group), members))
    return found


def _wires(model: Model, keys: dict[str, str]) -> list[Wire]:
    seams = _seams(model)
    found: dict[tuple[str, str, int], Wire] = {}
    for edge in model["graph"]["edges"]:
        tail, head = keys.get(edge["source"]), keys.get(edge["target"])
        if tail is None or head is None or tail == head:
            continue
        code, title = seams.get((edge["source"], edge["target"]), ("", ""))
        what = f"{tensor_text(edge)} · {bytes_text(edge['bytes'])}"
        wire = Wire(tail, head, edge["value"], edge["bytes"], code, f"{what}\n{title}".strip())
        old = found.get((tail, head, edge["value"]))
        if old is None or not old.code:
            found[tail, head, edge["value"]] = wire
    return list(found.values())


def _seams(model: Model) -> dict[tuple[str, str], tuple[str, str]]:
    """Edge -> (code, tooltip). A seam between groups is drawn on the first edge between them."""
    group_of = {node["id"]: node["group"] for node in model["graph"]["nodes"]}
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for seam in model["seams"]:
        for edge in model["graph"]["edges"]:
            ends = _ends(edge, group_of)
            if seam["source"] in ends[0] and seam["target"] in ends[1]:
                price = f"{bytes_text(seam['bytes'])}, {plural(seam['launches'], 'launch')}"
                title = f"{visible(seam['code'])}: {visible(seam['sentence'])}\n{price}"
                found.setdefault((edge["source"], edge["target"]), (short(seam["code"], 12), title))
                break
    return found


def _ends(edge: Edge, group_of: dict[str, str | None]) -> tuple[set[str | None], set[str | None]]:
    source, target = edge["source"], edge["target"]
    return {source, group_of[source]}, {target, group_of[target]}


def _code_of(model: Model, node: Node) -> str:
    """Why an opaque node is opaque: declined at its line if that is known, else by its operator."""
    same = [item for item in model["declined"] if item["op"] in (node["op"], node["label"])]
    here = [item for item in same if item["line"] == node["line"]]
    return next((item["code"] for item in here or same), "")


def _reason(model: Model, code: str) -> str:
    found = (item["reason"] for item in model["declined"] if item["code"] == code)
    return f"{code}: {next(found, '')}" if code else ""
