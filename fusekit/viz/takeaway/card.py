"""A card: one picture and one Markdown text that say what a view says, to paste into an issue."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from fusekit.viz.model.carried import packed
from fusekit.viz.model.schema import Model
from fusekit.viz.picture.draw import data_uri
from fusekit.viz.picture.graph import graph_svg
from fusekit.viz.picture.scene import Scene, scene
from fusekit.viz.tables import ledger_headline
from fusekit.viz.takeaway.reproducer import reproducer
from fusekit.viz.text import headline
from fusekit.viz.words import (
    advice_text,
    bytes_text,
    end_name,
    plural,
    ratio_text,
    seconds_text,
    summary,
    visible,
)

__all__ = ["Card", "card", "markdown", "mermaid"]


@dataclasses.dataclass(frozen=True, slots=True)
class Card:
    """A picture and a text.

    Attributes:
        svg: the graph, in light colours; "" where no Graphviz is to be had.
        markdown: headline, Mermaid graph (GitHub draws it), seams, bytes, times and what they were
            measured on, a program that shows it again, and the model in a comment.
        headline: the view's own.
    """

    svg: str
    markdown: str
    headline: str

    def __repr__(self) -> str:
        return f"Card of {self.headline}"

    def __str__(self) -> str:
        return self.markdown

    def _repr_markdown_(self) -> str:
        return self.markdown

    def save(self, path: str | Path) -> list[Path]:
        """Write `path`.md, and `path`.svg where there is a picture; return what was written."""
        stem = Path(path)
        written = [stem.with_suffix(".md")]
        written[0].write_text(self.markdown, encoding="utf-8", newline="\n")
        if self.svg:
            written.append(stem.with_suffix(".svg"))
            written[1].write_text(self.svg, encoding="utf-8", newline="\n")
        return written

    @property
    def uri(self) -> str:
        """The picture as an address for `<img src>`."""
        return data_uri(self.svg)


def card(model: Model) -> Card:
    """Make the card of `model`."""
    return Card(graph_svg(model, theme="light"), markdown(model), headline(model))


def markdown(model: Model) -> str:
    """The card's text; it ends with the model itself, in a comment that `fusekit.load` reads."""
    parts = [
        f"### {_plain(model['title'])}",
        f"{_plain(summary(model))}",
        _fenced(mermaid(model), "mermaid"),
    ]
    if model["seams"]:
        rows = [
            [
                f"{end_name(model, seam['source'])} → {end_name(model, seam['target'])}",
                seam["code"],
                seam["sentence"],
                f"{bytes_text(seam['bytes'])}, {plural(seam['launches'], 'launch')}",
                advice_text(seam),
            ]
            for seam in model["seams"]
        ]
        parts.append(_table(["seam", "code", "why", "price", "smallest change"], rows))
    if model["declined"]:
        rows = [[i["op"], i["code"], i["reason"], i["hint"]] for i in model["declined"]]
        parts.append(_table(["left to PyTorch", "code", "why", "what to do"], rows))
    parts.append(f"Bytes: {_plain(ledger_headline(model))}.")
    parts += _measured(model)
    again = reproducer(model)
    if again:
        parts += ["To see it again (`python again.py`):", _fenced(again, "python")]
    elif model["user"]["text"]:
        lines = (visible(line) for line in model["user"]["text"].expandtabs().splitlines())
        parts.append(_fenced("\n".join(lines), "python"))
    parts.append(packed(model))
    return "\n\n".join(part for part in parts if part) + "\n"


def _measured(model: Model) -> list[str]:
    """Times, and what they were measured on."""
    timing, parts = model["timing"], []
    if timing:
        parts.append(f"Time: {_plain(timing['verdict'])} ({_plain(timing['method'])}).")
        rows = [
            [row["name"], row["device"], seconds_text(row["seconds"]), ratio_text(row["ratio"])]
            for row in timing["rows"]
        ]
        parts.append(_table(["", "device", "median", "as fast as the baseline"], rows))
    if model["machine"]:
        known = [f"{name} {text}" for name, text in model["machine"].items()]
        parts.append(f"Measured with {_plain('; '.join(known))}.")
    return parts


def _plain(text: str) -> str:
    """Text in which Markdown and HTML find nothing to do."""
    return re.sub(r"([\\`*_{}\[\]<>#|~!&@])", r"\\\1", visible(text))


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *([_plain(item) for item in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _fenced(text: str, language: str) -> str:
    """A code block whose fence is longer than any in the text."""
    if not text:
        return ""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def mermaid(model: Model) -> str:
    """The graph as Mermaid draws it; "" without nodes."""
    shown = scene(model, limit=60)
    return "\n".join(["flowchart TD", *_mermaid_lines(shown)]) if shown.boxes else ""


def _mermaid_lines(shown: Scene) -> list[str]:
    framed = {member: cluster.index for cluster in shown.clusters for member in cluster.members}
    lines: list[str] = []
    for cluster in shown.clusters:
        lines.append(f'  subgraph c{cluster.index}["{_quoted(cluster.label)}"]')
        lines += [f"    {_node(shown, member)}" for member in cluster.members]
        lines.append("  end")
    lines += [f"  {_node(shown, box.key)}" for box in shown.boxes if box.key not in framed]
    for wire in shown.wires:
        arrow = f'== "{_quoted(wire.code)}" ==>' if wire.code else "-->"
        lines.append(f"  {wire.tail} {arrow} {wire.head}")
    return lines


def _node(shown: Scene, key: str) -> str:
    box = next(item for item in shown.boxes if item.key == key)
    label = _quoted(f"{box.label} {box.detail}")
    return f'{key}(["{label}"])' if box.kind in ("input", "output") else f'{key}["{label}"]'


def _quoted(text: str) -> str:
    """A Mermaid string: entities for what could end it or become markup."""
    return re.sub(r"[^\w .,:·\-]", lambda m: f"#{ord(m[0])};", visible(text))
