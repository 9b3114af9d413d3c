"""The quiz as HTML: the questions, and the answers folded; a script makes the questions a form."""

from __future__ import annotations

import copy
import json
from html import escape

from fusekit.specs import Reason
from fusekit.viz.decisions.seams import card_html
from fusekit.viz.hydrator import shipped
from fusekit.viz.model.schema import Edge, Model, Node
from fusekit.viz.page import stylesheet
from fusekit.viz.palette import static
from fusekit.viz.picture.graph import picture
from fusekit.viz.quiz.quiz import CODES, NO_SEAM, SCHEMA, VERSION, Truth
from fusekit.viz.tables import cell, head, table
from fusekit.viz.words import plural, ratio_text, tensor_text, visible

__all__ = ["quiz_block", "quiz_page"]

_NOTE = "<span>predict the fusion, then reveal it</span>"
_SUMMARY = "<summary>Reveal the answers</summary>"
_ROOT = "border:1px solid #8886;border-radius:8px;padding:10px 14px;margin:4px 0"


def quiz_block(model: Model, truth: Truth, *, hydrate: bool = True) -> str:
    """The quiz as one piece of HTML; without `hydrate`, only what sanitizers keep."""
    data = escape(json.dumps(_data(model, truth), sort_keys=True))
    title = escape(visible(model["title"]))
    # a view's own script must leave this alone: it is marked as done
    parts = [
        f'<div class="fk-view fk-quiz" data-fk-ready="quiz" data-quiz="{data}" style="{_ROOT}">',
        f"<style>{stylesheet()}{static('quiz.css')}</style>" if hydrate else "",
        f'<div class="fk-top"><strong class="fk-name">{title}</strong> {_NOTE}</div>',
        f'<div class="fk-body">{_user(model)}{_graph(model)}{_questions(model, truth)}',
        f'<details class="fk-reveal">{_SUMMARY}{_answers(model, truth)}</details></div>',
        "</div>",
        f'<script type="module">{_script()}</script>' if hydrate else "",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def quiz_page(model: Model, truth: Truth) -> str:
    """A whole HTML document."""
    title = escape(visible(model["title"]))
    style = (
        ":root{color-scheme:light dark}body{margin:0;background:light-dark(#eef0f3,#0e1013)}"
        "main{max-width:1000px;margin:0 auto;padding:20px 16px}"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>quiz: {title} · fusekit</title>"
        f"<style>{stylesheet()}{static('quiz.css')}{style}</style></head>\n<body>\n<main>\n"
        f"{quiz_block(model, truth, hydrate=False)}</main>\n"
        f'<script type="module">{_script()}</script>\n</body></html>\n'
    )


def _script() -> str:
    return shipped("dom") + shipped("quiz")


def _data(model: Model, truth: Truth) -> dict[str, object]:
    """What the script scores with."""
    labels = _labels(truth)
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "quiz": truth.key,
        "name": visible(model["name"]),
        "kernels": truth.kernels,
        "edges": [
            {"ends": f"{e['source']} {e['target']}", "name": _edge(e, labels), "code": code}
            for e, code in zip(truth.edges, truth.codes, strict=True)
        ],
        "launches": truth.launches,
        "ratio": truth.ratio,
        "codes": [[reason.code, reason.sentence] for reason in Reason if reason.code in CODES],
        "none": NO_SEAM,
    }


def _labels(truth: Truth) -> dict[str, str]:
    """What to call each operator: `mul 2` for the second of that name."""
    names = [visible(node["label"]) for node in truth.nodes]
    found, seen = {}, dict.fromkeys(names, 0)
    for node, name in zip(truth.nodes, names, strict=True):
        seen[name] += 1
        found[node["id"]] = f"{name} {seen[name]}" if names.count(name) > 1 else name
    return found


def _edge(edge: Edge, labels: dict[str, str]) -> str:
    return f"{labels[edge['source']]} → {labels[edge['target']]}"


# questions


def _user(model: Model) -> str:
    if not model["user"]["text"]:
        return ""
    lines = enumerate(model["user"]["text"].splitlines(), start=model["user"]["first"])
    text = "\n".join(f"{number:>4}  {visible(line)}" for number, line in lines)
    return f'<pre class="fk-layers">{escape(text)}</pre>'


