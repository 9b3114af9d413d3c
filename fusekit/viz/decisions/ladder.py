"""The ladder as a section and as an object: each decision of the partition and what it saves."""

from __future__ import annotations

import dataclasses
from html import escape

from fusekit.viz.model.schema import Model, Node, Rung
from fusekit.viz.palette import group_class
from fusekit.viz.tables import cell, table
from fusekit.viz.words import bytes_text, plural, visible

__all__ = ["Ladder", "ladder_headline", "ladder_html"]

_MOST_CHIPS = 60
"""More operators than these are no small picture."""

_FRAMES = 6


def ladder_headline(model: Model) -> str:
    """`5 steps from 7 launches to 3`."""
    rungs = model["ladder"]
    if not rungs:
        return ""
    launches = f"{plural(rungs[0]['launches'], 'launch')} to {rungs[-1]['launches']}"
    return f"{plural(len(rungs) - 1, 'step')}, from {launches}"


def ladder_html(model: Model) -> str:
    """Key frames and the table of all steps; "" when nothing was decided."""
    rungs = model["ladder"]
    if len(rungs) < 2:
        return ""
    rows = [_row(rungs, number) for number in range(len(rungs))]
    heads = ["step", "decision", "launches", "bytes", "saves", "of eager's bytes"]
    return _frames(model) + table("fk-rungs", heads, rows)


def _saved(rungs: list[Rung]) -> list[int]:
    """Bytes that each step saves, the first none."""
    before = [rungs[0], *rungs]
    return [early["bytes"] - late["bytes"] for early, late in zip(before, rungs, strict=False)]


def _row(rungs: list[Rung], number: int) -> str:
    rung, saved = rungs[number], _saved(rungs)[number]
    share = f"{100 * saved / rungs[0]['bytes']:.0f} %" if rungs[0]["bytes"] else ""
    gain = f"{bytes_text(saved)} ({share})" if number else ""
    joins = ",".join(" ".join(pair) for pair in rung["joins"])
    start = 100 * (rungs[0]["bytes"] - max(rung["bytes"] + saved, rung["bytes"]))
    offset = start / rungs[0]["bytes"] if rungs[0]["bytes"] else 0
    return (
        f'<tr data-step="{number}" data-j="{escape(joins)}"><th scope="row">{number}</th>'
        f"{cell(rung['text'])}{cell(str(rung['launches']), 'fk-num-cell')}"
        f"{cell(bytes_text(rung['bytes']), 'fk-num-cell')}{cell(gain, 'fk-num-cell')}"
        '<td class="fk-bar-cell" style="width:26%">'
        f"{_bar(rungs[0]['bytes'], offset, saved)}</td></tr>"
    )


def _bar(whole: int, offset: float, saved: int) -> str:
    """A piece of the waterfall: where the bytes of before begin to be saved, and how many are."""
    if not saved or not whole:
        return ""
    colour, cls = ("#187336", "fk-gain") if saved > 0 else ("#c21f2c", "fk-loss")
    width = 100 * abs(saved) / whole
    gap = f'<span style="display:inline-block;width:{max(offset, 0):.1f}%"></span>'
    style = f"display:inline-block;height:8px;width:{width:.1f}%;background:{colour}"
    return f'{gap}<span class="{cls}" style="{style}"></span>'


# frames


def _frames(model: Model) -> str:
    """At most six moments: operators in their order, each in the kernel that it is in then."""
    nodes = [n for n in model["graph"]["nodes"] if n["kind"] in ("op", "opaque")]
    if not 1 < len(nodes) <= _MOST_CHIPS:
        return ""
    rungs = model["ladder"]
    picked = _key_steps(rungs)
    frames = "".join(_frame(model, nodes, number) for number in picked)
    return f'<div class="fk-frames">{frames}</div>'


