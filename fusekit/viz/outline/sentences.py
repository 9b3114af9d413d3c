"""What is said of a node, a group or a seam: one sentence each, for the outline and for ears.

The name comes first, because a listener who hears it may already move on; then what it is, and
after a colon what it has to do with others.
"""

from __future__ import annotations

from collections.abc import Sequence

from fusekit.viz.model.schema import Model, Node
from fusekit.viz.outline.relations import Relations
from fusekit.viz.words import bytes_text, change_text, end_name, plural, tensor_text, visible

__all__ = ["group_sentence", "landmark_sentence", "node_sentence", "seam_sentence"]

_SOME = 4
"""Names in a list before the rest is counted."""


def node_sentence(relations: Relations, index: int) -> str:
    """`sigmoid, f32[8,4], 128 B, operator 2 of 4 in group 1, line 6: reads add; read by mul.`."""
    node = relations.model["graph"]["nodes"][index]
    size = relations.bytes.get(node["value"])
    head = [
        _HEADS.get(node["kind"], "{}").format(visible(relations.names[index])),
        visible(node["dtype"]) or "?" if node["kind"] == "scalar" else tensor_text(node),
        bytes_text(size) if size else "",
        _place(relations, node),
        "" if node["line"] is None else f"line {node['line']}",
    ]
    tail = [_reason(relations, node), _flow(relations, index)]
    return f"{_joined(head, ', ')}: {_joined(tail, '; ')}."


_HEADS = {"input": "input {}", "scalar": "number {}", "output": "output {}"}


def _place(relations: Relations, node: Node) -> str:
    if node["kind"] in _HEADS:
        return ""
    if node["group"] is None:
        return "run by PyTorch" if node["kind"] == "opaque" else "in no group"
    group = relations.model["groups"][relations.order[node["group"]]]
    position = relations.position.get(node["id"], 0)
    return f"operator {position} of {len(group['nodes'])} in {visible(group['name'])}"


def _reason(relations: Relations, node: Node) -> str:
    number = relations.declined(node)
    if number is None:
        return ""
    item = relations.model["declined"][number]
    return f"{visible(item['reason'])} ({visible(item['code'])})"


def _flow(relations: Relations, index: int) -> str:
    reads = _listed(relations, relations.reads[index])
    readers = _listed(relations, relations.readers[index])
    kind = relations.model["graph"]["nodes"][index]["kind"]
    if kind == "output":
        return f"made by {reads}" if reads else "made by nothing here"
    inwards = "" if kind in _HEADS else f"reads {reads or 'nothing'}"
    return _joined([inwards, f"read by {readers}" if readers else "read by nothing"], "; ")


def _listed(relations: Relations, found: Sequence[int]) -> str:
    names = [visible(relations.names[index]) for index in found]
    if len(names) <= _SOME + 1:
        return ", ".join(names)
    return f"{', '.join(names[:_SOME])} and {len(names) - _SOME} more"


def group_sentence(relations: Relations, index: int) -> str:
    """`group 2 of 3, 4 ops, llvm, saves 32 MiB: reads ..., writes ...; 1 seam out (FK0101).`."""
    groups = relations.model["groups"]
    group = groups[index]
    saved = relations.saved.get(group["id"], 0)
    head = [
        visible(group["name"]),
        f"kernel {index + 1} of {len(groups)}",
        plural(group["ops"], "op"),
        visible(group["engine"]),
        f"saves {bytes_text(saved)}" if saved else "",
    ]
    flow = f"reads {bytes_text(group['in_bytes'])}, writes {bytes_text(group['out_bytes'])}"
    seams = [
        _seams(relations.seams_in.get(group["id"], ()), "in"),
        _seams(relations.seams_out.get(group["id"], ()), "out"),
    ]
    return f"{_joined(head, ', ')}: {_joined([flow, *seams], '; ')}."


def _seams(codes: Sequence[str], direction: str) -> str:
    if not codes:
        return ""
    named = " ".join(visible(code) for code in dict.fromkeys(codes))
    return f"{plural(len(codes), 'seam')} {direction} ({named})"


def seam_sentence(model: Model, number: int) -> str:
    """`seam 1 of 2, g1 to mm, FK0101: not pointwise; costs 32 MiB and 1 launch; ...`."""
    seam = model["seams"][number]
    ends = f"{end_name(model, seam['source'])} to {end_name(model, seam['target'])}"
    price = f"costs {bytes_text(seam['bytes'])} and {plural(seam['launches'], 'launch')}"
    hint = f"what may help: {visible(seam['hint'])}" if seam["hint"] else change_text(seam)
    change = hint if seam["remedy"] is None else f"smallest change: {change_text(seam)}"
    line = "" if seam["line"] is None else f", line {seam['line']}"
    head = f"seam {number + 1} of {len(model['seams'])}, {ends}, {visible(seam['code'])}{line}"
    return f"{head}: {visible(seam['sentence'])}; {price}; {change}."


def landmark_sentence(model: Model, name: str, limit: int) -> str:
    """What a landmark ("inputs", "groups", "seams", "outputs") holds; operators up to `limit`."""
    nodes = model["graph"]["nodes"]
    if name == "seams":
        price = bytes_text(sum(seam["bytes"] for seam in model["seams"]))
        count = plural(len(model["seams"]), "seam")
        return f"{count}: {price} through memory." if model["seams"] else "no seams."
    if name == "inputs":
        return f"{_count(nodes, 'input', 'input', 'scalar')}."
    if name == "outputs":
        return f"{_count(nodes, 'output', 'output')}."
    groups, opaque = len(model["groups"]), sum(node["kind"] == "opaque" for node in nodes)
    left = f" and {plural(opaque, 'operator')} run by PyTorch" if opaque else ""
    operators = sum(node["kind"] in ("op", "opaque") for node in nodes)
    cut = f"; the first {limit} of {operators} operators are listed" if operators > limit else ""
    return f"{plural(groups, 'group')}{left}, in the order in which they run{cut}."


def _count(nodes: Sequence[Node], noun: str, *kinds: str) -> str:
    count = sum(node["kind"] in kinds for node in nodes)
    return plural(count, noun) if count else f"no {noun}s"


def _joined(parts: Sequence[str], separator: str) -> str:
    return separator.join(part for part in parts if part)
