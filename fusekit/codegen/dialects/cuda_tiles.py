"""CUDA kernels that read transposed inputs in squares, through shared memory."""

from __future__ import annotations

from collections.abc import Iterator

from fusekit.codegen.dialects.cuda_walks import Operand, Walk
from fusekit.codegen.geometry import Geometry
from fusekit.specs import Stride

__all__ = ["TileWalk", "WideTileWalk"]


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
        yield f"{self.index} rest = {self.block};"
        for dim in (self.last, self.cross):
            up = self.number(self.side - 1)
            yield self.declared(f"tiles{dim}", f"(size{dim} + {up}) / {side}")
            yield self.declared(f"first{dim}", f"rest % tiles{dim} * {side}")
            yield f"rest /= tiles{dim};"
        for dim in range(self.last - 1, -1, -1):
            if dim != self.cross:
                yield self.declared(f"i{dim}", f"rest % size{dim}")
                yield f"rest /= size{dim};"
        yield from self.place()

    def place(self) -> Iterator[str]:
        """The thread's place in the first rows of the square."""
        yield self.declared("column", f"threadIdx.x % {self.number(self.side)}")
        yield self.declared("row", f"threadIdx.x / {self.number(self.side)}")

    def shared(self) -> Iterator[str]:
        """The squares."""
        for operand in self.tiled:
            # a row ends on an odd bank, so that a column of 32 touches all of them
            width = self.side + max(4 // operand.desc.dtype.itemsize, 1)
            square = f"{operand.name}_tile[{self.side}][{width}]"
            yield f"__shared__ alignas(16) {operand.kind} {square};"

    def opening(self) -> Iterator[str]:
        """Transposed inputs into shared memory, and the loop over the rows of the square."""
        yield from self.shared()
        yield from self._loop(along=self.cross, across=self.last)
        yield from self.squares()
        yield "}"
        yield "__syncthreads();"
        yield from self._loop(along=self.last, across=self.cross)
        inside = [f"first{self.last} + column < size{self.last}"]
        inside.append(f"first{self.cross} + row + step < size{self.cross}")
        yield f"  const bool inside = {' && '.join(inside)};"

    def squares(self) -> Iterator[str]:
        """What one step puts into them."""
        for operand in self.tiled:
            offset = operand.offset(self.coordinates)
            yield f"  {operand.name}_tile[row + step][column] = {operand.name}[{offset}];"

    def is_tiled(self, operand: Operand) -> bool:
        """True for an input that is transposed in the dimension of the tiles."""
        is_far = operand.inner is Stride.STRIDED
        return is_far and operand.desc.strides[self.cross] is Stride.UNIT

    def tail(self) -> Iterator[str]:
        """The end of the loop."""
        yield "}"

    def hoisted(self, operand: Operand) -> str | None:
        """What is the same for all."""
        return f"{operand.name}[0]" if operand.is_constant else None

    def element(self, operand: Operand) -> str:
        """From shared memory if it was put there."""
        if self.is_tiled(operand):
            self.tiled.append(operand)
            return operand.loaded(f"{operand.name}_tile[column][row + step]")
        return operand.loaded(f"{operand.name}[{operand.offset(self.coordinates)}]")

    def store(self, operand: Operand, value: str) -> str:
        """Straight to memory."""
        return f"if (inside) {operand.name}[{operand.offset(self.coordinates)}] = {value};"

    def _loop(self, along: int, across: int) -> Iterator[str]:
        """Over the square, neighbouring threads along one dimension; clamped at the edges."""
        lanes = self.schedule.lanes
        yield "#pragma unroll"
        rows = self.schedule.block * lanes // self.side
        yield f"for (int step = 0; step < {self.side}; step += {rows}) {{"
        for dim, position, width in ((along, "column", lanes), (across, "row + step", 1)):
            last = f"size{dim} - {self.number(width)}"
            yield "  " + self.declared(f"i{dim}", f"min(first{dim} + {position}, {last})")


class WideTileWalk(TileWalk):
    """A thread moves neighbours at once, so that narrow types too fill what a warp can move."""

    depth = 3

    def __init__(self, geometry: Geometry) -> None:
        super().__init__(geometry)
        self.lanes = geometry.schedule.lanes
        self.packed_inputs: list[Operand] = []
        self.packed_outputs: list[Operand] = []

    def place(self) -> Iterator[str]:
        """A warp is a row of the square."""
        columns = self.side // self.lanes
        lanes = self.number(self.lanes)
        yield self.declared("column", f"threadIdx.x % {self.number(columns)} * {lanes}")
        yield self.declared("row", f"threadIdx.x / {self.number(columns)}")

    def squares(self) -> Iterator[str]:
        """Vectors, which the extents are multiples of."""
        for operand in self.tiled:
            address = f"{operand.name} + {operand.offset(self.coordinates)}"
            target = f"&{operand.name}_tile[row + step][column]"
            yield f"  store({target}, load<{self.lanes}>({address}));"

    def opening(self) -> Iterator[str]:
        """Transposed inputs into shared memory, and the loops over rows and lanes."""
        yield from super().opening()
        for operand in self.packed_inputs:
            address = f"{operand.name} + {operand.offset(self.coordinates)}"
            pack = f"const pack<{operand.kind}, {self.lanes}> {operand.name}_at"
            yield f"  {pack} = load<{self.lanes}>({address});"
        for operand in self.packed_outputs:
            yield f"  pack<{operand.kind}, {self.lanes}> {operand.name}_at;"
        yield "#pragma unroll"
        yield f"  for (int lane = 0; lane < {self.lanes}; ++lane) {{"

    def tail(self) -> Iterator[str]:
        """The stores, and the ends of the loops."""
        yield "  }"
        for operand in self.packed_outputs:
            address = f"{operand.name} + {operand.offset(self.coordinates)}"
            yield f"  if (inside) store({address}, {operand.name}_at);"
        yield "}"

    def element(self, operand: Operand) -> str:
        """From shared memory, from a vector, or from memory."""
        if operand.inner is Stride.UNIT:
            self.packed_inputs.append(operand)
            return operand.lane(f"{operand.name}_at")
        if self.is_tiled(operand):
            self.tiled.append(operand)
            return operand.loaded(f"{operand.name}_tile[column + lane][row + step]")
        return operand.loaded(f"{operand.name}[{self.offset(operand)}]")

    def offset(self, operand: Operand) -> str:
        """That of the lane."""
        return operand.offset([*self.coordinates[:-1], f"(i{self.last} + lane)"])

    def store(self, operand: Operand, value: str) -> str:
        """Into the result's vector."""
        self.packed_outputs.append(operand)
        return f"{operand.name}_at.set(lane, {value});"
