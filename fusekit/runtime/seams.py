"""Seams: tensors that go through memory, what they cost, and what would save them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from fusekit.fusion import Group, Seam
from fusekit.fusion.partition import Step
from fusekit.ir import Graph, Loc, Node
from fusekit.runtime.program import Program
from fusekit.runtime.reasons import decline_of
from fusekit.specs import Decline, Reason

__all__ = ["SeamInfo", "bytes_text", "seams_of"]


@dataclasses.dataclass(frozen=True)
class SeamInfo:
    """A tensor that goes through memory between two steps of which one is a kernel.

    Attributes:
        value: its id in the program's graph.
        nbytes: its size; it is written once and read once.
        decline: why the two are not one kernel.
    """

    value: int
    nbytes: int
    decline: Decline

    def to_dict(self) -> dict[str, object]:
        """All of it as values that JSON has."""
        return {"value": self.value, "nbytes": self.nbytes, **self.decline.to_dict()}


def seams_of(program: Program) -> tuple[SeamInfo, ...]:
    """Every seam of a program, in order."""
    return tuple(
        SeamInfo(seam.value, program.graph.values[seam.value].nbytes, _decline(program, seam))
        for seam in program.partition.seams
    )


def _decline(program: Program, seam: Seam) -> Decline:
    """Why the two steps are two, with the tensor between them."""
    call = _call_among(program, seam)
    through = f"{_tensor(program.graph, seam.value)}, {_size(program, seam.value)} through memory"
    if call is not None and seam.reason is Reason.OPAQUE_OP:
        told = decline_of(program.capture.obstacles, call)
        return dataclasses.replace(told, detail=through)
    particulars, advice = _DETAILS.get(seam.reason, _nothing)(program, seam)
    detail = f"{particulars}; {through}" if particulars else through
    origin, loc = _culprit(program, seam, call)
    return Decline(seam.reason, detail, origin, loc, advice)


def _call_among(program: Program, seam: Seam) -> Node | None:
    """The end of a seam that no kernel has, if there is one."""
    for step in _ends(program, seam):
        if isinstance(step, Node):
            return step
    return None


def _culprit(program: Program, seam: Seam, call: Node | None) -> tuple[str, Loc | None]:
    """The operator that the reason is about: the one no kernel has, else what made the value."""
    node = call or program.graph.producers[seam.value]
    return node.origin, node.loc


# what is particular to each reason: (detail, advice)

_Particulars = tuple[str, str]


def _nothing(_program: Program, _seam: Seam) -> _Particulars:
    return "", ""


def _shapes(program: Program, seam: Seam) -> _Particulars:
    """Which dimension differs."""
    first, second = (_shape(step) for step in _ends(program, seam))
    rank = max(len(first), len(second))
    left, right = ((1,) * (rank - len(shape)) + shape for shape in (first, second))
    pairs = zip(left, right, strict=True)
    different = [f"dimension {d}: {a} and {b}" for d, (a, b) in enumerate(pairs) if a != b]
    detail = f"{list(first)} and {list(second)}, {' and '.join(different)}"
    if all(a in (1, b) for a, b in zip(left, right, strict=True)):
        name = _name(program.graph.producers[seam.value])
        return detail, (
            f"expand the operands of {name} to {list(second)} first, if computing it again for "
            "each element is cheaper than a second kernel; else leave it"
        )
    return detail, f"nothing to do: no kernel walks both {list(first)} and {list(second)}"


def _view(program: Program, seam: Seam) -> _Particulars:
    """Which view of which operator's result is in the way."""
    graph = program.graph
    node = graph.producers[seam.value]
    views = [other for other in graph.users[seam.value] if other.op == "view"]
    spelled = " and ".join(dict.fromkeys(_name(view) for view in views)) or "a view"
    detail = f"{spelled} of what {_name(node)} computes"
    return detail, f"apply {spelled} to the operands of {_name(node)} instead of its result"


def _between(program: Program, seam: Seam) -> _Particulars:
    """Which step would have to run in the middle of the joined kernel."""
    middle = _detour(program, seam)
    if middle is None:
        return "what PyTorch runs between them keeps your order", ""
    where = f" at {middle.loc}" if middle.loc else ""
    name = _name(middle)
    return f"{name}{where} stands between", (
        f"let {name} read an argument, so that it can run first, or move what follows it out of "
        "the function"
    )


def _arguments(program: Program, seam: Seam) -> _Particulars:
    """How many tensors the two kernels take together."""
    tensors: set[int] = set()
    for step in _ends(program, seam):
        if isinstance(step, Group):
            loaded = (i for i in step.inputs if not program.graph.values[i].scalar)
            tensors.update(loaded, step.outputs)
    count = len(tensors)
    detail = f"together they take up to {count} tensors"
    return detail, f"fusekit.options(max_arguments={count}) lets the two join"


_DETAILS: Mapping[Reason, Callable[[Program, Seam], _Particulars]] = {
    Reason.ITERATION_SPACE: _shapes,
    Reason.VIEW_OF_INTERMEDIATE: _view,
    Reason.CYCLE: _between,
    Reason.ARGUMENT_LIMIT: _arguments,
}


# helpers of the above


def _ends(program: Program, seam: Seam) -> tuple[Step, Step]:
    steps = program.partition.steps
    return steps[seam.producer], steps[seam.consumer]


def _shape(step: Step) -> tuple[int, ...]:
    return step.shape if isinstance(step, Group) else ()


def _detour(program: Program, seam: Seam) -> Node | None:
    """What a path from producer to consumer leads through: an operator outside, else a kernel's."""
    steps, graph = program.partition.steps, program.graph
    maker = {value: i for i, step in enumerate(steps) for value in step.outputs}
    reached = {seam.producer}
    came_from: dict[int, int] = {}
    for i in range(seam.producer + 1, len(steps)):
        for value in steps[i].inputs:
            source = maker.get(graph.viewed(value), -1)
            if source in reached and not (source == seam.producer and i == seam.consumer):
                reached.add(i)
                came_from.setdefault(i, source)
    at = came_from.get(seam.consumer)
    kernel: Node | None = None
    while at is not None and at != seam.producer:
        step = steps[at]
        if isinstance(step, Node) and step.op == "call":
            return step
        kernel = step.nodes[-1] if isinstance(step, Group) else kernel
        at = came_from.get(at)
    return kernel


def _name(node: Node) -> str:
    return node.origin or node.op


def _tensor(graph: Graph, value: int) -> str:
    found = graph.values[value]
    return f"{found.dtype!r}{list(found.shape or ())}"


def _size(program: Program, value: int) -> str:
    return bytes_text(program.graph.values[value].nbytes)


def bytes_text(number: float) -> str:
    """Bytes in the unit that keeps the number short: 96 MiB."""
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.4g} {unit}"
        number /= 1024
    return f"{number:.4g} GiB"
