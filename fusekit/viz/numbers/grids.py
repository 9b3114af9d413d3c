"""Thumbnails of tensors as tables: the numbers around one element, which is marked."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from html import escape
from typing import TYPE_CHECKING

from fusekit.viz.words import visible

if TYPE_CHECKING:
    import torch

__all__ = ["brief", "grid_html"]


def brief(value: object) -> str:
    """A number in at most about eight characters."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, complex):
        return f"{value:.3g}"
    text = str(value)
    return text if len(text) <= 9 else f"{int(value):.3e}"  # type: ignore[call-overload]


def grid_html(
    tensor: torch.Tensor,
    chosen: Sequence[int],
    title: str,
    *,
    size: int = 12,
    marked: Collection[tuple[int, ...]] = (),
    pick: bool = False,
) -> str:
    """A table of at most `size` by `size` elements around `chosen`, in its last two dimensions.

    Args:
        tensor: its other dimensions are held at the chosen element's.
        chosen: an index into it.
        title: the caption, which says what it is; where it is cut out is added.
        size: rows and columns, at most.
        marked: more elements to mark.
        pick: each element is a button named "at" that chooses it.
    """
    shape, lead = tuple(tensor.shape), tuple(chosen[:-2])
    rows = _window(shape[-2], chosen[-2], size) if len(shape) > 1 else None
    columns = _window(shape[-1], chosen[-1], size) if shape else None
    across = list(columns) if columns else []
    down = list(rows) if rows else [None]
    wanted = {tuple(chosen), *marked}
    head = "".join(f'<th scope="col">{number}</th>' for number in across)
    body = []
    for row in down:
        name = "<td></td>" if row is None else f'<th scope="row">{row}</th>'
        index = lead if row is None else (*lead, row)
        places = [(*index, column) for column in across] if across else [()]
        cells = (
            _button(tensor, at, is_chosen=at == tuple(chosen))
            if pick
            else _cell(tensor, at, is_marked=at in wanted)
            for at in places
        )
        body.append(f"<tr>{name}{''.join(cells)}</tr>")
    said = escape(visible(title + _cut(shape, lead, rows, columns)))
    return (
        f'<div class="fk-scroll"><table class="fk-table fk-grid"><caption>{said}</caption>'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _window(extent: int, chosen: int, size: int) -> range:
    length = min(extent, size)
    first = max(0, min(chosen - length // 2, extent - length))
    return range(first, first + length)


def _cut(
    shape: tuple[int, ...], lead: tuple[int, ...], rows: range | None, columns: range | None
) -> str:
    """Which part of the tensor it is: "; rows 0 to 11 of 64"."""
    parts = []
    if lead:
        parts.append(f"at [{', '.join(map(str, lead))}, …]")
    for window, noun, extent in ((rows, "rows", shape[-2:-1]), (columns, "columns", shape[-1:])):
        if window is not None and len(window) < extent[0]:
            parts.append(f"{noun} {window[0]} to {window[-1]} of {extent[0]}")
    return f"; {', '.join(parts)}" if parts else ""


def _cell(tensor: torch.Tensor, at: tuple[int, ...], *, is_marked: bool) -> str:
    text = escape(brief(tensor[at].item()))
    if is_marked:
        return f'<td class="fk-num-cell fk-here"><mark>{text}</mark></td>'
    return f'<td class="fk-num-cell">{text}</td>'


def _button(tensor: torch.Tensor, at: tuple[int, ...], *, is_chosen: bool) -> str:
    """One stop for the Tab key: fields and buttons move the element, too."""
    where = ",".join(map(str, at))
    state = "true" if is_chosen else 'false" tabindex="-1'
    return (
        f'<td class="fk-num-cell{" fk-here" if is_chosen else ""}"><button name="at" '
        f'value="{where}" id="fk-at-{where or "only"}" aria-pressed="{state}" '
        f'title="element [{", ".join(map(str, at))}]">{escape(brief(tensor[at].item()))}'
        "</button></td>"
    )
