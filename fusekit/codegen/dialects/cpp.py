"""C++17 for the host: loops with OpenMP, one element a step, left to the compiler to vectorise.

No header but <stdint.h> is included: <cmath> alone would double the compile time.

Outputs may be inputs (in place), so nothing is `__restrict`; `omp simd` states what does hold, that
no element depends on another one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from fusekit.codegen.cpu_walks import TILE
from fusekit.codegen.dialects.c_helpers import called
from fusekit.codegen.dialects.clike import LIBRARY, CLike, Line, spans
from fusekit.codegen.layout import layout_words
from fusekit.codegen.schedule import Schedule, Target
from fusekit.codegen.source import KernelSource, Parameter
from fusekit.ir import DType
from fusekit.specs import ArgSpec, KernelSpec, Stride, TensorDesc

__all__ = ["CppDialect"]

_BLOCKS_PER_GRAIN = 4
"""Blocks of elements in what is worth a thread: enough for threads to share the work evenly."""

_BLOCK_MULTIPLE = 64
"""Of whole vectors of the narrowest type, so that a long row is cut where no vector is."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Tensor:
    """A tensor argument, by name."""

    name: str
    desc: TensorDesc

    @property
    def pointer(self) -> str:
        """The name of the pointer to the current row."""
        return f"{self.name}_row" if self.outer else self.name

    @property
    def outer(self) -> str:
        """The offset of the current row; empty if it is always the first."""
        terms = [
            f"i{dim}" if stride is Stride.UNIT else f"i{dim} * {self.name}_stride{dim}"
            for dim, stride in enumerate(self.desc.strides[:-1])
            if stride is not Stride.BROADCAST
        ]
        return " + ".join(terms)

    @property
    def uniform(self) -> bool:
        """True when one element serves a whole row."""
        return self.desc.strides[-1:] in ((), (Stride.BROADCAST,))

    @property
    def value(self) -> str:
        """The current value of an index."""
        *_, inner = self.desc.strides or (Stride.BROADCAST,)
        terms = [f"{self.name}_start", self.outer]
        if inner is Stride.UNIT:
            terms.append("i")
        elif inner is Stride.STRIDED:
            terms.append(f"i * {self.name}_stride{len(self.desc.strides) - 1}")
        return " + ".join(term for term in terms if term)

    @property
    def element(self) -> str:
        """The current element."""
        if self.uniform:
            return f"{self.pointer}[0]"
        if self.desc.strides[-1] is Stride.UNIT:
            return f"{self.pointer}[i]"
        return f"{self.pointer}[i * {self.name}_stride{len(self.desc.strides) - 1}]"


