"""What was fused, what was not, and why, in a form to read and to compute with."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator

from fusekit.ir import Node
from fusekit.runtime.entry import Entry
from fusekit.runtime.history import Fallback, History, Specialisation, fallback_lines
from fusekit.runtime.program import KernelCall, Program
from fusekit.runtime.reasons import declines
from fusekit.runtime.seams import SeamInfo, bytes_text, seams_of
from fusekit.runtime.traffic import Traffic, group_traffic, total_traffic
from fusekit.specs import Decline, Reason

__all__ = ["Explanation", "GroupInfo", "SeamInfo", "decline_lines", "explanation_of"]


@dataclasses.dataclass(frozen=True)
class GroupInfo:
    """One kernel.

    Attributes:
        symbol: its name in generated source.
        engine: what runs it; "" if nothing does.
        ops: the torch operators it computes, in order, each once.
        lines: the user's lines they come from, sorted.
        shape: the map shape: the extents of its iteration space.
        bytes_read: of distinct elements it loads.
        bytes_written: of elements it stores.
        bytes_unfused: if every operator of it reads its operands and writes its result, in
            distinct elements.
        launches_unfused: operators that eager PyTorch launches for it.
        flops: rough cost of its arithmetic, in additions.
        decline: why it is not launched, where it is not.
    """

    symbol: str
    engine: str
    ops: tuple[str, ...]
    lines: tuple[int, ...]
    shape: tuple[int, ...]
    bytes_read: int
    bytes_written: int
    bytes_unfused: int = 0
    launches_unfused: int = 0
    flops: int = 0
    decline: Decline | None = None

    @property
    def saved(self) -> float:
        """The share of bytes that fusing saves, from 0 to 1."""
        moved = self.bytes_read + self.bytes_written
        return 1 - moved / self.bytes_unfused if self.bytes_unfused else 0.0

    def to_dict(self) -> dict[str, object]:
        """All of it as values that JSON has."""
        return {
            "symbol": self.symbol,
            "engine": self.engine,
            "ops": list(self.ops),
            "lines": list(self.lines),
            "shape": list(self.shape),
            "bytes_read": self.bytes_read,
            "bytes_written": self.bytes_written,
            "bytes_unfused": self.bytes_unfused,
            "launches_unfused": self.launches_unfused,
            "saved": self.saved,
            "flops": self.flops,
            "decline": self.decline.to_dict() if self.decline else None,
        }


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What one call runs as.

    Attributes:
        name: of the function.
        groups: the kernels, in order.
        declined: the operators that PyTorch runs, in order, or the one reason why it runs all.
        seams: tensors between kernels and the rest.
        fused: True if the call runs kernels at all.
        totals: bytes and launches of the whole call; None if the capture did not get that far.
        specialised: why something was prepared for this signature; None if nothing was.
        fallbacks: what made calls of the function run in PyTorch so far, whatever their arguments.
    """

    name: str
    groups: tuple[GroupInfo, ...]
    declined: tuple[Decline, ...]
    seams: tuple[SeamInfo, ...]
    fused: bool
    totals: Traffic | None = None
    specialised: Specialisation | None = None
    fallbacks: tuple[Fallback, ...] = ()

    @property
    def codes(self) -> tuple[str, ...]:
        """Every reason code that occurs, each once, sorted."""
        found = [*self.declined, *(seam.decline for seam in self.seams)]
        found += [group.decline for group in self.groups if group.decline]
        found += [each.decline for each in self.fallbacks]
        return tuple(sorted({decline.code for decline in found}))

    def __str__(self) -> str:
        """The whole story in plain text, the same in every process."""
        return "\n".join(self._lines())

    def __rich__(self) -> str:
        """For rich.print: the same text, with headings and codes set off."""
        head, *rest = (line.replace("[", "\\[") for line in self._lines())
        shown = [re.sub(r"\\\[(FK\d{4})\]", r"[yellow]\[\1][/yellow]", line) for line in rest]
        return "\n".join((f"[bold]{head}[/bold]", *map(_marked, shown)))

    def to_dict(self) -> dict[str, object]:
        """All of it as values that JSON has."""
        totals = self.totals
        return {
            "name": self.name,
            "fused": self.fused,
            "codes": list(self.codes),
            "groups": [group.to_dict() for group in self.groups],
            "declined": [decline.to_dict() for decline in self.declined],
            "seams": [seam.to_dict() for seam in self.seams],
            "totals": {**dataclasses.asdict(totals), "saved": totals.share} if totals else None,
            "specialised": self.specialised.to_dict() if self.specialised else None,
            "fallbacks": [each.to_dict() for each in self.fallbacks],
        }

    def _lines(self) -> Iterator[str]:
        refused = "" if self.fused else ", not fused: PyTorch runs the call"
        yield f"{self.name}: {_count(len(self.groups), 'group')}{refused}"
        for number, group in enumerate(self.groups, start=1):
            yield from _group_lines(number, group)
        if self.totals and self.fused:
            yield f"  the call moves {_moved(self.totals)}; {_launches(self.totals)}"
        seams = tuple(seam.decline for seam in self.seams)
        for title, found in (("left to PyTorch", self.declined), ("seams", seams)):
            if found:
                yield f"  {title}:"
            for decline in found:
                yield from decline_lines(decline)
        if self.specialised and self.specialised.nearest is not None:
            done = "captured anew" if self.specialised.captured else "resized, not captured"
            yield f"  {done}: {self.specialised.cause}"
        if self.fallbacks:
            yield "  calls that fell back so far:"
            for each in self.fallbacks:
                yield from (f"  {line}" for line in fallback_lines(each, self.name))


