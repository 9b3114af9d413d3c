"""The graph in words: a sentence for each input, group, operator, seam and output, nested.

The static page holds it as a list, which is all of the picture for those who do not see it; keys
walk the same list, and speak its sentences. So what is heard and what is read cannot differ.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from html import escape

from fusekit.viz.model.schema import Model, Node
from fusekit.viz.outline.relations import Relations
from fusekit.viz.outline.sentences import (
    group_sentence,
    landmark_sentence,
    node_sentence,
    seam_sentence,
)
from fusekit.viz.words import visible

__all__ = ["LIMIT", "Entry", "outline", "outline_html", "outline_text"]

LIMIT = 1000
"""Operators in an outline; of the rest, it is said that they are there."""


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One line of the outline.

    Attributes:
        key: unique in the outline: "n5" for the node with that index, "g0", "s1", or a landmark.
        kind: the node's kind, or "group", "seam", "mark" (a landmark).
        sentence: what is said of it, in one line.
        title: the operator in full, or the kernel's symbol; "" for what has neither.
        links: further attributes for the page: names without "data-", and their texts.
        below: the entries in it.
    """

    key: str
    kind: str
    sentence: str
    title: str = ""
    links: tuple[tuple[str, str], ...] = ()
    below: tuple[Entry, ...] = ()


def outline(model: Model, *, limit: int = LIMIT) -> tuple[Entry, ...]:
    """The landmarks: inputs, what runs in order, seams, outputs; () for an empty graph."""
    if not model["graph"]["nodes"]:
        return ()
    return _Outline(model, limit).landmarks()


def outline_html(model: Model, *, limit: int = LIMIT) -> str:
    """The outline as a nested `<ol>` in a fold; "" for an empty graph."""
    entries = outline(model, limit=limit)
    if not entries:
        return ""
    return (
        '<details class="fk-outline"><summary>Outline of the graph</summary>'
        f"{_list(entries)}</details>"
    )


def outline_text(model: Model, *, limit: int = LIMIT) -> str:
    """The outline as indented lines of text."""
    return "".join(f"{line}\n" for line in _lines(outline(model, limit=limit), ""))


def _lines(entries: Sequence[Entry], indent: str) -> Iterator[str]:
    for number, entry in enumerate(entries, start=1):
        yield f"{indent}{number}. {entry.sentence}"
        yield from _lines(entry.below, indent + "   ")


def _list(entries: Sequence[Entry]) -> str:
    items = (f"<li>{_item(entry)}{_list(entry.below)}</li>" for entry in entries)
    return f"<ol>{''.join(items)}</ol>" if entries else ""


def _item(entry: Entry) -> str:
    links = (("i", entry.key), ("k", entry.kind), *entry.links)
    marks = "".join(f' data-{name}="{escape(text)}"' for name, text in links if text)
    title = f' title="{escape(entry.title)}"' if entry.title else ""
    return f'<span class="fk-o"{marks}{title}>{escape(entry.sentence)}</span>'


class _Outline:
    """Makes the entries of one model."""

    def __init__(self, model: Model, limit: int) -> None:
        self.model = model
        self.limit = limit
        self.nodes = model["graph"]["nodes"]
        self.relations = Relations(model)

    def landmarks(self) -> tuple[Entry, ...]:
        parts = {
            "inputs": tuple(self._nodes("input", "scalar")),
            "groups": tuple(self._steps()),
            "seams": tuple(self._seams()),
            "outputs": tuple(self._nodes("output")),
        }
        return tuple(
            Entry(name, "mark", landmark_sentence(self.model, name, self.limit), below=below)
            for name, below in parts.items()
        )

    def _nodes(self, *kinds: str) -> Iterator[Entry]:
        for index, node in enumerate(self.nodes):
            if node["kind"] in kinds:
                yield self._node(index, node)

    def _steps(self) -> Iterator[Entry]:
        """Groups and what PyTorch runs, in the order in which they first compute something."""
        done: set[str] = set()
        shown = [i for i, n in enumerate(self.nodes) if n["kind"] in ("op", "opaque")][: self.limit]
        members: dict[str, list[int]] = {}
        for index in shown:
            group = self.nodes[index]["group"]
            if group is not None:
                members.setdefault(group, []).append(index)
        for index in shown:
            group = self.nodes[index]["group"]
            if group is None:
                yield self._node(index, self.nodes[index])
            elif group not in done:
                done.add(group)
                yield self._group(self.relations.order[group], members[group])

    def _group(self, index: int, members: Sequence[int]) -> Entry:
        return Entry(
            f"g{index}",
            "group",
            group_sentence(self.relations, index),
            visible(self.model["groups"][index]["symbol"]),
            (("g", str(index)),),
            tuple(self._node(i, self.nodes[i]) for i in members),
        )

    def _node(self, index: int, node: Node) -> Entry:
        relations = self.relations
        declined = relations.declined(node)
        links = (
            ("v", str(node["value"])),
            ("l", "" if node["line"] is None else str(node["line"])),
            ("g", "" if node["group"] is None else str(relations.order[node["group"]])),
            ("r", " ".join(str(i) for i in relations.reads[index])),
            ("d", "" if declined is None else str(declined)),
        )
        sentence = node_sentence(relations, index)
        return Entry(f"n{index}", node["kind"], sentence, visible(node["op"]), links)

    def _seams(self) -> Iterator[Entry]:
        for number, seam in enumerate(self.model["seams"]):
            ends = (self.relations.key(seam["source"]), self.relations.key(seam["target"]))
            value = self.relations.crossing(seam)
            links = (("v", "" if value is None else str(value)), ("e", " ".join(ends)))
            yield Entry(f"s{number}", "seam", seam_sentence(self.model, number), links=links)
