"""Why not: every seam with its checks, its price and what would save it; refusals; pairs."""

from __future__ import annotations

import dataclasses
from html import escape

from fusekit.viz.model.schema import Declined, Model, Pair, Seam, SeamCheck
from fusekit.viz.tables import cell, head, table
from fusekit.viz.words import (
    bytes_text,
    change_text,
    end_name,
    plural,
    seconds_text,
    verified,
    visible,
)

__all__ = ["SeamCards", "card_html", "why_headline", "why_html"]


def why_headline(model: Model) -> str:
    """What the section of seams and refusals holds, in a few words."""
    parts = []
    if model["seams"]:
        price = bytes_text(sum(seam["bytes"] for seam in model["seams"]))
        parts.append(f"{plural(len(model['seams']), 'seam')}, {price} through memory")
    if model["declined"]:
        operators = sum(bool(item["op"]) for item in model["declined"])  # else it is all of it
        left = plural(operators, "operator") if operators else "the function"
        parts.append(f"{left} left to PyTorch")
    return " · ".join(parts) or "everything fused"


def why_html(model: Model, bytes_per_second: float | None = None) -> str:
    """Seams with their cards, what PyTorch runs, rejected pairs; "" when everything fused.

    With the copy bandwidth of this machine, prices have a time.
    """
    parts = []
    if model["seams"]:
        heads = ["seam", "code", "why", "price", "smallest change"]
        rate = bytes_per_second
        rows = [_row(model, seam, rate) + _card(model, seam, len(heads)) for seam in model["seams"]]
        parts.append(table("fk-seams", heads, rows))
        if rate:
            parts.append(f'<p class="fk-note fk-rate">{escape(_RATE.format(rate / 1e9))}</p>')
    if model["declined"]:
        heads = ["left to PyTorch", "code", "why", "line", "what to do"]
        parts.append(table("fk-declined", heads, [_declined(item) for item in model["declined"]]))
    return "".join(parts) + _pairs(model)


_RATE = (
    "Times are those of a seam's bytes at this machine's measured copy bandwidth, {:.3g} GB a "
    "second; what a launch takes comes on top."
)


def _row(model: Model, seam: Seam, rate: float | None) -> str:
    ends = f"{end_name(model, seam['source'])} → {end_name(model, seam['target'])}"
    price = f"{bytes_text(seam['bytes'])}, {plural(seam['launches'], 'launch')}"
    time = f'<p class="fk-note">{_time(seam, rate)}</p>' if rate else ""
    values = _values(model, seam)
    linked = f' data-v="{" ".join(values)}"' if values else ""
    if seam["line"] is not None:
        linked += f' data-l="{seam["line"]}"'
    return (
        f"<tr{linked}>{head(ends)}{cell(seam['code'], 'fk-id')}{_why(seam)}"
        f'<td class="fk-num-cell">{price}{time}</td>{_change(seam)}</tr>'
    )


def _time(seam: Seam, rate: float) -> str:
    """`about 3.2 µs`."""
    return f"about {seconds_text(seam['bytes'] / rate)}"


def _why(seam: Seam) -> str:
    """The reason, and the user's line."""
    where = "" if seam["line"] is None else f'<p class="fk-note">line {seam["line"]}</p>'
    return f"<td>{escape(visible(seam['sentence']))}{where}</td>"


def _values(model: Model, seam: Seam) -> list[str]:
    """The tensors that a seam's row stands for: what crosses, and what is made of it."""
    ends = {*seam["nodes"], seam["source"], seam["target"]}
    found = [str(n["value"]) for n in model["graph"]["nodes"] if n["id"] in ends]
    return list(dict.fromkeys(([] if seam["value"] is None else [str(seam["value"])]) + found))


def _change(seam: Seam) -> str:
    found = seam["remedy"]
    if found is not None:
        said = f'<p class="fk-verified">verified: {escape(verified(seam))}</p>'
        return f"<td>{escape(visible(found['text']))}{said}</td>"
    if seam["tried"] is None and seam["hint"]:
        return cell(seam["hint"])
    hint = f'<p class="fk-note">{escape(visible(seam["hint"]))}</p>' if seam["hint"] else ""
    return f"<td>{escape(change_text(seam))}{hint}</td>"


def _card(model: Model, seam: Seam, columns: int) -> str:
    """The card, under the row."""
    if not seam["checks"]:
        return ""
    failing = sum(not check["holds"] for check in seam["checks"])
    said = f"{plural(len(seam['checks']), 'check')}, {failing} in the way"
    row = f'<tr class="fk-card"><td colspan="{columns}">'
    return f"{row}{_folded(model, seam, said)}</td></tr>"


def card_html(model: Model, seam: Seam) -> str:
    """A seam's checks and price, folded behind its reason."""
    said = f"{visible(seam['code'])}: {visible(seam['sentence'])}"
    change = f"<p>Smallest change: {escape(change_text(seam))}.</p>"
    return f'<div class="fk-card">{_folded(model, seam, said, change)}</div>'