def _group_lines(number: int, group: GroupInfo) -> Iterator[str]:
    where = f" (lines {', '.join(map(str, group.lines))})" if group.lines else ""
    yield f"  group {number}  {group.symbol}  {list(group.shape)}{where}"
    yield f"    {' -> '.join(group.ops)}"
    moved = f"reads {bytes_text(group.bytes_read)}, writes {bytes_text(group.bytes_written)}"
    if group.bytes_unfused:
        moved += f"; unfused {bytes_text(group.bytes_unfused)}: {_saved(group.saved)}"
    yield f"    {moved}"
    if group.decline:
        yield from decline_lines(group.decline)


def decline_lines(decline: Decline) -> Iterator[str]:
    """A refusal and what to do about it, as texts say it."""
    yield f"    {decline}"
    yield f"      hint: {decline.hint} ({decline.page})"


def _moved(totals: Traffic) -> str:
    moved = f"{bytes_text(totals.fused)}, unfused {bytes_text(totals.unfused)}"
    return f"{moved}: {_saved(totals.share)}"


def _launches(totals: Traffic) -> str:
    count = f"{totals.launches} launch{'' if totals.launches == 1 else 'es'}"
    missing = f"; {_count(totals.uncounted, 'tensor')} not counted" if totals.uncounted else ""
    return f"{count}, unfused {totals.unfused_launches}{missing}"


def _saved(share: float) -> str:
    """A share of bytes in whole percent, rounded towards what is certain."""
    return f"{math.floor(share * 100)}% saved" if share >= 0 else f"{-share:.0%} more"


def _marked(line: str) -> str:
    """Hints faint, headings bold."""
    if line.lstrip().startswith("hint:"):
        return f"[dim]{line}[/dim]"
    is_heading = line.startswith("  ") and not line.startswith("   ")
    return f"[bold]{line}[/bold]" if is_heading else line


def explanation_of(name: str, entry: Entry, history: History | None = None) -> Explanation:
    """The explanation of what the dispatcher prepared, and of what happened so far."""
    program = entry.program
    whole = (entry.decline,) if entry.decline else ()
    fallbacks = tuple(
        each
        for each in (history.fallbacks if history else ())
        if each.decline != entry.decline or each.function != name
    )
    if program is None:
        return Explanation(
            *(name, (), whole, ()), fused=False, specialised=entry.made, fallbacks=fallbacks
        )
    engine = entry.plan.engine.name if entry.plan else ""
    traffic = zip(program.kernels, group_traffic(program), strict=True)
    return Explanation(
        name,
        tuple(_group(program, call, engine, moved) for call, moved in traffic),
        (*whole, *declines(program)),
        seams_of(program),
        fused=entry.decline is None,
        totals=total_traffic(program),
        specialised=entry.made,
        fallbacks=fallbacks,
    )


def _group(program: Program, call: KernelCall, engine: str, traffic: Traffic) -> GroupInfo:
    nodes = call.group.nodes
    moved = [nbytes for _, nbytes in call.traffic()]
    values = program.graph.values
    return GroupInfo(
        symbol=call.spec.symbol,
        engine=engine,
        ops=tuple(
            dict.fromkeys(_short(node) for node in nodes if node.origin and node.op != "const")
        ),
        lines=tuple(sorted({node.loc.line for node in nodes if node.loc})),
        shape=call.group.shape,
        bytes_read=sum(moved[: len(call.reads)]),
        bytes_written=sum(moved[len(call.reads) :]),
        bytes_unfused=traffic.unfused,
        launches_unfused=traffic.unfused_launches,
        flops=sum(node.row.flops * values[node.output].numel for node in nodes),
        decline=None if call.binding.numel else _empty(call),
    )


def _empty(call: KernelCall) -> Decline:
    """Why a kernel without elements is not launched."""
    shape = list(call.group.shape)
    detail = f"{shape}, dimension {shape.index(0)} is 0; no kernel is launched"
    return Decline(Reason.EMPTY, detail)


def _short(node: Node) -> str:
    """The operator alone: gelu for aten.gelu.default."""
    parts = node.origin.split(".")
    return parts[1] if len(parts) > 1 else node.origin


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
