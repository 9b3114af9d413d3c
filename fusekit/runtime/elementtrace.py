"""The trace of one element: every value that leads to it, in several arithmetics, side by side."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from fusekit.ir import DType, Loc
from fusekit.ir.graph import Literal
from fusekit.runtime.columns import aligned, spelled
from fusekit.runtime.walks import Walk

__all__ = ["ElementTrace", "TracedNode"]

_FAR = 4.0
"""Ulps from float64 that a few roundings, or one function that is not quite exact, do not reach."""


@dataclasses.dataclass(frozen=True, slots=True)
class TracedNode:
    """One element of one value on the way.

    Attributes:
        value: id of the value in the program's graph, as in the nodes and edges of a view.
        index: which element of it, as positions from 0; () for a scalar.
        op: the IR's op; "input" for an argument, "call" for what PyTorch runs.
        operands: ids of the values it is made from.
        reads: the same as positions in `ElementTrace.nodes`: a value may be there several times,
            with different elements.
        dtype: element type; None for one that the IR cannot hold.
        name: of an argument, as the user says it; "" for everything else.
        origin: the torch operator it comes from ("aten.gelu.default"), or "".
        loc: the user's line, if known.
        group: number of the fusion group, from 0; None for what belongs to none.
        values: name of an engine -> the value in its arithmetic.
        float64: the value with all floating operations and casts in float64; literals are the
            graph's, which are rounded already.
        grain: the coarsest floating type that it, or what it is made from, has been rounded to:
            bf16 for a float32 that is computed from computed bfloat16s; `dtype` for no float.
        ulps: name of an engine -> distance of its value from `float64`, in units of the last place
            of `grain` at `float64` (an integer's, or a bool's, is 1); infinite where one is
            infinite or NaN and the other is not.
        site: which call of a torch operator it belongs to, counted along the trace; -1 for none.
    """

    value: int
    index: tuple[int, ...]
    op: str
    operands: tuple[int, ...]
    reads: tuple[int, ...]
    dtype: DType | None
    name: str
    origin: str
    loc: Loc | None
    group: int | None
    values: Mapping[str, Literal]
    float64: Literal
    grain: DType | None
    ulps: Mapping[str, float]
    site: int = -1

    def spelled(self, engine: str) -> str:
        """The shortest decimal that its dtype rounds to an engine's value."""
        return spelled(self.values[engine], self.dtype)

    def __str__(self) -> str:
        """`%5 (sub, FILE:12: return (x + 1e8) - 1e8)`."""
        where = f", {self.loc}" if self.loc else ""
        text = f": {self.loc.text.strip()}" if self.loc and self.loc.text else ""
        return f"%{self.value} ({self.name or self.op}{where}{text})"


