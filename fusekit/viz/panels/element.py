"""The panel "One element": how one number of the result came about, operator by operator."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from fusekit.ir.graph import Literal
from fusekit.runtime.columns import spelled
from fusekit.runtime.elementtrace import ElementTrace, TracedNode
from fusekit.viz.code.source import code_html
from fusekit.viz.numbers.element import Kernel, Surroundings
from fusekit.viz.numbers.grids import brief, grid_html
from fusekit.viz.panels.panel import Call, Fields, Panel, Progress
from fusekit.viz.tables import cell, head, table
from fusekit.viz.words import visible

if TYPE_CHECKING:
    import torch

__all__ = ["ELEMENT"]

_NEAR = 5
"""Rows and columns of an argument that are shown around what was read."""

_MOST = 12
"""Arguments that get a thumbnail; the table has all."""

_MOVES = (("up", -2, -1, "▲"), ("left", -1, -1, "◀"), ("right", -1, 1, "▶"), ("down", -2, 1, "▼"))
"""Name, dimension, step and sign of each button."""


def _draw(call: Call, fields: Fields, progress: Progress) -> str:
    progress.step(0, 2, "making the call")
    if call.kept.get("of") is not call.fused:
        call.kept.update(of=call.fused, found=Surroundings(call.fused, call.args, call.kwargs))
    found: Surroundings = call.kept["found"]
    if not found.results:
        return '<p class="fk-note">This function returns no tensor.</p>'
    output = min(_number(fields.get("output", "0")), len(found.results) - 1)
    result = found.results[output]
    if not result.numel():
        return _form(found, output, ()) + '<p class="fk-note">This result has no elements.</p>'
    index = _index(fields, result.shape)
    progress.step(1, 2, "computing each value again")
    trace = found.trace(output, index)
    eager = found.eager_values(trace)
    grid = grid_html(result, index, "the result", pick=True)
    return "".join(
        (
            _form(found, output, index),
            f'<p class="fk-verdict" aria-live="polite">{escape(_sentence(trace, eager))}</p>',
            f'<div class="fk-beside-grids">{grid}{_inputs(found, trace)}</div>',
            _values(found, trace, eager),
            f'<p class="fk-note">{escape(_where(trace))}</p>',
            *(_lines(found, trace, kernel) for kernel in found.kernels),
        )
    )


ELEMENT = Panel("element", "One element", "every value that led to one number of the result", _draw)


# what is asked


def _number(text: str) -> int:
    return int(text) if text.strip().isdecimal() else 0


def _index(fields: Fields, shape: Sequence[int]) -> tuple[int, ...]:
    """From the cell that was pressed, or the number fields and the button that moves."""
    dims = len(shape)
    pressed = [_number(part) for part in fields.get("at", "").split(",")]
    numbers = [_number(fields.get(f"i{dim}", "0")) for dim in range(dims)]
    if "at" in fields and len(pressed) == dims:
        numbers = pressed
    for name, dim, step, _ in _MOVES:
        if fields.get("move") == name and dims + dim >= 0:
            numbers[dim] += step
    return tuple(max(0, min(n, extent - 1)) for n, extent in zip(numbers, shape, strict=True))


def _form(found: Surroundings, output: int, index: Sequence[int]) -> str:
    shape = found.results[output].shape
    parts = []
    if len(found.results) > 1:
        names = "".join(
            f'<option value="{i}"{" selected" if i == output else ""}>{i}</option>'
            for i in range(len(found.results))
        )
        parts.append(f'<label>result <select name="output" data-now>{names}</select></label>')
    for dim, (number, extent) in enumerate(zip(index, shape, strict=False)):
        label = "index" if len(index) == 1 else f"index {dim}"
        parts.append(
            f'<label>{label} <input type="number" name="i{dim}" min="0" max="{extent - 1}" '
            f'value="{number}" data-now></label>'
        )
    # Enter in a field presses the first button, which must not move anything
    parts.append('<button name="show" class="fk-first">show</button>')
    for name, dim, step, sign in _MOVES:
        if len(index) + dim >= 0:
            at = index[dim] + step
            state = "" if 0 <= at < shape[dim] else " disabled"
            parts.append(
                f'<button name="move" value="{name}" id="fk-move-{name}" '
                f'aria-label="one element {name}"{state}>{sign}</button>'
            )
    return f'<div class="fk-asked">{"".join(parts)}</div>'


# what is told


def _sentence(trace: ElementTrace, eager: Sequence[Literal | None]) -> str:
    last = trace.nodes[-1]
    start = f"Element [{', '.join(map(str, trace.index))}] is {last.spelled(trace.engine)}"
    apart = _parting(trace, eager)
    if apart is None:
        return f"{start}; eager PyTorch has the same bits at every operator."
    node, other = apart
    both = f"{node.spelled(trace.engine)} here, {spelled(other, node.dtype)} there"
    return f"{start}; it parts from eager PyTorch at {_label(node)}: {both}."


def _parting(
    trace: ElementTrace, eager: Sequence[Literal | None]
) -> tuple[TracedNode, Literal] | None:
    """The first operator of which eager has other bits, and its value there."""
    for node, other in zip(trace.nodes, eager, strict=True):
        if other is not None and repr(other) != repr(node.values[trace.engine]):
            return node, other
    return None


def _label(node: TracedNode) -> str:
    parts = node.origin.split(".")
    if node.op == "input":
        return node.name
    operator = parts[1] if len(parts) > 1 else node.op
    return operator if node.op in ("call", "view", operator) else f"{operator}: {node.op}"


def _values(found: Surroundings, trace: ElementTrace, eager: Sequence[Literal | None]) -> str:
    """A row for each value; literals stand in the formula, and need none."""
    rows = []
    parting = _parting(trace, eager)
    for node, other in zip(trace.nodes, eager, strict=True):
        if node.op in ("const", "view"):
            continue
        ulps = node.ulps[trace.engine]
        is_first = parting is not None and parting[0] is node
        cls = ' class="fk-parting"' if is_first else ""
        said = "" if other is None else spelled(other, node.dtype)
        where = ", ".join(map(str, node.index))
        rows.append(
            f"<tr{found.links.attribute([node.value])}"
            f"{cls}>{head(_label(node))}"
            f"{cell(f'[{where}]', 'fk-mono')}"
            f"{cell(node.spelled(trace.engine), 'fk-num-cell')}"
            f"{cell(said + ' ≠' * is_first, 'fk-num-cell')}"
            f"{cell(spelled(node.float64, None), 'fk-num-cell')}"
            f"{cell(f'{ulps:.3g}', 'fk-num-cell')}"
            f"{cell(node.dtype.value if node.dtype else '')}"
            f"{cell(str(node.loc.line) if node.loc else '', 'fk-num-cell')}</tr>"
        )
    heads = ["value", "element", f"fused ({trace.engine})", "eager", "float64", "ulps", "type"]
    how = "eager PyTorch" if found.eager.are_kept else "PyTorch's operators one at a time"
    caption = f"fused, by {how}, and in float64; ulps: from fused to float64"
    return table("fk-element", [*map(escape, heads), "line"], rows, caption=caption)


def _inputs(found: Surroundings, trace: ElementTrace) -> str:
    """Each argument that was read, around the element that was."""
    read: dict[int, list[TracedNode]] = {}
    for node in trace.nodes:
        if node.op == "input":
            read.setdefault(node.value, []).append(node)
    parts = []
    for nodes in list(read.values())[:_MOST]:
        tensor = found.tensor(nodes[0])
        if tensor is None:
            text = f"{nodes[0].name} = {nodes[0].spelled(trace.engine)}"
            parts.append(f'<p class="fk-mono fk-scalar">{escape(visible(text))}</p>')
            continue
        at = {node.index for node in nodes}
        title = ", ".join(f"{nodes[0].name}[{', '.join(map(str, i))}]" for i in sorted(at))
        title = f"{title}{_memory(tensor, nodes[0].index)}"
        parts.append(grid_html(tensor, nodes[0].index, title, size=_NEAR, marked=at))
    return "".join(parts)


def _memory(tensor: torch.Tensor, index: tuple[int, ...]) -> str:
    """Where it lies, for an argument that is not simply row after row."""
    if tensor.is_contiguous():
        return ""
    offset = sum(step * i for step, i in zip(tensor.stride(), index, strict=True))
    return f", number {offset + tensor.storage_offset():,} in its memory"


def _where(trace: ElementTrace) -> str:
    if not trace.walks:
        return "PyTorch computes it: no kernel takes part."
    return f"Computed by {'; '.join(f'{walk}' for walk in trace.walks)}."


def _lines(found: Surroundings, trace: ElementTrace, kernel: Kernel) -> str:
    """The kernel's text, with a value beside each line that finishes one."""
    beside: dict[int, str] = {}
    values: dict[int, list[int]] = {}
    for node in trace.nodes:
        runs = kernel.spans.get(node.value)
        if runs and node.op != "const":
            line = runs[0][1]
            beside[line] = brief(node.values[trace.engine])
            values.setdefault(line, []).append(node.value)
    if not beside:
        return ""
    first, body = kernel.body()
    text = code_html(
        body,
        kernel.source.language,
        first=first,
        attribute=lambda line: found.links.attribute(values.get(line, ())),
        beside=beside,
    )
    name = f"group {kernel.group + 1}, {kernel.source.language}: the value at each line"
    return f'<details class="fk-values-at"><summary>{escape(name)}</summary>{text}</details>'
