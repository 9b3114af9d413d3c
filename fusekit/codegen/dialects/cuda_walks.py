"""How a CUDA kernel gets from its thread to its elements: one class for each kind of schedule.

A walk writes the lines around the body, and says how the body reads an element and writes one. In
its text, `i0`, `i1`, ... are the coordinates of the current element, or of a vector's first one.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from fusekit.codegen.geometry import Geometry
from fusekit.ir import DType
from fusekit.specs import Stride, TensorDesc

__all__ = ["Operand", "SingleWalk", "SpreadWalk", "Walk"]

_LOADED: Mapping[DType, str] = {DType.BOOL: "{0} != 0", DType.BF16: "unpacked({0})"}
_STORED: Mapping[DType, str] = {DType.BF16: "packed({0})"}


@dataclasses.dataclass(frozen=True, slots=True)
class Operand:
    """A tensor argument.

    Attributes:
        name: of its pointer.
        kind: its element type in memory.
        desc: what the kernel knows of it.
    """

    name: str
    kind: str
    desc: TensorDesc

    def offset(self, coordinates: Sequence[str]) -> str:
        """Its element at these coordinates, counted from its first."""
        terms = []
        for dim, (stride, coordinate) in enumerate(
            zip(self.desc.strides, coordinates, strict=True)
        ):
            if stride is Stride.UNIT:
                terms.append(coordinate)
            elif stride is Stride.STRIDED:
                terms.append(f"{coordinate} * {self.name}_stride{dim}")
        return " + ".join(terms) or "0"

    def loaded(self, text: str) -> str:
        """What registers hold of an element in memory."""
        return _LOADED.get(self.desc.dtype, "{0}").format(text)

    def stored(self, value: str) -> str:
        """What memory holds of a value."""
        return _STORED.get(self.desc.dtype, "{0}").format(value)

    def lane(self, vector: str) -> str:
        """What registers hold of a lane of a vector of its."""
        if self.desc.dtype is DType.BF16:
            return f"lane_of({vector}, lane)"
        return self.loaded(f"{vector}.get(lane)")

    @property
    def inner(self) -> Stride:
        """How it moves along the innermost dimension."""
        return self.desc.strides[-1] if self.desc.strides else Stride.BROADCAST

    @property
    def is_constant(self) -> bool:
        """True when all elements of the kernel read the same one of its."""
        return all(stride is Stride.BROADCAST for stride in self.desc.strides)


class Walk(abc.ABC):
    """The text around the body of a kernel.

    Attributes:
        depth: indentation of the body, in steps.
        index: the type of indices.
        block: the number of the block, among those of its call.
    """

    depth = 2

    def __init__(self, geometry: Geometry) -> None:
        self.args = geometry.args
        self.schedule = geometry.schedule
        self.geometry = geometry
        self.is_wide = self.args.index_bits == 64
        self.index = "int64_t" if self.is_wide else "uint32_t"
        self.block = "block" if self.args.calls else "blockIdx.x"
        self.coordinates = [f"i{dim}" for dim in range(self.args.ndim)]
        self.last = self.args.ndim - 1

    @abc.abstractmethod
    def head(self) -> Iterator[str]:
        """Lines before those of the hoisted loads."""

    def opening(self) -> Iterator[str]:
        """Lines between the hoisted loads and the body."""
        yield from ()

    @abc.abstractmethod
    def tail(self) -> Iterator[str]:
        """Lines after the body."""

    @abc.abstractmethod
    def hoisted(self, operand: Operand) -> str | None:
        """The one element that serves the whole thread, read in front of the loop; None if none."""

    def cycle(self, operand: Operand) -> Sequence[str]:
        """The elements that lanes take in turn, read in front of the loop; none if they do not."""
        del operand
        return ()

    def vector(self, operand: Operand) -> Sequence[str]:
        """The lines in front of the loop that load vectors; none if it is read in the loop."""
        del operand
        return ()

    @abc.abstractmethod
    def element(self, operand: Operand) -> str:
        """The current element of an input, as registers hold it, in the body."""

    @abc.abstractmethod
    def store(self, operand: Operand, value: str) -> str:
        """The line that gives the current element of an output its value."""

    def offset(self, operand: Operand) -> str:
        """Where the current element of an operand lies, counted from its first, in the body."""
        return operand.offset(self.coordinates)

    def first_of(self, index: Operand) -> str | None:
        """What the lanes' numbers begin with, if they are known to share the bits above theirs.

        Then the compiler sees that what depends on those bits alone is the same for all lanes.
        """
        del index
        return None

    def number(self, value: int) -> str:
        """An index literal."""
        return f"{value}" if self.is_wide else f"{value}u"

    def declared(self, name: str, value: str) -> str:
        """The line that gives an index its name."""
        return f"const {self.index} {name} = {value};"

    def position(self, scale: int) -> str:
        """`scale` times the block's number, plus the thread's."""
        block = f"{self.index}({self.block})" if self.is_wide else self.block
        return f"{block} * {self.number(scale)} + threadIdx.x"

    def decomposed(self, position: str, step: int = 1) -> Iterator[str]:
        """Lines that find the coordinates of step number `position` of the walk."""
        for dim in range(self.last, 0, -1):
            extent, scale = f"size{dim}", ""
            if step > 1 and dim == self.last:
                extent, scale = f"(size{dim} / {self.number(step)})", f" * {self.number(step)}"
            if self.geometry.divides_by_factor:
                quotient = f"divide({position}, factor{dim}, shift{dim})"
            else:
                quotient = f"{position} / {extent}"
            yield self.declared(f"q{dim}", quotient)
            rest = f"{position} - q{dim} * {extent}"
            yield self.declared(f"i{dim}", f"({rest}){scale}" if scale else rest)
            position = f"q{dim}"
        yield self.declared("i0", position)


class SingleWalk(Walk):
    """One element, by the first thread of a warp."""

    depth = 1

    def head(self) -> Iterator[str]:
        """Nothing to find."""
        yield "if (threadIdx.x != 0) return;"

    def tail(self) -> Iterator[str]:
        """Nothing to close."""
        yield from ()

    def hoisted(self, operand: Operand) -> str | None:
        """There is no loop."""
        del operand
        return None

    def element(self, operand: Operand) -> str:
        """The only one."""
        return operand.loaded(f"{operand.name}[0]")

    def store(self, operand: Operand, value: str) -> str:
        """The only one."""
        return f"{operand.name}[0] = {value};"


class SpreadWalk(Walk):
    """A thread computes elements that are a block apart: those of a warp are neighbours."""

    def head(self) -> Iterator[str]:
        """How many there are, and which is the first."""
        sizes = " * ".join(f"size{dim}" for dim in range(self.args.ndim))
        yield self.declared("total", sizes)
        yield self.declared("first", self.position(self.schedule.elements))

    def opening(self) -> Iterator[str]:
        """The loop; beyond the end it reads the last element again and stores nothing."""
        yield "#pragma unroll"
        yield f"for (int lane = 0; lane < {self.schedule.lanes}; ++lane) {{"
        for line in (
            self.declared("element", f"first + lane * {self.number(self.schedule.block)}"),
            self.declared("at", f"element < total ? element : total - {self.number(1)}"),
            *self.decomposed("at"),
        ):
            yield f"  {line}"

    def tail(self) -> Iterator[str]:
        """The end of the loop."""
        yield "}"

    def hoisted(self, operand: Operand) -> str | None:
        """What is the same for all."""
        return f"{operand.name}[0]" if operand.is_constant else None

    def element(self, operand: Operand) -> str:
        """Straight from memory."""
        return operand.loaded(f"{operand.name}[{operand.offset(self.coordinates)}]")

    def store(self, operand: Operand, value: str) -> str:
        """Straight to memory."""
        return f"if (element < total) {operand.name}[{operand.offset(self.coordinates)}] = {value};"