@dataclasses.dataclass(frozen=True, repr=False)
class ElementTrace:
    """How one element of a result comes about. `str` gives a table.

    Attributes:
        name: of the function.
        output: which of its results, from 0.
        index: which element of it.
        engine: the one that runs such calls.
        engines: whose arithmetic there is: that one, then all others that work on this machine,
            in order of preference; the reference is always among them.
        nodes: what the element depends on, in data-flow order; the last is the element itself.
        walks: where in its kernel each group's part of it is computed.
    """

    name: str
    output: int
    index: tuple[int, ...]
    engine: str
    engines: tuple[str, ...]
    nodes: tuple[TracedNode, ...]
    walks: tuple[Walk, ...] = ()

    @property
    def value(self) -> Literal:
        """The element, bit for bit as the call returns it."""
        return self.nodes[-1].values[self.engine]

    def parting(self, engine: str = "") -> TracedNode | None:
        """The first node at which an engine has other bits than the reference; None if none has.

        NaNs are alike whatever their payload. Without `engine`, the one that runs such calls.

        Raises:
            KeyError: there is no trace of that engine.
        """
        name = engine or self.engine
        return next((n for n in self.nodes if _differ(n.values[name], n.values[_REFERENCE])), None)

    def drift(self, engine: str = "", *, ulps: float = _FAR) -> TracedNode | None:
        """The first node farther than `ulps` from float64; None if there is none.

        Raises:
            KeyError: there is no trace of that engine.
        """
        name = engine or self.engine
        return next((node for node in self.nodes if node.ulps[name] > ulps), None)

    def growth(self, node: TracedNode, engine: str = "") -> float:
        """By how many ulps a node is farther from float64 than the farthest of its operands.

        Negative where it brings the two closer, or where its type is coarser. Ulps are those of
        each node's own value and grain, so that cancellation shows.
        """
        name = engine or self.engine
        before = max((self.nodes[i].ulps[name] for i in node.reads), default=0.0)
        return 0.0 if math.isinf(before) else node.ulps[name] - before

    def steepest(self, engine: str = "") -> TracedNode | None:
        """The first node of largest growth; None if none is farther than its operands.

        Raises:
            KeyError: there is no trace of that engine.
        """
        worst = max(self.nodes, key=lambda node: self.growth(node, engine))
        return worst if self.growth(worst, engine) > 0 else None

    def to_dict(self) -> dict[str, Any]:
        """The same as `as_dict`."""
        return self.as_dict()

    def as_dict(self) -> dict[str, Any]:
        """Everything, in what JSON holds; numbers that it does not hold as "nan", "inf", "-inf"."""
        return {
            "name": self.name,
            "output": self.output,
            "index": list(self.index),
            "engine": self.engine,
            "engines": list(self.engines),
            "nodes": [_as_dict(node) for node in self.nodes],
            "walks": [walk.to_dict() for walk in self.walks],
        }

    def __repr__(self) -> str:
        """The table."""
        return str(self)

    def __str__(self) -> str:
        """A table with a line for each node, and where the arithmetics part."""
        where = f"element {list(self.index)} of output {self.output}"
        title = f"{self.name}: {where}, run by {self.engine}"
        return "\n".join([title, *aligned(self._rows()), *self._partings()])

    def _rows(self) -> list[list[str]]:
        """Engines that agree everywhere share a column."""
        columns = self._columns()
        heads = [text for same in columns for text in (", ".join(same), "ulps")]
        labels = self._labels()
        rows = [["value", "op", "of", "dtype", *heads, "float64", "from", "line"]]
        line = None
        for node, label in zip(self.nodes, labels, strict=True):
            cells = [
                text
                for same in columns
                for text in (node.spelled(same[0]), _short(node.ulps[same[0]]))
            ]
            rows.append(
                [
                    label,
                    f"{node.op} {node.name}".rstrip(),
                    " ".join(labels[i] for i in node.reads),
                    node.dtype.value if node.dtype else "",
                    *cells,
                    spelled(node.float64, None),
                    "run by PyTorch: " * (node.op == "call") + _operator(node.origin),
                    _line(node.loc, repeated=node.loc == line),
                ]
            )
            line = node.loc or line
        return rows

    def _columns(self) -> list[list[str]]:
        found: dict[tuple[str, ...], list[str]] = {}
        for engine in self.engines:
            values = tuple(repr(node.values[engine]) for node in self.nodes)
            found.setdefault(values, []).append(engine)
        return list(found.values())

    def _labels(self) -> list[str]:
        """The values' ids, with the element where there are several of a value."""
        times = collections.Counter(node.value for node in self.nodes)
        return [
            f"%{node.value}{list(node.index) if times[node.value] > 1 else ''}"
            for node in self.nodes
        ]

    def _partings(self) -> list[str]:
        lines = []
        for engine in self.engines:
            node = self.parting(engine)
            if node is not None:
                both = f"{node.spelled(engine)} for {node.spelled(_REFERENCE)}"
                lines.append(f"{engine} parts from the reference at {node}: {both}")
        far = self.drift()
        if far is None:
            worst = max(node.ulps[self.engine] for node in self.nodes)
            return [*lines, f"{self.engine} stays within {_short(worst)} ulps of float64"]
        ulps = _short(far.ulps[self.engine])
        lines.append(f"{self.engine} parts from float64 at {far}: {ulps} ulps")
        steepest = self.steepest()
        if steepest is not None and steepest is not far:
            grown = _short(self.growth(steepest))
            lines.append(f"the distance grows most at {steepest}: by {grown} ulps")
        return lines


_REFERENCE = "reference"


def _differ(one: Literal, other: Literal) -> bool:
    """True unless they are the same number, signs of zeros included, or both are none."""
    if one != one and other != other:  # noqa: PLR0124  NaN, complex ones included
        return False
    return repr(one) != repr(other)


def _operator(origin: str) -> str:
    """The operator without its overload: aten.add for aten.add.Tensor."""
    return ".".join(origin.split(".")[:2])


def _short(number: float) -> str:
    return f"{number:.3g}"


def _line(loc: Loc | None, *, repeated: bool) -> str:
    """The line's number, and its text where the node above is of another line."""
    if loc is None:
        return ""
    return str(loc.line) if repeated or not loc.text else f"{loc.line}: {loc.text.strip()}"


def _as_dict(node: TracedNode) -> dict[str, Any]:
    loc = node.loc
    return {
        "value": node.value,
        "index": list(node.index),
        "op": node.op,
        "operands": list(node.operands),
        "reads": list(node.reads),
        "dtype": node.dtype.value if node.dtype else "",
        "name": node.name,
        "origin": node.origin,
        "file": loc.file if loc else "",
        "line": loc.line if loc else None,
        "group": node.group,
        "values": {name: _plain(value) for name, value in node.values.items()},
        "float64": _plain(node.float64),
        "grain": node.grain.value if node.grain else "",
        "ulps": {name: _plain(ulps) for name, ulps in node.ulps.items()},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)