def _folded(model: Model, seam: Seam, said: str, more: str = "") -> str:
    """The checks in the order in which they are made, and the price."""
    lines = "".join(f"<li>{_check(check)}</li>" for check in seam["checks"])
    return (
        f'<details><summary>{escape(said)}</summary><ol class="fk-checks">{lines}</ol>'
        f"<p>{escape(_price(model, seam))}</p>{more}</details>"
    )


def _check(check: SeamCheck) -> str:
    code = f'<span class="fk-id">{escape(visible(check["code"]))}</span>'
    operands = escape(visible(check["operands"]))
    if check["holds"]:
        return f"{code} does not apply: {operands}"
    return f"{code} <b>applies</b>: {operands} · {escape(visible(check['sentence']))}"


def _price(model: Model, seam: Seam) -> str:
    half = bytes_text(seam["bytes"] // 2)
    ends = [end_name(model, end) for end in (seam["source"], seam["target"])]
    price = f"{ends[0]} writes {half}, {ends[1]} reads {half}, {plural(seam['launches'], 'launch')}"
    tried = seam["tried"]
    if seam["remedy"] is None and tried is not None:
        return f"Price: {price}. {plural(tried, 'change')} tried, none saves it."
    return f"Price: {price}."


def _declined(item: Declined) -> str:
    detail = f" ({item['detail']})" if item["detail"] else ""
    line = "" if item["line"] is None else str(item["line"])
    linked = f' data-l="{line}"' if line else ""
    return (
        f"<tr{linked}>{head(item['op'] or 'the function')}{cell(item['code'], 'fk-id')}"
        f"{cell(item['reason'] + detail)}{cell(line, 'fk-num-cell')}{cell(item['hint'])}</tr>"
    )


def _pairs(model: Model) -> str:
    """Every pair of steps that stay two, alike ones together."""
    pairs = model["pairs"]
    shown = pairs["rows"][:_MOST_PAIRS]
    if not shown:
        return ""
    rows = [
        f"<tr>{head(', '.join(pair['examples']) + _more(pair))}{cell(pair['code'], 'fk-id')}"
        f"{cell(pair['sentence'])}{cell(pair['detail'])}"
        f"{cell(str(pair['count']), 'fk-num-cell')}</tr>"
        for pair in shown
    ]
    left = pairs["total"] - sum(pair["count"] for pair in shown)
    note = f'<p class="fk-note">and {plural(left, "more pair")}</p>' if left else ""
    heads = ["steps", "code", "why two", "operands", "pairs"]
    said = f"All {plural(pairs['total'], 'pair')} of steps that stay two"
    if pairs["total"] == 1:
        said = "The one pair of steps that stays two"
    body = table("fk-pairs fk-sortable", heads, rows)
    return f'<details class="fk-fold"><summary>{said}</summary>{body}{note}</details>'


_MOST_PAIRS = 60


def _more(pair: Pair) -> str:
    left = pair["count"] - len(pair["examples"])
    return f" and {left} more" if left else ""


@dataclasses.dataclass(frozen=True)
class SeamCards:
    """The seams of a view, to read and to compute with.

    Attributes:
        model: the view's.
        bytes_per_second: copy bandwidth of this machine, if it was measured: then prices have a
            time as well, bytes over bandwidth, which leaves out what a launch takes.
    """

    model: Model
    bytes_per_second: float | None = None

    def __len__(self) -> int:
        return len(self.model["seams"])

    def seconds(self, seam: Seam) -> float | None:
        """What a seam's bytes take at that bandwidth; None if it was not measured."""
        return seam["bytes"] / self.bytes_per_second if self.bytes_per_second else None

    def to_dict(self) -> dict[str, object]:
        """All of it as values that JSON has."""
        seams = [{**seam, "seconds": self.seconds(seam)} for seam in self.model["seams"]]
        return {"seams": seams, "pairs": self.model["pairs"]}

    def __str__(self) -> str:
        """Each seam with its checks, its price and the smallest change."""
        return "\n".join(self._lines()) or "no seams"

    __repr__ = __str__

    def _lines(self) -> list[str]:
        lines = []
        for seam in self.model["seams"]:
            ends = " -> ".join(end_name(self.model, e) for e in (seam["source"], seam["target"]))
            where = "" if seam["line"] is None else f", line {seam['line']}"
            lines.append(f"[{visible(seam['code'])}] {ends}{where}: {visible(seam['sentence'])}")
            for check in seam["checks"]:
                mark = "does not apply" if check["holds"] else "applies"
                lines.append(f"    {visible(check['code'])} {mark}: {visible(check['operands'])}")
            rate = self.bytes_per_second
            time = f", {_time(seam, rate)}" if rate else ""
            launches = plural(seam["launches"], "launch")
            lines.append(f"    price: {bytes_text(seam['bytes'])}, {launches}{time}")
            lines.append(f"    change: {change_text(seam)}")
        return lines
