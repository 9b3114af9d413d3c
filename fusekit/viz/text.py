"""A view as plain text, for terminals and logs: no escapes, no colours, no package needed."""

from __future__ import annotations

from fusekit.viz.measured.timing import timing_text
from fusekit.viz.model.schema import Model
from fusekit.viz.picture.graph import layers
from fusekit.viz.tables import ledger_headline
from fusekit.viz.words import (
    advice_text,
    bytes_text,
    end_name,
    plural,
    summary,
    tensor_text,
    visible,
)

__all__ = ["headline", "text"]


def headline(model: Model) -> str:
    """`FusionView(name)  2 groups · ...`: the repr, the same on every machine."""
    return f"FusionView({visible(model['name'])})  {summary(model)}"


def text(model: Model) -> str:
    """Everything but the generated sources."""
    sections = (
        ("groups", _groups(model)),
        ("graph", layers(model)),
        ("left to PyTorch", _declined(model)),
        ("seams", _seams(model)),
        ("bytes", _ledger(model)),
        ("time", timing_text(model)),
    )
    parts = [headline(model)]
    parts += [f"\n{title}\n{_indent(body)}" for title, body in sections if body]
    return "\n".join(parts) + "\n"


def _indent(body: str) -> str:
    return "\n".join(f"  {line}" for line in body.splitlines())


def _groups(model: Model) -> str:
    lines = []
    for group in model["groups"]:
        flow = f"reads {bytes_text(group['in_bytes'])}, writes {bytes_text(group['out_bytes'])}"
        head = f"{visible(group['name'])}  {visible(group['engine'])}  {visible(group['symbol'])}"
        lines.append(f"{head}  {plural(group['ops'], 'op')}  {flow}")
    return "\n".join(lines)


def _declined(model: Model) -> str:
    lines = []
    for item in model["declined"]:
        detail = f" ({item['detail']})" if item["detail"] else ""
        where = "" if item["line"] is None else f"  line {item['line']}"
        lines.append(
            f"[{visible(item['code'])}] {visible(item['op'] or 'the function')}: "
            f"{visible(item['reason'] + detail)}{where}"
        )
        lines += [f"    {visible(item['hint'])}"] if item["hint"] else []
    return "\n".join(lines)


def _seams(model: Model) -> str:
    lines = []
    for seam in model["seams"]:
        ends = f"{end_name(model, seam['source'])} -> {end_name(model, seam['target'])}"
        price = f"{bytes_text(seam['bytes'])}, {plural(seam['launches'], 'launch')}"
        lines.append(f"[{visible(seam['code'])}] {ends}: {visible(seam['sentence'])}; {price}")
        lines.append(f"    {advice_text(seam)}")
    return "\n".join(lines)


def _ledger(model: Model) -> str:
    rows = model["ledger"]["rows"]
    if not rows:
        return ""
    names = [visible(row["name"]) for row in rows]
    types = [visible(tensor_text(row)) for row in rows]
    wide, typed = max(map(len, names)), max(map(len, types))
    lines = [ledger_headline(model)]
    for row, name, kind in zip(rows, names, types, strict=True):
        fused = "removed" if row["removed"] else bytes_text(row["fused"])
        eager = bytes_text(row["eager"])
        lines.append(f"{name.ljust(wide)}  {kind.ljust(typed)}  {eager:>9} -> {fused:>9}")
    return "\n".join(lines)