def _graph(model: Model) -> str:
    """The picture without kernels and seams."""
    plain = copy.deepcopy(model)
    plain["groups"], plain["seams"], plain["declined"] = [], [], []
    for node in plain["graph"]["nodes"]:
        node["group"] = None
        node["kind"] = "op" if node["kind"] == "opaque" else node["kind"]
    drawn = picture(plain)
    if not drawn.svg:
        return ""
    name = escape(visible(model["name"]))
    alt = f"The operators of {name}, before fusion; the table below lists them."
    return (
        '<figure class="fk-figure" style="margin:10px 0;overflow:auto">'
        f'<img class="fk-img" alt="{alt}" src="{drawn.uri}"></figure>'
    )


def _questions(model: Model, truth: Truth) -> str:
    labels = _labels(truth)
    rows = [_operator(model, node, labels) for node in truth.nodes]
    heads = ["operator", "result", "reads", "line", "kernel"]
    return (
        "<p><b>1.</b> Which operators run in one kernel? Give those the same number; "
        "PyTorch runs what no kernel computes.</p>"
        f"{table('fk-ask', heads, rows)}"
        '<p data-q="launches"><b>2.</b> How many launches does the fused function make? </p>'
        '<p data-q="ratio"><b>3.</b> How many times fewer bytes go through memory? </p>'
        '<p data-q="seam"><b>4.</b> Which edge cannot be fused, and why? </p>'
        '<div data-q="submit"></div>'
    )


def _operator(model: Model, node: Node, labels: dict[str, str]) -> str:
    names = {n["id"]: visible(n["label"]) for n in model["graph"]["nodes"]} | labels
    edges = [edge for edge in model["graph"]["edges"] if edge["target"] == node["id"]]
    reads = ", ".join(dict.fromkeys(names[edge["source"]] for edge in edges))
    line = "" if node["line"] is None else str(node["line"])
    return (
        f'<tr data-op="{escape(node["id"])}">{head(labels[node["id"]])}'
        f"{cell(tensor_text(node), 'fk-mono')}{cell(reads)}{cell(line, 'fk-num-cell')}"
        '<td class="fk-pick">?</td></tr>'
    )


# answers


def _answers(model: Model, truth: Truth) -> str:
    labels = _labels(truth)
    names = {group["id"]: group["name"] for group in model["groups"]}
    rows = [
        f'<tr data-real="{escape(node["id"])}">{head(labels[node["id"]])}'
        f"{cell(names[node['group']] if node['group'] else 'PyTorch')}<td></td></tr>"
        for node in truth.nodes
    ]
    edges = [
        _edge_row(model, edge, code, labels)
        for edge, code in zip(truth.edges, truth.codes, strict=True)
    ]
    drawn = picture(model)
    shown = (
        '<figure class="fk-figure" style="margin:10px 0;overflow:auto">'
        f'<img class="fk-img" alt="{escape(drawn.alt)}" src="{drawn.uri}"></figure>'
    )
    return (
        f'<p class="fk-facts">{plural(truth.launches, "launch")}; '
        f"{ratio_text(truth.ratio)} fewer bytes through memory.</p>"
        f"{shown if drawn.svg else ''}"
        f"{table('fk-real', ['operator', 'runs in', 'your answer'], rows)}"
        f"{table('fk-real-edges', ['edge', 'fuses', 'why', 'your answer'], edges)}"
    )


def _edge_row(model: Model, edge: Edge, code: str, labels: dict[str, str]) -> str:
    ends = f"{edge['source']} {edge['target']}"
    card = _card(model, edge) if code else "one kernel computes both"
    return (
        f'<tr data-edge="{escape(ends)}">{head(_edge(edge, labels))}'
        f"{cell('no' if code else 'yes')}<td>{card}</td><td></td></tr>"
    )


def _card(model: Model, edge: Edge) -> str:
    """The card of the seam that an edge is."""
    groups = {node["id"]: node["group"] for node in model["graph"]["nodes"]}
    starts, ends = ({edge[end], groups[edge[end]]} for end in ("source", "target"))
    for seam in model["seams"]:
        if seam["source"] in starts and seam["target"] in ends:
            return card_html(model, seam)
    return "PyTorch runs both, each for itself"
