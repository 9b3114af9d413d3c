"""CUDA kernels that read transposed inputs in squares, through shared memory."""

from __future__ import annotations

from collections.abc import Iterator

from fusekit.codegen.dialects.cuda_walks import Operand, Walk
from fusekit.codegen.geometry import Geometry
from fusekit.specs import Stride

__all__ = ["TileWalk"]


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