class CppDialect(CLike):
    """One kernel in C++.

    The entry point takes the layout array, the scalars, the inputs and the outputs, and returns 1
    if an integer was divided by zero.
    """

    language = "cpp"
    inline = "[[gnu::always_inline]] static inline"

    def __init__(self, spec: KernelSpec, args: ArgSpec, schedule: Schedule, target: Target) -> None:
        super().__init__()
        del target  # left to the compiler's -march: the text is the same on every machine
        self.spec = spec
        self.args = args
        self.schedule = schedule
        self.inputs = [_Tensor(f"in{i}", desc) for i, desc in enumerate(args.inputs)]
        self.outputs = [_Tensor(f"out{i}", desc) for i, desc in enumerate(args.outputs)]
        self.indices = [_Tensor(f"index{i}", desc) for i, desc in enumerate(args.indices)]
        self._rows: list[Line] = []
        self.depth = {0: 1, 1: 2}.get(args.ndim, 4)

    def begin(self) -> None:
        """Nothing: the loops are written around the body at the end."""

    def load(self, tensor: int, result: int) -> str:
        """One line; in front of the inner loop if the whole row reads one element."""
        source = self.inputs[tensor]
        element = source.element
        if source.desc.dtype is DType.BOOL:
            element += " != 0"
        return self._read(source, element, result)

    def index(self, position: int, result: int) -> str:
        """One line, as for a load."""
        source = self.indices[position]
        return self._read(source, source.value, result)

    def _read(self, source: _Tensor, element: str, result: int) -> str:
        if source.uniform and self.args.ndim:
            line = f"const {self.types[source.desc.dtype]} n{result} = {element};"
            self._rows.append(("  " * (self.depth - 1) + line, result))
            return f"n{result}"
        return self.assign(source.desc.dtype, result, element)

    def scalar(self, index: int, result: int) -> str:
        """A parameter bears the value's name."""
        del index
        return f"n{result}"

    def apply(self, op: str, operands: Sequence[str], dtype: DType, result: int) -> str:
        """As everywhere in C; division of integers notes whether it was by zero."""
        if op in _DIVISIONS and dtype.is_integral and not self._literals.get(operands[1]):
            self.write(f"trapped |= {operands[1]} == 0;", result)
        return super().apply(op, operands, dtype, result)

    def store(self, tensor: int, value: str) -> None:
        """One line."""
        text = f"{self.outputs[tensor].element} = {value};"
        self.write(text, self.spec.tensors_out[tensor])

    def end(self) -> KernelSource:
        """Put loops around the body and what it calls in front of it."""
        entry = [*self._entry(), *self._sizes(), *self._loops(), *self._returns()]
        body = "\n".join(text for text, _ in entry)
        definitions = list(self.definitions(body))
        prototypes = _prototypes("\n".join([body, *definitions]))
        head = ["#include <stdint.h>", *prototypes, *definitions, ""]
        lines: list[Line] = [*((text, None) for text in head), *entry]
        return KernelSource(
            language=self.language,
            text="\n".join(text for text, _ in lines) + "\n",
            symbol=self.spec.symbol,
            parameters=self._parameters(),
            lines=spans(lines),
        )

    # the entry point --------------------------------------------------------------------------

    def _parameters(self) -> tuple[Parameter, ...]:
        graph = self.spec.graph
        return (
            Parameter("layout", "layout", DType.I64),
            *(Parameter("scalar", f"n{i}", graph.dtype(i)) for i in graph.scalar_inputs),
            *(Parameter("input", item.name, item.desc.dtype) for item in self.inputs),
            *(Parameter("output", item.name, item.desc.dtype) for item in self.outputs),
        )

    def _entry(self) -> Iterator[Line]:
        declared = [(self._declared(item), item) for item in self._parameters()]
        yield f'extern "C" int32_t {self.spec.symbol}(', None
        for index, (text, item) in enumerate(declared):
            value = int(item.name[1:]) if item.kind == "scalar" else None
            yield f"    {text}{',' if index + 1 < len(declared) else ') {'}", value

    def _declared(self, parameter: Parameter) -> str:
        kind = "uint8_t" if parameter.dtype is DType.BOOL else self.types[parameter.dtype]
        match parameter.kind:
            case "scalar":
                return f"{self.types[parameter.dtype]} {parameter.name}"
            case "output":
                return f"{kind}* {parameter.name}"
            case _:
                return f"const {kind}* {parameter.name}"

    def _sizes(self) -> Iterator[Line]:
        names = [item.name for item in (*self.inputs, *self.outputs, *self.indices)]
        for position, word in enumerate(layout_words(self.args)):
            yield f"  const int64_t {word.name(names)} = layout[{position}];", None
        if self.spec.traps:
            yield "  int32_t trapped = 0;", None

    def _returns(self) -> Iterator[Line]:
        yield f"  return {'trapped' if self.spec.traps else '0'};", None
        yield "}", None

    # the loops --------------------------------------------------------------------------------

    def _loops(self) -> Iterator[Line]:
        match self.args.ndim:
            case 0:
                yield from self._body
            case 1:
                yield from self._one_loop()
            case _ if all(self.schedule.block):
                yield from self._tiles()
            case _:
                yield from self._blocks()

    @property
    def _reduction(self) -> str:
        return " reduction(|: trapped)" if self.spec.traps else ""

    def _one_loop(self) -> Iterator[Line]:
        yield from self._rows
        grain = self.schedule.grain
        pragma = f"#pragma omp parallel for simd if (parallel: size0 > {grain}){self._reduction}"
        yield pragma, None
        yield "  for (int64_t i = 0; i < size0; ++i) {", None
        yield from self._body
        yield "  }", None

    def _blocks(self) -> Iterator[Line]:
        """Threads take blocks of the flat range of elements; a row may be split between two."""
        grain = self.schedule.grain
        block = max(grain // _BLOCKS_PER_GRAIN // _BLOCK_MULTIPLE, 1) * _BLOCK_MULTIPLE
        inner = f"size{self.args.ndim - 1}"
        for text in (
            f"  const int64_t total = {' * '.join(f'size{d}' for d in range(self.args.ndim))};",
            f"#pragma omp parallel for if (total > {grain}){self._reduction}",
            f"  for (int64_t block = 0; block < total; block += {block}) {{",
            f"    int64_t left = total - block < {block} ? total - block : {block};",
            *self._first_indices(),
            "    while (left > 0) {",
            f"      const int64_t end = left < {inner} - begin ? begin + left : {inner};",
            *self._row_pointers(),
        ):
            yield text, None
        yield from self._rows
        yield f"#pragma omp simd{self._reduction}", None
        yield "      for (int64_t i = begin; i < end; ++i) {", None
        yield from self._body
        for text in ("      }", *self._next_row(), "    }", "  }"):
            yield text, None

    def _tiles(self) -> Iterator[Line]:
        """Threads take tiles of the two innermost dimensions: an input is transposed there."""
        *outer, row, column = range(self.args.ndim)
        height, width = TILE
        grain = max(self.schedule.grain // (height * width), 1)
        counts = " * ".join([*(f"size{d}" for d in outer), "down", "across"])
        for text in (
            f"  const int64_t down = (size{row} + {height - 1}) / {height};",
            f"  const int64_t across = (size{column} + {width - 1}) / {width};",
            f"  const int64_t total = {counts};",
            f"#pragma omp parallel for if (total > {grain}){self._reduction}",
            "  for (int64_t tile = 0; tile < total; ++tile) {",
            f"    const int64_t begin = tile % across * {width};",
            f"    const int64_t wide = size{column} - begin;",
            f"    const int64_t end = begin + (wide < {width} ? wide : {width});",
            f"    const int64_t top = tile / across % down * {height};",
            f"    const int64_t bottom = size{row} - top < {height} ? size{row} : top + {height};",
            *self._outer_indices("tile / across / down", outer),
            f"    for (int64_t i{row} = top; i{row} < bottom; ++i{row}) {{",
            *self._row_pointers(),
        ):
            yield text, None
        yield from self._rows
        yield f"#pragma omp simd{self._reduction}", None
        yield "      for (int64_t i = begin; i < end; ++i) {", None
        yield from self._body
        for text in ("      }", "    }", "  }"):
            yield text, None

    def _first_indices(self) -> Iterator[str]:
        """Where a block begins."""
        *outer, inner = range(self.args.ndim)
        yield f"    int64_t begin = block % size{inner};"
        yield from self._outer_indices(f"block / size{inner}", outer)

    def _outer_indices(self, number: str, outer: Sequence[int]) -> Iterator[str]:
        """Where something is that has this number, counted along the last of `outer` first."""
        for dim in reversed(outer):
            divided = "".join(f" / size{d}" for d in range(outer[-1], dim, -1))
            yield f"    int64_t i{dim} = {number}{divided}{f' % size{dim}' if dim else ''};"

    def _row_pointers(self) -> Iterator[str]:
        for item, const in (
            *((item, "const ") for item in self.inputs),
            *((item, "") for item in self.outputs),
        ):
            if item.outer:
                dtype = item.desc.dtype
                kind = "uint8_t" if dtype is DType.BOOL else self.types[dtype]
                yield f"      {const}{kind}* const {item.pointer} = {item.name} + {item.outer};"

    def _next_row(self) -> Iterator[str]:
        yield "      left -= end - begin;"
        yield "      begin = 0;"
        indent = " " * 6
        for dim in range(self.args.ndim - 2, 0, -1):
            yield f"{indent}if (++i{dim} == size{dim}) {{"
            indent += "  "
            yield f"{indent}i{dim} = 0;"
        yield f"{indent}++i0;"
        yield from (" " * width + "}" for width in range(len(indent) - 2, 4, -2))


_DIVISIONS = frozenset({"floordiv", "truncdiv", "remainder", "fmod"})


def _prototypes(text: str) -> Iterator[str]:
    """Declarations of the C library's functions that `text` calls."""
    names = called(text)
    for name, arity in LIBRARY.items():
        for function, kind in ((f"{name}f", "float"), (name, "double")):
            if function in names:
                yield f'extern "C" {kind} {function}({", ".join([kind] * arity)});'
