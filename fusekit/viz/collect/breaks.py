"""Where one graph of a program ends and the next begins: seams, as those inside a graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fusekit.runtime.compiled import GraphRun
from fusekit.specs import Decline, Reason
from fusekit.viz.cell.userline import shown_name
from fusekit.viz.model.schema import Node, Seam, SeamCheck

__all__ = ["Crossing", "break_seams", "operators", "why_two"]

_RETURNED = Decline(
    Reason.GRAPH_BREAK,
    "the function that it compiled by itself returned",
    advice="compile the function that calls it, in one piece (torch.compile with fullgraph=True "
    "says what is in the way)",
)


class Crossing(NamedTuple):
    """A tensor that one graph makes and another reads."""

    maker: Node
    reader: Node
    value: int
    nbytes: int


def why_two(before: GraphRun, after: GraphRun, outer: Decline | None) -> Decline:
    """Why what ran one after the other is two graphs; `outer` is the latest break before them."""
    if before.name == after.name:  # parts of one graph, which fusekit divided at what it cannot run
        opaque = next((run for run in (after, before) if run.dispatcher is None), None)
        if opaque is not None and opaque.explanation.declined:
            return opaque.explanation.declined[0]
    return before.ended or outer or _RETURNED


def break_seams(
    decline: Decline, line: int | None, crossings: Sequence[Crossing], ends: tuple[Node, Node]
) -> list[Seam]:
    """A seam for each pair of steps between which tensors go; one without bytes if there is none.

    Args:
        decline: why there are two graphs.
        line: the user's, if it is in the text that is shown.
        crossings: the tensors that the second graph takes from earlier ones.
        ends: the last operator of the first graph, and the first of the second.
    """
    found: dict[tuple[str, str], list[Crossing]] = {}
    for each in crossings:
        found.setdefault((_step(each.maker), _step(each.reader)), []).append(each)
    kernels = {name: some for name, some in found.items() if _has_kernel(some[0])}
    if not found:
        return [_seam(decline, line, ends, [])]
    chosen = kernels or dict([next(iter(found.items()))])
    return [_seam(decline, line, (s[0].maker, s[0].reader), s) for s in chosen.values()]


def _seam(
    decline: Decline, line: int | None, ends: tuple[Node, Node], some: Sequence[Crossing]
) -> Seam:
    nbytes = {each.value: each.nbytes for each in some}
    loc = decline.loc
    where = f", at line {loc.line} of {shown_name(loc)}" if loc and line is None else ""
    detail = f" ({decline.detail})" if decline.detail else ""
    sentence = f"{decline.reason.sentence}{detail}{where}"
    return Seam(
        source=_step(ends[0]),
        target=_step(ends[1]),
        code=decline.code,
        sentence=sentence,
        bytes=2 * sum(nbytes.values()),
        launches=int(bool(nbytes)),
        hint=decline.hint,
        value=max(nbytes, key=lambda value: nbytes[value], default=None),
        nodes=list(dict.fromkeys(end["id"] for end in ends)),
        checks=[
            SeamCheck(
                code=decline.code, sentence=sentence, holds=False, operands=_operands(decline)
            )
        ],
        remedy=None,
        tried=None,
        line=line,
    )


def _operands(decline: Decline) -> str:
    return ": ".join(part for part in (decline.op, decline.detail) if part)


def _step(node: Node) -> str:
    return node["group"] or node["id"]


def _has_kernel(crossing: Crossing) -> bool:
    return bool(crossing.maker["group"] or crossing.reader["group"])


def operators(nodes: Sequence[Node]) -> Iterator[Node]:
    """What computes something."""
    return (node for node in nodes if node["kind"] in ("op", "opaque"))
