"""CUDA kernels whose threads compute neighbours: along rows, or on across the ends of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fusekit.codegen.dialects.cuda_walks import Operand, Walk
from fusekit.codegen.geometry import Geometry
from fusekit.specs import Stride

__all__ = ["FlatWalk", "VectorWalk"]


class VectorWalk(Walk):
    """A thread computes neighbours, which it loads and stores at once where they are aligned."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__(geometry)
        self.lanes = geometry.schedule.lanes
        self.left = "" if self.args.inner_multiple else ", left"
        self.packs: list[Operand] = []
        self.gathered: list[Operand] = []
        self.needs_number = self.needs_coordinates = False

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
        """Loads one by one, the results' vectors, and the loop over lanes."""
        body = self.needs_number, self.needs_coordinates
        yield from self.gathering()
        self.needs_number, self.needs_coordinates = body
        for operand in self.packs:
            yield f"pack<{operand.kind}, {self.lanes}> {operand.name}_at;"
        yield from self.loop()

    def gathering(self) -> Iterator[str]:
        """What is not loaded as a vector, in a loop of its own: all of it is then on its way."""
        if not self.gathered:
            return
        self.needs_number = self.needs_coordinates = False
        for operand in self.gathered:
            yield f"{operand.kind} {operand.name}_at[{self.lanes}];"
        offsets = [self.offset(operand) for operand in self.gathered]
        yield from self.loop()
        for operand, offset in zip(self.gathered, offsets, strict=True):
            yield f"  {operand.name}_at[lane] = {operand.name}[{offset}];"
        yield "}"

    def loop(self) -> Iterator[str]:
        """The head of a loop over lanes, with what was asked for."""
        yield "#pragma unroll"
        yield f"for (int lane = 0; lane < {self.lanes}; ++lane) {{"
        yield from (f"  {line}" for line in self.lane_lines())

    def lane_lines(self) -> Iterator[str]:
        """The lane's coordinate."""
        if self.needs_number:
            yield self.declared("i", f"{self.coordinates[-1]} + {self.within}")

    def tail(self) -> Iterator[str]:
        """The end of the loop, and the stores."""
        yield "}"
        for operand in self.packs:
            yield f"store({self.address(operand)}, {operand.name}_at{self.left});"

    def hoisted(self, operand: Operand) -> str | None:
        """What is the same along a row."""
        if operand.inner is not Stride.BROADCAST:
            return None
        return f"{operand.name}[{operand.offset(self.coordinates)}]"

    def vector(self, operand: Operand) -> Sequence[str]:
        """For what is aligned."""
        if not self._is_packed(operand):
            return ()
        loaded = f"load<{self.lanes}>({self.address(operand)}{self.left})"
        return (f"const pack<{operand.kind}, {self.lanes}> {operand.name}_at = {loaded};",)

    def element(self, operand: Operand) -> str:
        """A lane of the vector, or a load of its own."""
        if self._is_packed(operand):
            return operand.lane(f"{operand.name}_at")
        self.gathered.append(operand)
        return operand.loaded(f"{operand.name}_at[lane]")

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
        self.needs_number = True
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

    def _is_packed(self, operand: Operand) -> bool:
        size = operand.desc.dtype.itemsize * self.lanes
        return operand.inner is Stride.UNIT and operand.desc.alignment >= size


class FlatWalk(VectorWalk):
    """Vectors run across the ends of rows; each lane finds its own coordinates if it needs them."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__(geometry)
        self.left = ", left"

    def head(self) -> Iterator[str]:
        """Where the vector begins, counted in elements."""
        sizes = " * ".join(f"size{dim}" for dim in range(self.args.ndim))
        yield self.declared("total", sizes)
        yield self.declared("first", self.scaled_position())
        yield "if (first >= total) return;"
        yield self.remaining("total - first")

    def lane_lines(self) -> Iterator[str]:
        """The lane's number, and its coordinates."""
        if self.needs_number:
            yield self.declared("i", f"first + {self.within}")
        if self.needs_coordinates:
            # beyond the end only the outermost coordinate is out of bounds
            *lines, _ = self.decomposed("element")
            yield self.declared("element", "first + lane")
            yield from lines
            yield self.declared("i0", f"min(q1, size0 - {self.number(1)})")

    def hoisted(self, operand: Operand) -> str | None:
        """What is the same for all."""
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
            self.needs_number = True
            return "i"
        self.needs_coordinates = True
        return operand.offset(self.coordinates)

    def _is_packed(self, operand: Operand) -> bool:
        return operand.desc.flat and super()._is_packed(operand)
