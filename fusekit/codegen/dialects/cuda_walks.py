"""How a CUDA kernel gets from its thread to its elements: one class for each kind of schedule.

A walk writes the lines around the body, and says how the body reads an element and writes one. In
its text, `i0`, `i1`, ... are the coordinates of the current element, or of a vector's first one.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Iterator, Sequence

from fusekit.codegen.geometry import Geometry
from fusekit.specs import Stride, TensorDesc

__all__ = ["Operand", "Walk", "make_walk"]


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
    """

    depth = 2

    def __init__(self, geometry: Geometry) -> None:
        self.args = geometry.args
        self.schedule = geometry.schedule
        self.geometry = geometry
        self.is_wide = self.args.index_bits == 64
        self.index = "int64_t" if self.is_wide else "uint32_t"
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
        """What to read once, in front of the loop; None if each element is read in the loop."""

    @abc.abstractmethod
    def element(self, operand: Operand) -> str:
        """The current element of an input, in the body."""

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
        block = f"{self.index}(blockIdx.x)" if self.is_wide else "blockIdx.x"
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
        return f"{operand.name}[0]"

    def store(self, operand: Operand, value: str) -> str:
        """The only one."""
        return f"{operand.name}[0] = {value};"


class VectorWalk(Walk):
    """A thread computes neighbours, which it loads and stores at once where they are aligned."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__(geometry)
        self.lanes = geometry.schedule.lanes
        self.left = "" if self.args.inner_multiple else ", left"
        self.packs: list[Operand] = []
        self.reads_in_loop = False

    def head(self) -> Iterator[str]:
        """The coordinates of the vector."""
        if self.args.ndim == 1:
            yield self.declared("i0", self.scaled_position())
            yield "if (i0 >= size0) return;"
            if self.left:
                yield self.remaining("size0 - i0")
            return
        yield self.declared("vector", self.position(self.schedule.block))
        yield from self.decomposed("vector", self.lanes)
        yield "if (i0 >= size0) return;"

    def opening(self) -> Iterator[str]:
        """The results' vectors, and the loop over lanes."""
        yield from self.loop()
        if self.reads_in_loop:
            yield "  " + self.declared("i", f"{self.coordinates[-1]} + {self.within}")

    def tail(self) -> Iterator[str]:
        """The end of the loop, and the stores."""
        yield "}"
        for operand in self.packs:
            yield f"store({self.address(operand)}, {operand.name}_at{self.left});"

    def hoisted(self, operand: Operand) -> str | None:
        """A vector, or the one element that serves all lanes."""
        if self._is_packed(operand):
            return f"load<{self.lanes}>({self.address(operand)}{self.left})"
        if operand.inner is Stride.BROADCAST:
            return f"{operand.name}[{operand.offset(self.coordinates)}]"
        return None

    def element(self, operand: Operand) -> str:
        """A lane of the vector, or a load of its own."""
        if self._is_packed(operand):
            return f"{operand.name}_at.get(lane)"
        return f"{operand.name}[{self.offset(operand)}]"

    def store(self, operand: Operand, value: str) -> str:
        """Into the result's vector, or to memory."""
        if self._is_packed(operand):
            self.packs.append(operand)
            return f"{operand.name}_at.set(lane, {value});"
        guard = "if (lane < left) " if self.left else ""
        return f"{guard}{operand.name}[{self.offset(operand)}] = {value};"

    def address(self, operand: Operand) -> str:
        """Of the vector."""
        return f"{operand.name} + {self.first_offset(operand)}"

    def offset(self, operand: Operand) -> str:
        """That of the lane."""
        self.reads_in_loop = True
        return operand.offset([*self.coordinates[:-1], "i"])

    def first_of(self, index: Operand) -> str | None:
        """Rounded down, which changes nothing, to a multiple of as many as there are lanes."""
        if index.inner is not Stride.UNIT or index.desc.alignment < self.lanes:
            return None
        first = self.first_offset(index)
        lanes = self.number(self.lanes)
        return f"({index.name}_start + {first}) / {lanes} * {lanes}"

    def first_offset(self, operand: Operand) -> str:
        """That of the vector's first element."""
        return operand.offset(self.coordinates)

    def scaled_position(self) -> str:
        """The thread's first element."""
        return f"({self.position(self.schedule.block)}) * {self.number(self.lanes)}"

    def remaining(self, left: str) -> str:
        """The line that says how many elements are left for the thread and those after it."""
        return f"const uint32_t left = {self._limited(left)};"

    def _limited(self, left: str) -> str:
        return f"min({left}, int64_t({self.lanes}))" if self.is_wide else left

    @property
    def within(self) -> str:
        """The lane, or the last one that is there."""
        return "(lane < left ? lane : left - 1u)" if self.left else "lane"

    def loop(self) -> Iterator[str]:
        """The results' vectors, and the loop over lanes."""
        for operand in self.packs:
            yield f"pack<{operand.kind}, {self.lanes}> {operand.name}_at;"
        yield "#pragma unroll"
        yield f"for (int lane = 0; lane < {self.lanes}; ++lane) {{"

    def _is_packed(self, operand: Operand) -> bool:
        size = operand.desc.dtype.itemsize * self.lanes
        return operand.inner is Stride.UNIT and operand.desc.alignment >= size


