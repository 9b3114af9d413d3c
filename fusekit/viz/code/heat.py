"""What each of the user's lines costs: bytes through memory, and instructions of the machine."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator

from fusekit.viz.code.source import values_by_line
from fusekit.viz.model.schema import Model, Node, Source
from fusekit.viz.words import bytes_text, visible

__all__ = ["Heat", "heat_html"]

_ASSEMBLY = ("asm", "sass", "ptx")
"""Whose instructions are counted: the first of them that the view holds."""


@dataclasses.dataclass(frozen=True)
class Heat:
    """Two figures for each line of the user's function, to read and to compute with.

    Attributes:
        model: the view's.
        nodes: value -> bytes that what makes it moves through memory, as the call runs.
        bytes: line of the user's file -> the sum of these for its operators. A tensor's bytes are
            those of the ledger, in equal parts to the operator that writes it and to the first in
            each kernel that reads it; so all lines together have the ledger's sum.
        instructions: line -> how many lines of the kernels' assembly come from it; one that comes
            from two lines counts for both.
        counted: lines of assembly that come from any line of the user's.
    """

    model: Model
    nodes: dict[int, int]
    bytes: dict[int, int]
    instructions: dict[int, int]
    counted: int

    @classmethod
    def of(cls, model: Model) -> Heat:
        """From what the model holds; nothing is measured."""
        nodes = _moved(model)
        lines = {n["value"]: n["line"] for n in model["graph"]["nodes"] if _computes(n)}
        by_line: Counter[int] = Counter()
        for value, moved in nodes.items():
            if (line := lines.get(value)) is not None:
                by_line[line] += moved
        instructions, counted = _instructions(model, lines)
        return cls(model, nodes, dict(by_line), instructions, counted)

    def to_dict(self) -> dict[str, object]:
        """The figures by line, as values that JSON has."""
        rows = [
            {"line": n, "bytes": self.bytes.get(n, 0), "instructions": self.instructions.get(n, 0)}
            for n in sorted({*self.bytes, *self.instructions})
        ]
        return {"name": self.model["name"], "lines": rows, "counted": self.counted}

    def __str__(self) -> str:
        """The function with two columns before it."""
        user = self.model["user"]
        rows = [f"{'bytes':>9}  {'instr.':>6}"]
        for number, text in enumerate(user["text"].rstrip("\n").split("\n"), start=user["first"]):
            moved = bytes_text(self.bytes[number]) if self.bytes.get(number) else ""
            count = self.instructions.get(number) or ""
            rows.append(f"{moved:>9}  {count:>6}  {number:>4}  {visible(text)}".rstrip())
        return "\n".join(rows)

    __repr__ = __str__


def heat_html(model: Model) -> str:
    """The figures for the page's script, in elements that show nothing."""
    heat = Heat.of(model)
    if not heat.nodes:
        return ""
    kept = f'<span class="fk-heat" data-n="{_pairs(heat.nodes)}" data-b="{_pairs(heat.bytes)}">'
    found = f'<span class="fk-counts" data-n="{heat.counted}" data-i="{_pairs(heat.instructions)}">'
    # Another processor takes other instructions.
    return f'{kept}</span><div class="fk-measured">{found}</span></div><!--fk-measured-->'


def _pairs(figures: dict[int, int]) -> str:
    return " ".join(f"{key}:{figure}" for key, figure in sorted(figures.items()) if figure)


def _computes(node: Node) -> bool:
    return node["kind"] in ("op", "opaque")


def _moved(model: Model) -> dict[int, int]:
    """Value -> bytes: each tensor's traffic, given to the operators that move it."""
    movers = _movers(model)
    found: Counter[int] = Counter()
    for row in model["ledger"]["rows"]:
        moving = movers.get(row["value"], []) if row["value"] is not None else []
        for mover in moving:
            found[mover] += row["fused"] // len(moving)
    return {value: moved for value, moved in found.items() if moved}


def _movers(model: Model) -> dict[int, list[int]]:
    """Value -> the values of the operators that write it and that are the first to read it."""
    nodes = {node["id"]: node for node in model["graph"]["nodes"]}
    order = {name: index for index, name in enumerate(nodes)}
    movers: dict[int, list[int]] = {}
    seen: set[tuple[str, int]] = set()
    for edge in sorted(model["graph"]["edges"], key=lambda edge: order[edge["target"]]):
        source, target = nodes[edge["source"]], nodes[edge["target"]]
        inside = source["group"] is not None and source["group"] == target["group"]
        for end in () if inside else (source, target):
            step = end["group"] or end["id"], edge["value"]
            if _computes(end) and step not in seen:
                seen.add(step)
                movers.setdefault(edge["value"], []).append(end["value"])
    return movers


def _instructions(model: Model, lines: dict[int, int | None]) -> tuple[dict[int, int], int]:
    """The user's line -> lines of assembly that come from it; and how many come from any."""
    found: Counter[int] = Counter()
    counted = 0
    for source in _assembly(model):
        for values in values_by_line(source).values():
            theirs = {lines.get(int(value)) for value in values} - {None}
            found.update(line for line in theirs if line is not None)
            counted += bool(theirs)
    return dict(found), counted


def _assembly(model: Model) -> Iterator[Source]:
    """What runs, in the language of the machine."""
    engines = {group["id"]: group["engine"] for group in model["groups"]}
    own = [s for s in model["sources"] if s["group"] and s["engine"] == engines[s["group"]]]
    held = {source["language"] for source in own}
    language = next((name for name in _ASSEMBLY if name in held), None)
    return (source for source in own if source["language"] == language)