def _key_steps(rungs: list[Rung]) -> list[int]:
    """The first, the last, and those that save most."""
    saved = _saved(rungs)
    inner = sorted(range(1, len(rungs) - 1), key=lambda i: (-saved[i], i))[: _FRAMES - 2]
    return sorted({0, len(rungs) - 1, *inner})


def _frame(model: Model, nodes: list[Node], number: int) -> str:
    rungs = model["ladder"]
    kernel = _kernels(model, nodes, number)
    order = {group["id"]: index for index, group in enumerate(model["groups"])}
    # The first is what a script goes on with, in place of the others.
    chips = " ".join(_chip(node, order, kernel[node["id"]], linked=not number) for node in nodes)
    rung = rungs[number]
    launches = plural(rung["launches"], "launch")
    said = escape(f"step {number}: {launches}, {bytes_text(rung['bytes'])}")
    return f'<div class="fk-frame" data-step="{number}"><p class="fk-note">{said}</p>{chips}</div>'


def _chip(node: Node, order: dict[str, int], kernel: int, *, linked: bool) -> str:
    label, value = escape(visible(node["label"])), node["value"]
    if node["group"] is None:
        links = f' data-v="{value}"' if linked else ""
        style = "border:1px dashed #87919d;padding:0 5px"
        return f'<span class="fk-chip-op" style="{style}"{links}>{label}</span>'
    index = order[node["group"]]
    links = f' data-n="{escape(node["id"])}" data-g="{index}" data-v="{value}"' if linked else ""
    style = "border:1px solid #87919d;padding:0 5px"
    cls = f"fk-chip-op {group_class(index)}" if linked else "fk-chip-op"
    return f'<span class="{cls}" style="{style}"{links}>{label} <b>{kernel}</b></span>'


def _kernels(model: Model, nodes: list[Node], number: int) -> dict[str, int]:
    """Operator -> the number of its kernel after so many steps; 0 for what PyTorch runs."""
    head = {node["id"]: node["id"] for node in nodes if node["group"] is not None}

    def find(name: str) -> str:
        while head[name] != name:
            name = head[name]
        return name

    last = len(model["ladder"]) - 1
    pairs = [pair for rung in model["ladder"][: number + 1] for pair in rung["joins"]]
    if number == last:
        pairs += [[group["nodes"][0], node] for group in model["groups"] for node in group["nodes"]]
    for one, other in pairs:
        if one in head and other in head:
            head[find(other)] = find(one)
    numbers: dict[str, int] = {}
    for name in head:
        numbers.setdefault(find(name), len(numbers) + 1)
    return {node["id"]: numbers[find(node["id"])] if node["id"] in head else 0 for node in nodes}


@dataclasses.dataclass(frozen=True)
class Ladder:
    """The steps from eager to the final plan, to read and to compute with."""

    model: Model

    def __len__(self) -> int:
        return len(self.model["ladder"])

    def to_dict(self) -> dict[str, object]:
        """All of it as values that JSON has; `saved` is each step's own."""
        rungs = self.model["ladder"]
        saved = _saved(rungs) if rungs else []
        steps = [{**rung, "saved": gain} for rung, gain in zip(rungs, saved, strict=True)]
        return {"name": self.model["name"], "steps": steps}

    def __str__(self) -> str:
        """One line for each step: number, launches, bytes, what it saves, what was decided."""
        rungs = self.model["ladder"]
        if not rungs:
            return "no steps: nothing was fused"
        rows = enumerate(zip(rungs, _saved(rungs), strict=True))
        return "\n".join(_line(number, rung, saved) for number, (rung, saved) in rows)

    __repr__ = __str__


def _line(number: int, rung: Rung, saved: int) -> str:
    gain = f"-{bytes_text(saved)}" if saved > 0 else ""
    launches, moved = plural(rung["launches"], "launch"), bytes_text(rung["bytes"])
    return f"{number:>3}  {launches:>12}  {moved:>9}  {gain:>10}  {visible(rung['text'])}"
