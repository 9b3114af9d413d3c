"""What was fused, what was not, and why, in a form to read and to compute with."""

from __future__ import annotations

import dataclasses

from fusekit.fusion import Seam
from fusekit.ir import Graph, Loc, Node
from fusekit.runtime.dispatch import Entry
from fusekit.runtime.program import KernelCall, Program
from fusekit.runtime.reasons import declines
from fusekit.specs import Decline

__all__ = ["Explanation", "GroupInfo", "SeamInfo", "explanation_of"]


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
    """

    symbol: str
    engine: str
    ops: tuple[str, ...]
    lines: tuple[int, ...]
    shape: tuple[int, ...]
    bytes_read: int
    bytes_written: int


@dataclasses.dataclass(frozen=True)
class SeamInfo:
    """A tensor that goes through memory between two steps of which one is a kernel.

    Attributes:
        value: its id in the program's graph.
        nbytes: its size.
        decline: why the two are not one kernel.
    """

    value: int
    nbytes: int
    decline: Decline


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What one call runs as.

    Attributes:
        name: of the function.
        groups: the kernels, in order.
        declined: the operators that PyTorch runs, in order, or the one reason why it runs all.
        seams: tensors between kernels and the rest.
        fused: True if the call runs kernels at all.
    """

    name: str
    groups: tuple[GroupInfo, ...]
    declined: tuple[Decline, ...]
    seams: tuple[SeamInfo, ...]
    fused: bool

    def __str__(self) -> str:
        """The whole story in plain text, the same in every process."""
        lines = [f"{self.name}: {_count(len(self.groups), 'group')}"]
        if not self.fused:
            lines[0] += ", not fused: PyTorch runs the call"
        for number, group in enumerate(self.groups, start=1):
            where = f" (lines {', '.join(map(str, group.lines))})" if group.lines else ""
            lines.append(f"  group {number}  {group.symbol}  {list(group.shape)}{where}")
            lines.append(f"    {' -> '.join(group.ops)}")
            lines.append(
                f"    reads {_bytes(group.bytes_read)}, writes {_bytes(group.bytes_written)}"
            )
        for title, declines_ in (
            ("left to PyTorch", self.declined),
            ("seams", tuple(seam.decline for seam in self.seams)),
        ):
            if declines_:
                lines.append(f"  {title}:")
            for decline in declines_:
                lines += [f"    {decline}", f"      hint: {decline.hint}"]
        return "\n".join(lines)

    def __rich__(self) -> str:
        """For rich.print; markup is escaped."""
        return str(self).replace("[", "\\[")


def explanation_of(name: str, entry: Entry) -> Explanation:
    """The explanation of what the dispatcher prepared."""
    program = entry.program
    if program is None:
        return Explanation(name, (), (entry.decline,) if entry.decline else (), (), fused=False)
    engine = entry.plan.engine.name if entry.plan else ""
    whole = (entry.decline,) if entry.decline else ()
    return Explanation(
        name,
        tuple(_group(call, engine) for call in program.kernels),
        (*whole, *declines(program)),
        _seams(program),
        fused=entry.decline is None,
    )


def _group(call: KernelCall, engine: str) -> GroupInfo:
    nodes = call.group.nodes
    moved = [nbytes for _, nbytes in call.traffic()]
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
    )


def _short(node: Node) -> str:
    """The operator alone: gelu for aten.gelu.default."""
    parts = node.origin.split(".")
    return parts[1] if len(parts) > 1 else node.origin


def _seams(program: Program) -> tuple[SeamInfo, ...]:
    graph = program.graph
    return tuple(
        SeamInfo(
            seam.value,
            graph.values[seam.value].nbytes,
            Decline(seam.reason, _seam_detail(graph, seam.value), *_culprit(program, seam)),
        )
        for seam in program.partition.seams
    )


def _seam_detail(graph: Graph, value: int) -> str:
    found = graph.values[value]
    return f"{found.dtype!r}{list(found.shape or ())}, {_bytes(found.nbytes)} through memory"


def _culprit(program: Program, seam: Seam) -> tuple[str, Loc | None]:
    """The operator that the reason is about: the one no kernel has, else what made the value."""
    steps = program.partition.steps
    for step in (steps[seam.producer], steps[seam.consumer]):
        if isinstance(step, Node):
            return step.origin, step.loc
    node = program.graph.producers[seam.value]
    return node.origin, node.loc


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _bytes(number: int) -> str:
    """Bytes in the unit that keeps the number short: 96 MiB."""
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.4g} {unit}"
        number /= 1024  # type: ignore[assignment]
    return f"{number:.4g} GiB"
