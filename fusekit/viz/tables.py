"""The tables of a view: groups and the byte ledger."""

from __future__ import annotations

from html import escape

from fusekit.viz.model.schema import LedgerRow, Model
from fusekit.viz.palette import group_class
from fusekit.viz.words import bytes_text, plural, tensor_text, visible

__all__ = ["cell", "groups_html", "head", "ledger_headline", "ledger_html", "table"]

_FIRST = 8
"""Groups that are listed at once; the rest is folded, unless that is a row or two."""


def table(cls: str, heads: list[str], rows: list[str], *, foot: str = "", caption: str = "") -> str:
    """A `<table>` from escaped pieces; the first cell of each row is its header."""
    columns = "".join(f'<th scope="col">{head}</th>' for head in heads)
    tail = f"<tfoot>{foot}</tfoot>" if foot else ""
    title = f"<caption>{caption}</caption>" if caption else ""
    return (
        f'<div class="fk-scroll"><table class="fk-table {cls}">{title}'
        f"<thead><tr>{columns}</tr></thead><tbody>{''.join(rows)}</tbody>{tail}</table></div>"
    )


def cell(text: str, cls: str = "") -> str:
    """A `<td>` with escaped text."""
    name = f' class="{cls}"' if cls else ""
    return f"<td{name}>{escape(visible(text))}</td>"


def head(text: str) -> str:
    """A row's header with escaped text."""
    return f'<th scope="row">{escape(visible(text))}</th>'


def groups_html(model: Model) -> str:
    """One row for each kernel: what the picture shows, for those who do not see it.

    Of many, those after the first few are behind a fold, which needs no script.
    """
    rows = []
    for index, group in enumerate(model["groups"]):
        rows.append(
            f'<tr data-g="{index}" class="{group_class(index)}">{head(group["name"])}'
            f"{cell(group['engine'])}{cell(str(group['ops']), 'fk-num-cell')}"
            f"{cell(bytes_text(group['in_bytes']), 'fk-num-cell')}"
            f"{cell(bytes_text(group['out_bytes']), 'fk-num-cell')}"
            f"{cell(group['symbol'], 'fk-mono')}</tr>"
        )
    heads = ["group", "engine", "ops", "reads", "writes", "kernel"]
    if len(rows) <= _FIRST + 2:
        return table("fk-groups", heads, rows) if rows else ""
    said = f"{plural(len(rows) - _FIRST, 'more group')}, of {len(rows)}"
    rest = table("fk-groups fk-cut", heads, rows[_FIRST:])
    return (
        f"{table('fk-groups fk-cut', heads, rows[:_FIRST])}"
        f'<details class="fk-more"><summary>{said}</summary>{rest}</details>'
    )


def ledger_headline(model: Model) -> str:
    """`eager 312 MiB → fused 88 MiB · floor 88 MiB`."""
    ledger = model["ledger"]
    return (
        f"eager {bytes_text(ledger['eager'])} → fused {bytes_text(ledger['fused'])} · "
        f"floor {bytes_text(ledger['floor'])}"
    )


def ledger_html(model: Model) -> str:
    """Every tensor's traffic; "" without rows. What fusion removed is struck out."""
    ledger = model["ledger"]
    if not ledger["rows"]:
        return ""
    most = max(row["eager"] for row in ledger["rows"]) or 1
    rows = [_ledger_row(row, most) for row in ledger["rows"]]
    foot = (
        f'<tr><th scope="row">total</th><td></td>'
        f"{cell(bytes_text(ledger['eager']), 'fk-num-cell')}"
        f"{cell(bytes_text(ledger['fused']), 'fk-num-cell')}"
        f"<td>floor {bytes_text(ledger['floor'])}: inputs and outputs, once</td></tr>"
    )
    heads = ["tensor", "type", "eager", "fused", "to scale"]
    return table("fk-ledger", heads, rows, foot=foot)


def _ledger_row(row: LedgerRow, most: int) -> str:
    name = escape(visible(row["name"]))
    name = f"<s>{name}</s>" if row["removed"] else name
    linked = "" if row["value"] is None else f' data-v="{row["value"]}"'
    fused = "removed" if row["removed"] else bytes_text(row["fused"])
    cls = ' class="fk-removed"' if row["removed"] else ""
    return (
        f'<tr{linked}{cls}><th scope="row">{name}</th>{cell(tensor_text(row), "fk-mono")}'
        f"{cell(bytes_text(row['eager']), 'fk-num-cell')}{cell(fused, 'fk-num-cell')}"
        f'<td class="fk-bar-cell" style="width:32%">{_bars(row, most)}</td></tr>'
    )


def _bars(row: LedgerRow, most: int) -> str:
    kept, gone = min(row["fused"], row["eager"]), max(row["eager"] - row["fused"], 0)
    widths = (100 * kept / most, 100 * gone / most)
    colours = ("#3d7fb5", "#c9cfd6")
    return "".join(
        f'<span class="{cls}" style="display:inline-block;height:8px;background:{colour};'
        f'width:{width:.1f}%"></span>'
        for cls, colour, width in zip(("fk-kept", "fk-gone"), colours, widths, strict=True)
        if width
    )
