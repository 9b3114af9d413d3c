"""What rounding does to one call: every intermediate, fused and eager, beside float64."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from fusekit.ir import Loc
from fusekit.runtime.columns import aligned, figure
from fusekit.runtime.distances import BUCKETS, Distances

__all__ = ["RoundedNode", "Rounding"]


@dataclasses.dataclass(frozen=True, slots=True)
class RoundedNode:
    """One intermediate value.

    Attributes:
        kind: "operator" for what a torch operator returns, "step" for what a kernel computes on
            the way there, "call" for the result of an operator that PyTorch runs.
        site: which call of a torch operator it belongs to, counted along the trace.
        op: the operator ("gelu"), or the IR's op of a step.
        origin: the torch operator with its overload.
        loc: the user's line, if known.
        dtype: element type: "bf16".
        shape: of the value.
        sampled: how many of its elements were compared.
        group: number of the fusion group that computes it, from 0; None for none.
        values: ids, in the program's graph, of what this operator became there.
        fused: distance of the fused kernel's values from float64; None for no numbers to compare.
        eager: the same of eager PyTorch's; None for a step, which eager has no value of.
        between: distance of the fused values from eager's, in ulps at eager's.
        fused_is_closer: elements of which the fused value is nearer to float64 than eager's.
        eager_is_closer: the reverse.
    """

    kind: str
    site: int
    op: str
    origin: str
    loc: Loc | None
    dtype: str
    shape: tuple[int, ...]
    sampled: int
    group: int | None
    values: tuple[int, ...]
    fused: Distances | None
    eager: Distances | None
    between: Distances | None
    fused_is_closer: int = 0
    eager_is_closer: int = 0

    @property
    def closer(self) -> str:
        """Which of the two is nearer to float64 more often: "fused", "eager" or "neither"."""
        if self.fused_is_closer == self.eager_is_closer:
            return "neither"
        return "fused" if self.fused_is_closer > self.eager_is_closer else "eager"

    def __str__(self) -> str:
        """`gelu (line 3)`."""
        return f"{self.op} (line {self.loc.line})" if self.loc else self.op


@dataclasses.dataclass(frozen=True, repr=False)
class Rounding:
    """The rounding of one call. `str` gives a table.

    Attributes:
        name: of the function.
        engine: whose kernels were looked into.
        nodes: in program order.
        faithful: the kernels that store every intermediate gave the call's own results, bit for
            bit, in all sampled elements.
        exact_calls: what PyTorch runs between kernels was run again in float64 for the reference;
            else its results are taken as the fused call had them.
        largest: elements of the largest of these values.
    """

    name: str
    engine: str
    nodes: tuple[RoundedNode, ...]
    faithful: bool
    exact_calls: bool
    largest: int

    @property
    def operators(self) -> tuple[RoundedNode, ...]:
        """The nodes that eager PyTorch has values of, too."""
        return tuple(node for node in self.nodes if node.kind != "step")

    @property
    def sampled(self) -> int:
        """Most elements that were compared of any value."""
        return max((node.sampled for node in self.nodes), default=0)

    def parting(self) -> RoundedNode | None:
        """The first operator whose values are not eager's bits; None if all are, as sampled."""
        return next((n for n in self.nodes if n.between is not None and n.between.differing), None)

    def sentence(self) -> str:
        """Where fused and eager part, by how much, and which of the two is closer to float64."""
        node = self.parting()
        if node is None:
            return "Fused and eager agree bit for bit in every sampled element."
        assert node.between is not None
        many = f"{node.between.differing:,} of {node.sampled:,} elements"
        start = f"Fused and eager first part at {node}: {many} differ, by at most {node.between}."
        return f"{start} {self.reason(node)} {_closer(node)}"

    def reason(self, node: RoundedNode) -> str:
        """Why fused and eager can differ at a node at which they part first."""
        if node.kind == "call":
            return "PyTorch runs it in both, but not in the same order."
        inside = [each for each in self.nodes if each.site == node.site and each.kind == "step"]
        if inside:
            wide = sorted({each.dtype for each in inside if each.dtype.startswith("f")})
            is_half = node.dtype in ("bf16", "f16") and "f32" in wide
            kept = f" in float32, then rounds to {node.dtype}" if is_half else ""
            return f"Eager has one routine for it; the kernel takes {len(inside) + 1} steps{kept}."
        return f"Each has its own {node.op}."

    def to_dict(self) -> dict[str, Any]:
        """Everything, in what JSON holds."""
        found = dataclasses.asdict(self)
        found["nodes"] = [_plain(node) for node in self.nodes]
        found["buckets"] = list(BUCKETS)
        found["sentence"] = self.sentence()
        return found

    def __repr__(self) -> str:
        """The table."""
        return str(self)

    def __str__(self) -> str:
        """A line for each operator: worst and mean distance from float64, in ulps; the parting."""
        title = f"{self.name}: rounding, run by {self.engine}, {self.scope()}"
        heads = ["operator", "dtype", "fused", "mean", "eager", "mean", "differ", "line"]
        rows = [heads] + [_row(node) for node in self.operators]
        return "\n".join([title, *aligned(rows), *self.remarks()])

    def scope(self) -> str:
        """`all elements`, or `65,536 of 16,777,216 elements, evenly spaced`."""
        if not self.sampled:
            return "no elements"
        if self.sampled >= self.largest:
            return "all elements"
        return f"{self.sampled:,} of {self.largest:,} elements, evenly spaced"

    def remarks(self) -> list[str]:
        """The parting, then what limits the comparison."""
        found = [self.sentence()]
        if not self.faithful:
            found.append(
                "The kernels that store every intermediate gave other bits than the call itself."
            )
        if not self.exact_calls:
            found.append(
                "What PyTorch runs between kernels is taken as it came out after the fused "
                "kernels, not exactly: from there on, eager looks farther away than it is."
            )
        return found


def _closer(node: RoundedNode) -> str:
    if node.fused is None or node.eager is None:
        return ""
    counts = {"fused": node.fused_is_closer, "eager": node.eager_is_closer}
    means = {"fused": node.fused.mean, "eager": node.eager.mean}
    first = "eager" if node.closer == "eager" else "fused"
    other = "fused" if first == "eager" else "eager"
    return (
        f"{first.capitalize()} is closer to float64 in {counts[first]:,} of them, {other} in "
        f"{counts[other]:,} (mean distance: {first} {figure(means[first])} ulp, "
        f"{other} {figure(means[other])})."
    )


def _row(node: RoundedNode) -> list[str]:
    label = f"{node.op} (PyTorch)" if node.kind == "call" else node.op
    cells = [text for each in (node.fused, node.eager) for text in _texts(each)]
    differ = "" if node.between is None else f"{node.between.differing:,}"
    return [label, node.dtype, *cells, differ, str(node.loc.line) if node.loc else ""]


def _texts(found: Distances | None) -> tuple[str, str]:
    return ("", "") if found is None else (figure(found.worst), figure(found.mean))


def _plain(node: RoundedNode) -> Mapping[str, Any]:
    found = {field.name: getattr(node, field.name) for field in dataclasses.fields(node)}
    for name in ("fused", "eager", "between"):
        found[name] = found[name].to_dict() if found[name] is not None else None
    found["loc"] = {"file": node.loc.file, "line": node.loc.line} if node.loc else None
    found["closer"] = node.closer
    return found
