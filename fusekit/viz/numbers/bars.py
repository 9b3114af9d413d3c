"""Histograms as small inline pictures, with the same in words."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

__all__ = ["bars_svg"]

_BAR, _GAP, _HEIGHT = 5, 1, 22


def bars_svg(counts: Sequence[int], alt: str, cls: str = "") -> str:
    """Bars as high as the counts; the fewest are still to be seen. "" without any."""
    most = max(counts, default=0)
    if not most:
        return ""
    width = len(counts) * (_BAR + _GAP)
    bars = []
    for number, count in enumerate(counts):
        if not count:
            continue
        height = max(round(count * _HEIGHT / most), 2)
        x, y = number * (_BAR + _GAP), _HEIGHT - height
        bars.append(f'<rect x="{x}" y="{y}" width="{_BAR}" height="{height}"></rect>')
    base = f'<path d="M0 {_HEIGHT + 0.5}H{width}"></path>'
    text = escape(alt)
    return (
        f'<svg class="fk-bars {cls}" width="{width}" height="{_HEIGHT + 1}" role="img" '
        f'aria-label="{text}"><title>{text}</title>{"".join(bars)}{base}</svg>'
    )
