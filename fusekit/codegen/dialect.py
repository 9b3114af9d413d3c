"""What the one walk asks of a target language; generic in how a value is represented."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol, TypeVar

from fusekit.codegen.source import KernelSource
from fusekit.ir import DType, Graph
from fusekit.ir.graph import Literal

__all__ = ["Dialect"]

V = TypeVar("V")


class Dialect(Protocol[V]):
    """A target language.

    A dialect object generates one kernel. The walk calls `begin`, then `scalar`, `load`, `index`
    and the node methods in data-flow order, then `store` for each output and `end`; all of it
    happens inside the innermost loop, which `begin` opens and `end` closes. `result` is the id of
    the value being computed: dialects name it n<id>, so that the same names show in every language.

    `V` is a value: C++ text, an LLVM value, a tensor.

    Attributes:
        language: what `KernelSource.language` says.
        own_functions: True where the target has float32 functions of its own that are as good as
            eager PyTorch's, because it calls the same; vecmath's are not used then.
    """

    language: str
    own_functions: ClassVar[bool]

    @property
    def has_tables(self) -> bool:
        """True where `lookup` is about as cheap as an addition: vecmath then uses it."""

    def begin(self) -> None:
        """Open the kernel and the loops."""

    def load(self, tensor: int, result: int) -> V:
        """The current element(s) of `KernelSpec.tensors_in[tensor]`."""

    def scalar(self, index: int, result: int) -> V:
        """The scalar input number `index`."""

    def index(self, position: int, result: int) -> V:
        """`KernelSpec.indices[position]`: its first value, moved by its strides; an i64."""

    def const(self, literal: Literal, dtype: DType, result: int) -> V:
        """A literal of `dtype`."""

    def cast(self, operand: V, source: DType, target: DType, result: int) -> V:
        """C++ conversion; to bool: != 0; halves round to nearest even; bool counts as 0 or 1."""

    def bitcast(self, operand: V, source: DType, target: DType, result: int) -> V:
        """The same bits as another dtype of the same width."""

    def lookup(self, operand: V, table: Sequence[Literal], dtype: DType, result: int) -> V:
        """The entry of `table` whose number is the low bits of a u32."""

    def apply(self, op: str, operands: Sequence[V], dtype: DType, result: int) -> V:
        """Any other pointwise op; `dtype` is its last operand's (select: that of the branches)."""

    def call(self, function: Graph, operands: Sequence[V], dtype: DType, result: int) -> V:
        """A vecmath function, emitted as a helper the first time it is called."""

    def store(self, tensor: int, value: V) -> None:
        """Write to `KernelSpec.tensors_out[tensor]`."""

    def end(self) -> KernelSource:
        """Close loops and kernel."""