class FlatWalk(VectorWalk):
    """Vectors run across the ends of rows; each lane finds its own coordinates if it needs them."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__(geometry)
        self.left = ", left"
        self.reads_apart = False

    def head(self) -> Iterator[str]:
        """Where the vector begins, counted in elements."""
        sizes = " * ".join(f"size{dim}" for dim in range(self.args.ndim))
        yield self.declared("total", sizes)
        yield self.declared("first", self.scaled_position())
        yield "if (first >= total) return;"
        yield self.remaining("total - first")

    def opening(self) -> Iterator[str]:
        """The results' vectors, the loop over lanes, and a lane's coordinates."""
        yield from self.loop()
        if self.reads_in_loop:
            yield "  " + self.declared("i", f"first + {self.within}")
        if self.reads_apart:
            # beyond the end only the outermost coordinate is out of bounds
            *lines, _ = self.decomposed("element")
            yield "  " + self.declared("element", "first + lane")
            yield from (f"  {line}" for line in lines)
            yield "  " + self.declared("i0", f"min(q1, size0 - {self.number(1)})")

    def hoisted(self, operand: Operand) -> str | None:
        """A vector, or what is the same for all."""
        if self._is_packed(operand):
            return f"load<{self.lanes}>({operand.name} + first{self.left})"
        return f"{operand.name}[0]" if operand.is_constant else None

    def first_offset(self, operand: Operand) -> str:
        """Its number, for what is flat."""
        return "first" if operand.desc.flat else operand.offset(self.coordinates)

    def first_of(self, index: Operand) -> str | None:
        """As above, for what is flat."""
        return super().first_of(index) if index.desc.flat else None

    def offset(self, operand: Operand) -> str:
        """That of the lane: its number, or what its own coordinates give."""
        if operand.desc.flat:
            self.reads_in_loop = True
            return "i"
        self.reads_apart = True
        return operand.offset(self.coordinates)

    def _is_packed(self, operand: Operand) -> bool:
        return operand.desc.flat and super()._is_packed(operand)


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
        return f"{operand.name}[{operand.offset(self.coordinates)}]"

    def store(self, operand: Operand, value: str) -> str:
        """Straight to memory."""
        return f"if (element < total) {operand.name}[{operand.offset(self.coordinates)}] = {value};"


class TileWalk(Walk):
    """A block computes a square; transposed inputs pass through shared memory.

    There, neighbouring threads first read along the dimension in which the input is contiguous and
    then take along the one in which the results are.
    """

    def __init__(self, geometry: Geometry) -> None:
        super().__init__(geometry)
        self.side = geometry.schedule.tile
        self.cross = geometry.schedule.tile_dim
        self.tiled: list[Operand] = []

    def head(self) -> Iterator[str]:
        """The block's place."""
        side = self.number(self.side)
        yield f"{self.index} rest = blockIdx.x;"
        for dim in (self.last, self.cross):
            up = self.number(self.side - 1)
            yield self.declared(f"tiles{dim}", f"(size{dim} + {up}) / {side}")
            yield self.declared(f"first{dim}", f"rest % tiles{dim} * {side}")
            yield f"rest /= tiles{dim};"
        for dim in range(self.last - 1, -1, -1):
            if dim != self.cross:
                yield self.declared(f"i{dim}", f"rest % size{dim}")
                yield f"rest /= size{dim};"
        yield self.declared("column", f"threadIdx.x % {side}")
        yield self.declared("row", f"threadIdx.x / {side}")

    def opening(self) -> Iterator[str]:
        """Transposed inputs into shared memory, and the loop over the rows of the square."""
        for operand in self.tiled:
            # a row ends on an odd bank, so that a column of 32 touches all of them
            width = self.side + max(4 // operand.desc.dtype.itemsize, 1)
            yield f"__shared__ {operand.kind} {operand.name}_tile[{self.side}][{width}];"
        yield from self._loop(along=self.cross, across=self.last)
        for operand in self.tiled:
            offset = operand.offset(self.coordinates)
            yield f"  {operand.name}_tile[row + step][column] = {operand.name}[{offset}];"
        yield "}"
        yield "__syncthreads();"
        yield from self._loop(along=self.last, across=self.cross)
        inside = [f"first{self.last} + column < size{self.last}"]
        inside.append(f"first{self.cross} + row + step < size{self.cross}")
        yield f"  const bool inside = {' && '.join(inside)};"

    def tail(self) -> Iterator[str]:
        """The end of the loop."""
        yield "}"

    def hoisted(self, operand: Operand) -> str | None:
        """What is the same for all."""
        return f"{operand.name}[0]" if operand.is_constant else None

    def element(self, operand: Operand) -> str:
        """From shared memory if it was put there."""
        if operand.inner is not Stride.UNIT and operand.desc.strides[self.cross] is Stride.UNIT:
            self.tiled.append(operand)
            return f"{operand.name}_tile[column][row + step]"
        return f"{operand.name}[{operand.offset(self.coordinates)}]"

    def store(self, operand: Operand, value: str) -> str:
        """Straight to memory."""
        return f"if (inside) {operand.name}[{operand.offset(self.coordinates)}] = {value};"

    def _loop(self, along: int, across: int) -> Iterator[str]:
        """Over the square, neighbouring threads along one dimension; clamped at the edges."""
        rows = self.schedule.block // self.side
        yield "#pragma unroll"
        yield f"for (int step = 0; step < {self.side}; step += {rows}) {{"
        for dim, position in ((along, "column"), (across, "row + step")):
            last = f"size{dim} - {self.number(1)}"
            yield "  " + self.declared(f"i{dim}", f"min(first{dim} + {position}, {last})")


def make_walk(geometry: Geometry) -> Walk:
    """The walk of a schedule."""
    if not geometry.args.ndim:
        return SingleWalk(geometry)
    if geometry.schedule.tile:
        return TileWalk(geometry)
    if geometry.schedule.flat:
        return FlatWalk(geometry)
    return VectorWalk(geometry) if geometry.schedule.adjacent else SpreadWalk(geometry)
