"""Comparisons and sweeps as tables: plain text always, rich where it is installed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fusekit.bench.measuring.comparison import Comparison
    from fusekit.bench.measuring.sweeping import Sweep

__all__ = [
    "comparison_table",
    "comparison_text",
    "markdown_table",
    "rich_table",
    "seconds_text",
    "sweep_table",
    "sweep_text",
    "text_table",
]

_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def seconds_text(seconds: float) -> str:
    """A duration in the unit that suits it, three digits: "1.82 ms"."""
    for size, unit in _UNITS:
        if abs(seconds) >= 0.9995 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def text_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell: the first to the left, numbers to the right."""
    table = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    rule = tuple("-" * width for width in widths)
    lines = []
    for row in (table[0], rule, *table[1:]):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same for Markdown."""
    table = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in table)


def rich_table(
    title: str, head: Sequence[str], rows: Sequence[Sequence[str]], *, wrap: bool = False
) -> Any:
    """The same for rich; in a terminal that is too narrow, cells are cut off, or wrapped."""
    from rich.table import Table  # noqa: PLC0415  optional
    from rich.text import Text  # noqa: PLC0415  optional

    table = Table(title=Text(title), title_justify="left")
    for index, name in enumerate(head):
        table.add_column(Text(name), justify="right" if index else "left", no_wrap=not wrap)
    for row in rows:
        table.add_row(*map(Text, row))  # Text: what stands in brackets is no markup
    return table


_HEAD = ("run", "device", "median", "spread", "runs", "first call", "speed", "")


def _cells(comparison: Comparison) -> list[tuple[str, ...]]:
    cells: list[tuple[str, ...]] = []
    for row in comparison.rows:
        engine = f" ({row.engine})" if row.engine and row.engine not in row.name else ""
        cells.append(
            (
                row.name + engine,
                row.device,
                seconds_text(row.seconds),
                f"±{seconds_text(row.spread / 2)}",
                str(row.timing.runs),
                seconds_text(row.timing.first),
                "" if row.ratio is None else f"{row.ratio:.2f}×",
                row.outcome,
            )
        )
    return cells


def _notes(comparison: Comparison) -> list[str]:
    return [comparison.verdict, comparison.method, *map(str, comparison.skipped)]


def comparison_text(comparison: Comparison) -> str:
    """A comparison as plain text."""
    table = text_table(_HEAD, _cells(comparison))
    return "\n".join([comparison.name, table, *_notes(comparison)])


def comparison_table(comparison: Comparison) -> Any:
    """A comparison for rich.print."""
    from rich.console import Group  # noqa: PLC0415  optional
    from rich.text import Text  # noqa: PLC0415  optional

    table = rich_table(comparison.name, _HEAD, _cells(comparison))
    return Group(table, *map(Text, _notes(comparison)))


def _sweep_rows(sweep: Sweep) -> tuple[list[str], list[list[str]]]:
    names = list(
        dict.fromkeys(
            (row.name, row.device) for point in sweep.points for row in point.comparison.rows
        )
    )
    several = len({device for _, device in names}) > 1
    head = ["size"]
    for name, device in names:
        head += [f"{name} {device}" if several else name, "speed"]
    rows = []
    for point in sweep.points:
        cells = [str(point.size)]
        for name, device in names:
            row = point.comparison.row(name, device)
            cells.append(seconds_text(row.seconds) if row else "-")
            known = row is not None and row.ratio is not None
            cells.append(f"{row.ratio:.2f}× {row.outcome}" if row and known else "")
        rows.append(cells)
    return head, rows


def sweep_text(sweep: Sweep) -> str:
    """A sweep as plain text."""
    table = text_table(*_sweep_rows(sweep))
    return "\n".join([sweep.name, table, sweep.verdict, *sweep.notes])


def sweep_table(sweep: Sweep) -> Any:
    """A sweep for rich.print."""
    from rich.console import Group  # noqa: PLC0415  optional
    from rich.text import Text  # noqa: PLC0415  optional

    table = rich_table(sweep.name, *_sweep_rows(sweep))
    return Group(table, *map(Text, [sweep.verdict, *sweep.notes]))
