"""Who reads whom in a model's graph, and what is known of each node: looked up, not searched."""

from __future__ import annotations

from typing import Literal

from fusekit.viz.model.schema import Model, Node, Seam

__all__ = ["Relations"]


class Relations:
    """The graph of one model by index.

    Attributes:
        model: the model.
        order: Group.id -> its index.
        index: Node.id -> its index.
        names: what each node is called; of nodes with equal labels, all but the first get a number.
        reads: the nodes that each node reads, each once, in order.
        readers: the nodes that read each node.
        bytes: value -> bytes, where an edge states them.
        position: Node.id -> its number in its group, from 1.
        saved: Group.id -> bytes that fusion keeps out of memory for tensors that it makes.
        seams_in: Group.id -> codes of the seams that end in it.
        seams_out: Group.id -> codes of those that begin in it.
    """

    def __init__(self, model: Model) -> None:
        """Read the model once."""
        nodes, edges = model["graph"]["nodes"], model["graph"]["edges"]
        self.model = model
        self.order = {group["id"]: index for index, group in enumerate(model["groups"])}
        self.index = {node["id"]: index for index, node in enumerate(nodes)}
        self.names = _names(nodes)
        self.reads: list[list[int]] = [[] for _ in nodes]
        self.readers: list[list[int]] = [[] for _ in nodes]
        ends = dict.fromkeys((self.index[e["source"]], self.index[e["target"]]) for e in edges)
        for source, target in ends:
            self.reads[target].append(source)
            self.readers[source].append(target)
        self.bytes = {edge["value"]: edge["bytes"] for edge in edges}
        self.position = {
            member: number
            for group in model["groups"]
            for number, member in enumerate(group["nodes"], start=1)
        }
        self.saved = _saved(model)
        self.seams_in = _seams(model, "target")
        self.seams_out = _seams(model, "source")

    def key(self, end: str) -> str:
        """The key of an outline's entry for a Node.id or Group.id."""
        return f"g{self.order[end]}" if end in self.order else f"n{self.index[end]}"

    def declined(self, node: Node) -> int | None:
        """The index of the reason why PyTorch runs it: at its line if known, else by operator."""
        if node["kind"] != "opaque":
            return None
        items = self.model["declined"]
        same = [i for i, item in enumerate(items) if item["op"] in (node["op"], node["label"])]
        here = [i for i in same if items[i]["line"] == node["line"]]
        return next(iter(here or same), None)

    def crossing(self, seam: Seam) -> int | None:
        """The value of the first edge from one end of a seam to the other."""
        group = {node["id"]: node["group"] for node in self.model["graph"]["nodes"]}
        for edge in self.model["graph"]["edges"]:
            source, target = edge["source"], edge["target"]
            if seam["source"] in (source, group[source]) and seam["target"] in (
                target,
                group[target],
            ):
                return edge["value"]
        return None


def _names(nodes: list[Node]) -> list[str]:
    found: list[str] = []
    count: dict[str, int] = {}
    for node in nodes:
        number = count[node["label"]] = count.get(node["label"], 0) + 1
        found.append(node["label"] if number == 1 else f"{node['label']} {number}")
    return found


def _seams(model: Model, end: Literal["source", "target"]) -> dict[str, list[str]]:
    group = {node["id"]: node["group"] for node in model["graph"]["nodes"]}
    found: dict[str, list[str]] = {}
    for seam in model["seams"]:
        found.setdefault(group.get(seam[end]) or seam[end], []).append(seam["code"])
    return found


def _saved(model: Model) -> dict[str, int]:
    groups = {node["value"]: node["group"] for node in model["graph"]["nodes"] if node["group"]}
    found: dict[str, int] = {}
    for row in model["ledger"]["rows"]:
        group = groups.get(row["value"]) if row["value"] is not None else None
        if group is not None:
            found[group] = found.get(group, 0) + max(row["eager"] - row["fused"], 0)
    return found
