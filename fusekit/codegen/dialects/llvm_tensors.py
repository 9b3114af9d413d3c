"""The tensors of an LLVM kernel: their names, their strides, and the layout array."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from fusekit.codegen.dialects import llvm_types as types
from fusekit.codegen.layout import layout_words
from fusekit.ir import DType
from fusekit.specs import ArgSpec, Stride

__all__ = ["Tensor", "extents", "read_layout", "tensors"]


@dataclasses.dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor as the loops see it.

    Attributes:
        name: of its pointer, without the percent sign.
        dtype: element type.
        strides: for each dimension, outermost first, its stride as an operand: "0" and "1" where
            that is known.
        inner: the class of its innermost stride.
        lanes: elements in a vector.
        step: its innermost stride where that is a small number, known here; else 0.
    """

    name: str
    dtype: DType
    strides: tuple[str, ...]
    inner: Stride
    lanes: int
    step: int = 0

    @property
    def element(self) -> str:
        """The type of one element in memory."""
        return types.memory(self.dtype)

    @property
    def whole(self) -> str:
        """The type of a vector of them."""
        return f"<{self.lanes} x {self.element}>"

    @property
    def here(self) -> str:
        """Where the body finds its current elements."""
        return f"%{self.name}.{'here' if self.inner is Stride.UNIT else 'pack'}"

    def load(self, value: str, place: str) -> str:
        """The instruction that loads a vector."""
        return f"  {value} = load {self.whole}, ptr {place}, align {self.dtype.itemsize}"

    def store(self, value: str, place: str) -> str:
        """The instruction that stores a vector."""
        return f"  store {self.whole} {value}, ptr {place}, align {self.dtype.itemsize}"

    def repeat(self, place: str, slot: str, name: str) -> Iterator[str]:
        """Store the element at `place` as often as a vector holds it; `name` begins new names."""
        every = f"<{self.lanes} x i32> zeroinitializer"
        yield f"  {name}.one = load {self.element}, ptr {place}"
        yield f"  {name}.lane = insertelement {self.whole} poison, {self.element} {name}.one, i64 0"
        yield f"  {name}.all = shufflevector {self.whole} {name}.lane, {self.whole} poison, {every}"
        yield self.store(f"{name}.all", slot)

    def place(self, base: str, counters: Sequence[str], name: str) -> Iterator[str]:
        """Compute the address `name`: `base`, moved by as many strides as the counters say.

        Counters stand for the innermost dimensions if there are fewer than dimensions.
        """
        lines, offset = self.offset(counters, name)
        yield from lines
        yield f"  {name} = getelementptr {self.element}, ptr {base}, i64 {offset}"

    def offset(self, counters: Sequence[str], name: str) -> tuple[list[str], str]:
        """As many strides as the counters say: the lines, whose names begin with `name`, and it."""
        lines: list[str] = []
        offset = ""
        strides = self.strides[len(self.strides) - len(counters) :]
        for dim, (counter, stride) in enumerate(zip(counters, strides, strict=True)):
            if "0" in (stride, counter):
                continue
            term = counter
            if stride != "1":
                term = f"{name}.term{dim}"
                lines.append(f"  {term} = mul i64 {counter}, {stride}")
            if offset:
                lines.append(f"  {name}.sum{dim} = add i64 {offset}, {term}")
                term = f"{name}.sum{dim}"
            offset = term
        return lines, offset or "0"


def tensors(args: ArgSpec, lanes: int) -> tuple[tuple[Tensor, ...], ...]:
    """The inputs, in0 and on, the outputs, out0 and on, and the indices, index0 and on."""
    names = [f"in{i}" for i in range(len(args.inputs))]
    names += [f"out{i}" for i in range(len(args.outputs))]
    names += [f"index{i}" for i in range(len(args.indices))]
    known = {Stride.BROADCAST: "0", Stride.UNIT: "1"}
    found = []
    for name, desc in zip(names, args.operands, strict=True):
        strides = tuple(known.get(s, f"%{name}.stride{d}") for d, s in enumerate(desc.strides))
        # a single element: a row of one
        inner = desc.strides[-1] if desc.strides else Stride.UNIT
        found.append(Tensor(name, desc.dtype, strides or ("1",), inner, lanes, desc.step))
    inputs, n_tensors = len(args.inputs), len(args.tensors)
    return tuple(found[:inputs]), tuple(found[inputs:n_tensors]), tuple(found[n_tensors:])


def extents(args: ArgSpec) -> tuple[str, ...]:
    """For each dimension, outermost first, its extent as an operand; at least one dimension."""
    return tuple(f"%extent{dim}" for dim in range(args.ndim)) or ("1",)


def read_layout(args: ArgSpec, *, strides: bool) -> Iterator[str]:
    """Read the extents out of the layout array, and the strides if asked to."""
    names = [tensor.name for group in tensors(args, 1) for tensor in group]
    for index, word in enumerate(layout_words(args)):
        name = f"%extent{word.dim}"
        if word.tensor is not None:
            if not strides:
                continue
            part = "start" if word.kind == "start" else f"stride{word.dim}"
            name = f"%{names[word.tensor]}.{part}"
        yield f"  {name}.at = getelementptr i64, ptr %layout, i64 {index}"
        yield f"  {name} = load i64, ptr {name}.at, align 8"
