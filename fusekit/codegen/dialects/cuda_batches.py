"""CUDA kernels that run many calls in one launch: the table of calls is their one parameter.

The table holds the number of each call's first block, its words, and a row of 8-byte slots with its
scalars and addresses. A block finds its call by bisection, and from there on the text is that of a
kernel for one call. Parameters lie in constant memory, where a block's threads read all at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from fusekit.codegen.source import Parameter
from fusekit.ir import DType

__all__ = ["SLOT", "CallTable"]

SLOT = 8
"""Bytes of a scalar or an address; a bool takes as many."""


@dataclasses.dataclass(frozen=True, slots=True)
class CallTable:
    """The parameter.

    Attributes:
        parameters: what a kernel for one call takes.
        calls: how many it has room for, a power of two.
        index: the type of words.
    """

    parameters: tuple[Parameter, ...]
    calls: int
    index: str

    @property
    def slots(self) -> tuple[Parameter, ...]:
        """Scalars, inputs and outputs: what is in a row."""
        return tuple(item for item in self.parameters if item.kind != "word")

    @property
    def words(self) -> tuple[Parameter, ...]:
        """What follows from the sizes of a call."""
        return tuple(item for item in self.parameters if item.kind == "word")

    def definition(self, member: Callable[[Parameter], str]) -> Iterator[str]:
        """The types, given how a parameter is declared as a member."""
        yield "struct row {"
        for item in self.slots:
            is_bool = item.kind == "scalar" and item.dtype is DType.BOOL
            yield f"  {f'uint64_t {item.name}' if is_bool else member(item)};"
        yield "};"
        yield ""
        yield "struct table {"
        yield f"  uint32_t first[{self.calls}];"
        if self.words:
            yield f"  {self.index} words[{self.calls}][{len(self.words)}];"
        yield f"  row rows[{self.calls}];"
        yield "};"

    def opening(self, *, numbered: bool) -> Iterator[str]:
        """Lines that find the block's call, and, if asked for, its number among the call's."""
        yield "uint32_t call = 0;"
        yield "#pragma unroll"
        yield f"for (uint32_t step = {self.calls // 2}u; step; step /= 2)"
        yield "  if (given.first[call + step] <= blockIdx.x) call += step;"
        if numbered:
            yield "const uint32_t block = blockIdx.x - given.first[call];"

    def value(self, item: Parameter) -> str:
        """What a parameter is in that call."""
        if item.kind == "word":
            return f"given.words[call][{self.words.index(item)}]"
        text = f"given.rows[call].{item.name}"
        return f"{text} != 0" if item.kind == "scalar" and item.dtype is DType.BOOL else text
