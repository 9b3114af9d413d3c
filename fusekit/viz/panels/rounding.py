"""The panel "Rounding": how far every intermediate is from float64, fused and eager."""

from __future__ import annotations

from html import escape

from fusekit.ir import DType
from fusekit.runtime.columns import figure, spelled
from fusekit.runtime.distances import BUCKETS, Distances
from fusekit.runtime.rounding import RoundedNode, Rounding
from fusekit.runtime.tracing import prepared
from fusekit.viz.numbers.bars import bars_svg
from fusekit.viz.numbers.links import Links
from fusekit.viz.panels.panel import Call, Fields, Panel, Progress
from fusekit.viz.tables import cell, head, table
from fusekit.viz.words import plural

__all__ = ["ROUNDING"]

_LIMITS = (1024, 16384, 65536, 1048576)
_USUAL = 65536

_ROUNDS = (
    "Fused kernels round each operator's result to its type, as eager does; "
    "only the option fast lets a compiler round elsewhere."
)


def _draw(call: Call, fields: Fields, progress: Progress) -> str:
    limit = int(fields.get("limit", _USUAL))
    every = fields.get("every") == "on"
    wanted = (call.fused, limit)
    if call.kept.get("of") != wanted or fields.get("again"):
        measured = call.fused.rounding(*call.args, limit=limit, step=progress.step, **call.kwargs)
        links = Links(prepared(call.fused, call.args, call.kwargs).program)
        call.kept.update(of=wanted, found=measured, links=links)
    found: Rounding = call.kept["found"]
    links = call.kept["links"]
    nodes = found.nodes if every else found.operators
    return "".join(
        (
            _form(limit, every=every),
            f'<p class="fk-verdict" aria-live="polite">{escape(found.sentence())}</p>',
            _overview(found, nodes, links),
            "".join(f'<p class="fk-note">{escape(text)}</p>' for text in _notes(found)),
            _details(nodes),
        )
    )


ROUNDING = Panel(
    "rounding", "Rounding", "every intermediate beside eager's and float64, in ulps", _draw
)


def _form(limit: int, *, every: bool) -> str:
    choices = "".join(
        f'<option value="{n}"{" selected" if n == limit else ""}>{n:,}</option>' for n in _LIMITS
    )
    return (
        '<div class="fk-asked">'
        f'<label>elements of each value, at most <select name="limit" data-now>{choices}</select>'
        f'</label><label><input type="checkbox" name="every" data-now{" checked" * every}> '
        "steps inside operators</label>"
        '<button name="again" value="1">measure again</button></div>'
    )


def _notes(found: Rounding) -> list[str]:
    checked = ", checked against the call's results" if found.faithful else ""
    return [
        (
            f"Compared: {found.scope()}. Fused: by kernels of {found.engine} that store what "
            f"those of the call keep in registers{checked}."
        ),
        f"Bars, from left to right: {', '.join(BUCKETS)} ulps.",
        _ROUNDS,
        *found.remarks()[1:],
    ]


def _overview(found: Rounding, nodes: tuple[RoundedNode, ...], links: Links) -> str:
    parting = found.parting()
    rows = []
    for node in nodes:
        cls = " fk-parting" if node is parting else ""
        name = f"{node.op} (PyTorch)" if node.kind == "call" else node.op
        name = f"{name} ← first to part" if node is parting else name
        rows.append(
            f'<tr class="fk-{node.kind}{cls}"{links.attribute(node.values)}>{head(name)}'
            f"{cell(str(node.loc.line) if node.loc else '', 'fk-num-cell')}{cell(node.dtype)}"
            f"{_distance(node.fused, 'fused', node)}{_distance(node.eager, 'eager', node)}"
            f"{cell('' if node.between is None else f'{node.between.differing:,}', 'fk-num-cell')}"
            f"{cell(_closer(node))}</tr>"
        )
    heads = ["operator", "line", "type", "fused: ulps from float64", "eager: ulps from float64"]
    return table("fk-rounding", [*heads, "differ", "closer"], rows)


def _distance(found: Distances | None, who: str, node: RoundedNode) -> str:
    if found is None:
        return "<td></td>"
    said = ", ".join(
        f"{name}: {count:,}" for name, count in zip(BUCKETS, found.histogram, strict=True) if count
    )
    bars = bars_svg(found.histogram, f"{who} {node.op}, ulps from float64: {said}", f"fk-{who}")
    text = f"worst {figure(found.worst)}, mean {figure(found.mean)}"
    return f'<td><span class="fk-with-bars">{bars}<span>{escape(text)}</span></span></td>'


def _closer(node: RoundedNode) -> str:
    if node.between is None or not node.between.differing:
        return "" if node.between is None else "the same"
    return f"fused {node.fused_is_closer:,}, eager {node.eager_is_closer:,}"


def _details(nodes: tuple[RoundedNode, ...]) -> str:
    """The pictures as numbers, and the element that is worst of each."""
    counts, worst = [], []
    for node in nodes:
        for who, found in (("fused", node.fused), ("eager", node.eager)):
            if found is None:
                continue
            numbers = "".join(cell(f"{n:,}" if n else "", "fk-num-cell") for n in found.histogram)
            counts.append(f"<tr>{head(f'{node.op}, {who}')}{numbers}</tr>")
            where = ", ".join(map(str, found.index))
            value = spelled(found.found, DType(node.dtype))
            worst.append(
                f"<tr>{head(f'{node.op}, {who}')}{cell(f'[{where}]', 'fk-mono')}"
                f"{cell(value, 'fk-num-cell')}{cell(str(found.wanted), 'fk-num-cell')}"
                f"{cell(figure(found.worst), 'fk-num-cell')}</tr>"
            )
    if not counts:
        return ""
    said = "elements by their distance from float64, in ulps"
    return (
        f"<details><summary>worst elements ({plural(len(worst), 'row')})</summary>"
        f"{table('fk-worst', ['value', 'element', 'is', 'float64', 'ulps'], worst)}</details>"
        "<details><summary>histograms as numbers</summary>"
        f"{table('fk-counts', ['value', *map(escape, BUCKETS)], counts, caption=said)}</details>"
    )
