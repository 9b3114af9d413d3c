"""CUDA C++ for NVRTC: no header at all, one kernel a text.

Nothing but outputs is written, and an output shares no memory with any other tensor, so pointers
are `__restrict__`, which lets loads take the read-only path. What is written in place is the
exception: neither of the two pointers promises anything, so that each thread's loads stay in front
of its stores and never take a path that is not told of them. Both have one type and one layout, so
that a thread reads just the elements that it writes; threads at an edge that read a neighbour's,
written or not yet, throw away what they compute from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import ClassVar

import numpy as np

from fusekit.codegen.dialects.c_helpers import Helper
from fusekit.codegen.dialects.clike import CLike, Line, half_bits, spans
from fusekit.codegen.dialects.cuda_batches import CallTable
from fusekit.codegen.dialects.cuda_cycles import CycleWalk
from fusekit.codegen.dialects.cuda_helpers import CUDA_HELPERS, typedefs
from fusekit.codegen.dialects.cuda_tiles import TileWalk, WideTileWalk
from fusekit.codegen.dialects.cuda_vectors import FlatWalk, VectorWalk
from fusekit.codegen.dialects.cuda_walks import Operand, SingleWalk, SpreadWalk, Walk
from fusekit.codegen.geometry import Geometry
from fusekit.codegen.gpu_schedule import GpuSchedule
from fusekit.codegen.schedule import Target
from fusekit.codegen.source import KernelSource, Parameter
from fusekit.ir import OPS, DType, Graph
from fusekit.ir.graph import Literal
from fusekit.specs import ArgSpec, KernelSpec, TensorDesc

__all__ = ["CudaDialect"]

_LARGEST_DIVISOR = 2.0**60

# NVRTC takes it that sums of signed integers never overflow, and has no option against it; unsigned
# ones wrap. What comes after it takes it that abs is never negative, and forgets that a negated
# int16 has 16 bits, so both hide behind a helper. In a template, {T} is the type, {U} an unsigned
# one as wide as C computes in, and {negated} the helper.
_WRAPPING: Mapping[str, str] = {
    "add": "{T}({U}({0}) + {U}({1}))",
    "sub": "{T}({U}({0}) - {U}({1}))",
    "mul": "{T}({U}({0}) * {U}({1}))",
    "neg": "{T}({negated}({0}))",
    "abs": "{0} < 0 ? {negated}({0}) : {0}",
}
_OVERFLOWING: Mapping[DType, tuple[Collection[str], DType, str]] = {
    DType.I16: ({"neg"}, DType.U32, "negated"),
    DType.U16: ({"mul"}, DType.U32, ""),  # C multiplies them as int
    DType.I32: (_WRAPPING, DType.U32, "negated"),
    DType.I64: (_WRAPPING, DType.U64, "negated_wide"),
}

_STORED: Mapping[DType, str] = {DType.BOOL: "uint8_t", DType.BF16: "bfloat_t"}
"""What in memory has another type than in registers."""


class CudaDialect(CLike):
    """One kernel in CUDA C++.

    The entry point takes the scalars, the inputs, the outputs and the words of its `Geometry`; or a
    table of these, for many calls at once.
    """

    language = "cuda"
    helpers: ClassVar[Mapping[str, Helper]] = CUDA_HELPERS
    types: ClassVar[Mapping[DType, str]] = {**CLike.types, DType.BF16: "float"}
    inline: ClassVar[str] = "static __device__ __forceinline__"
    internal: ClassVar[str] = "static __device__"
    own_functions: ClassVar[bool] = True
    own_routines: ClassVar[frozenset[str]] = frozenset({"erfinv"})

    def __init__(
        self, spec: KernelSpec, args: ArgSpec, schedule: GpuSchedule, target: Target
    ) -> None:
        super().__init__()
        del target  # left to NVRTC: the text is the same for every GPU
        self.spec = spec
        self._in_place = {name for i, j in args.in_place for name in (f"in{i}", f"out{j}")}
        self.geometry = Geometry(args, schedule)
        self.walk = _walk(self.geometry)
        self.inputs = [self._operand(f"in{i}", desc) for i, desc in enumerate(args.inputs)]
        self.outputs = [self._operand(f"out{i}", desc) for i, desc in enumerate(args.outputs)]
        self.indices = [self._operand(f"index{i}", desc) for i, desc in enumerate(args.indices)]
        self.depth = self.walk.depth
        self._hoisted: list[Line] = []
        self._derived: list[Line] = []
        self._uniform: set[str] = set()
        self._cyclic: dict[str, int] = {}
        self._operands: dict[int, Sequence[str]] = {}

    def _operand(self, name: str, desc: TensorDesc) -> Operand:
        return Operand(name, self._stored(desc.dtype), desc)

    def _stored(self, dtype: DType) -> str:
        return _STORED.get(dtype) or self.types[dtype]

    # the dialect ------------------------------------------------------------------------------

    def begin(self) -> None:
        """Nothing: the walk is written around the body at the end."""

    def load(self, tensor: int, result: int) -> str:
        """One line in the body, or in front of it for what serves several elements."""
        source = self.inputs[tensor]
        kind = self.types[source.desc.dtype]
        uniform = self.walk.hoisted(source)
        if uniform is not None:
            self._hoist(f"const {kind} n{result} = {source.loaded(uniform)};", result)
            self._uniform.add(f"n{result}")
            return f"n{result}"
        turns = self.walk.cycle(source)
        if turns:
            read = ", ".join(map(source.loaded, turns))
            self._hoist(f"const {kind} n{result}_of[{len(turns)}] = {{{read}}};", result)
            self._cyclic[f"n{result}"] = len(turns)
            return self.assign(source.desc.dtype, result, f"n{result}_of[turn]")
        for line in self.walk.vector(source):
            self._hoist(line, result)
        return self.assign(source.desc.dtype, result, self.walk.element(source))

    def _hoist(self, text: str, value: int | None = None) -> None:
        """Add a line in front of the loop."""
        self._hoisted += self._indented([text], value)

    def _derive(self, text: str) -> None:
        """Add a line behind these, unless it stands there: nothing keeps the loads waiting."""
        line = (f"  {text}", None)
        if line not in self._derived:
            self._derived.append(line)

    def scalar(self, index: int, result: int) -> str:
        """A parameter bears the value's name."""
        del index
        return f"n{result}"

    def index(self, position: int, result: int) -> str:
        """One line: where a tensor's element would lie is what an index is."""
        source = self.indices[position]
        first = self.walk.first_of(source)
        if first is not None:
            self._hoist(self.walk.declared(f"{source.name}_first", first))
            return self.assign(DType.I64, result, f"{source.name}_first + lane")
        text = f"{source.name}_start + {self.walk.offset(source)}"
        return self.assign(DType.I64, result, text.removesuffix(" + 0"))

    def store(self, tensor: int, value: str) -> None:
        """One line."""
        target = self.outputs[tensor]
        text = self.walk.store(target, target.stored(value))
        self.write(text, self.spec.tensors_out[tensor])

    def end(self) -> KernelSource:
        """Put the walk around the body and what it calls in front of it."""
        entry = [*self._entry(), *self._lines()]
        body = "\n".join(text for text, _ in entry)
        definitions = list(self.definitions(body))
        head = [*typedefs("\n".join([body, *definitions])), *definitions, ""]
        lines: list[Line] = [*((text, None) for text in head), *entry]
        return KernelSource(
            language=self.language,
            text="\n".join(text for text, _ in lines).lstrip("\n") + "\n",
            symbol=self.spec.symbol,
            parameters=self._parameters(),
            lines=spans(lines),
            geometry=self.geometry,
        )

    # how CUDA spells it -----------------------------------------------------------------------

    def apply(self, op: str, operands: Sequence[str], dtype: DType, result: int) -> str:
        """As in C, but for what can be had for less."""
        self._operands[result] = operands
        cheap = _CHEAPER.get(op) if dtype is DType.F32 else None
        text = cheap(self, operands, result) if cheap else None
        if text is not None:
            return self.assign(dtype, result, text)
        overflowing, unsigned, negated = _OVERFLOWING.get(dtype, ((), dtype, ""))
        if op in overflowing:
            words = {"T": self.types[dtype], "U": self.types[unsigned], "negated": negated}
            return self.assign(dtype, result, _WRAPPING[op].format(*operands, **words))
        if OPS[op].traps and dtype.is_integral and self._literals.get(operands[1]) == 0:
            operands = (operands[0], f"unknown<{self.types[dtype]}>(0)")
        return super().apply(op, operands, dtype, result)

    def _cheap_sigmoid(self, operands: Sequence[str], result: int) -> str | None:
        if not rounds_to_half(self.spec.graph, result):
            return None
        return f"quick(1.0f, 1.0f + expf(-{operands[0]}))"

    def _cheap_sum(self, operands: Sequence[str], result: int) -> str | None:
        """1 + erf(x), which is most of gelu."""
        graph = self.spec.graph
        inputs = graph.producers[result].inputs
        for erf, one in (inputs, inputs[::-1]):
            maker = graph.producers.get(erf)
            is_one = self._literals.get(operands[inputs.index(one)]) == 1
            if maker and maker.op == "erf" and is_one and rounds_to_half(graph, result):
                return f"one_plus_erf({self._operands[erf][0]})"
        return None

    def _cheap_quotient(self, operands: Sequence[str], result: int) -> str | None:
        x, y = operands
        if rounds_to_half(self.spec.graph, result):
            return f"quick({x}, {y})"
        parts = _reciprocal(self._literals.get(y))
        if parts is not None:
            high, low = (super(CudaDialect, self).literal(part, DType.F32) for part in parts)
            return f"fmaf({x}, {high}, {x} * {low})"
        if y in self._uniform:
            self._derive(f"const ratio per_{y} = reciprocal({y});")
            return f"divided({x}, per_{y})"
        if y in self._cyclic:
            turns = range(self._cyclic[y])
            each = ", ".join(f"reciprocal({y}_of[{turn}])" for turn in turns)
            self._derive(f"const ratio per_{y}[{len(turns)}] = {{{each}}};")
            return f"divided({x}, per_{y}[turn])"
        return None

    def nonfinite(self, value: float, dtype: DType) -> str:
        """NaN and the infinities by their bits."""
        single = dtype is DType.F32
        if value != value:  # noqa: PLR0124  NaN
            bits = "0x7fc00000" if single else "0x7ff8000000000000ll"
        elif value > 0:
            bits = "0x7f800000" if single else "0x7ff0000000000000ll"
        else:
            bits = "0xff800000" if single else "0xfff0000000000000ll"
        return f"{'__int_as_float' if single else '__longlong_as_double'}({bits})"

    def literal(self, value: Literal, dtype: DType) -> str:
        """As in C; a bfloat16 is a float here."""
        if dtype is not DType.BF16:
            return super().literal(value, dtype)
        bits = half_bits(float(value), dtype) << 16
        return super().literal(float(np.uint32(bits).view(np.float32)), DType.F32)

    def bitcast(self, operand: str, source: DType, target: DType, result: int) -> str:
        """As in C, with bfloat16 as in memory."""
        if source is DType.BF16:
            operand = f"packed({operand})"
        text = f"bits_as<{self._stored(target)}>({operand})"
        return self.assign(target, result, f"unpacked({text})" if target is DType.BF16 else text)

    def _converted(self, operand: str, source: DType, target: DType) -> str:
        if source is DType.BF16:
            source = DType.F32
        if target is DType.BF16:
            return f"bfloat({self._converted(operand, source, DType.F32)})"
        if source in (DType.U8, DType.U16) and target is DType.F32:
            return f"small_to_float({operand})"
        return super()._converted(operand, source, target)

    def _whole(self, operand: str, source: DType, target: DType) -> str:
        """A float as an integer: the hardware saturates. PyTorch's uint8 passes through int64."""
        del source
        text = f"int64_t({operand})" if target is DType.U8 else operand
        return f"{self.types[target]}({text})"

    # the entry point --------------------------------------------------------------------------

    def _parameters(self) -> tuple[Parameter, ...]:
        graph = self.spec.graph
        operands = [item.name for item in (*self.inputs, *self.outputs, *self.indices)]
        names = [word.name(operands) for word in self.geometry.words]
        word_type = DType.I64 if self.walk.is_wide else DType.U32
        return (
            *(Parameter("scalar", f"n{i}", graph.dtype(i)) for i in graph.scalar_inputs),
            *(Parameter("input", item.name, item.desc.dtype) for item in self.inputs),
            *(Parameter("output", item.name, item.desc.dtype) for item in self.outputs),
            *(Parameter("word", name, word_type) for name in names),
        )

    def _entry(self) -> Iterator[Line]:
        if self.geometry.args.calls:
            yield from self._entry_of_many()
            return
        declared = [(self._declared(item), item) for item in self._parameters()]
        yield f"{self._signature()}(", None
        for index, (text, item) in enumerate(declared):
            value = int(item.name[1:]) if item.kind == "scalar" else None
            yield f"    {text}{',' if index + 1 < len(declared) else ') {'}", value

    def _signature(self) -> str:
        block = self.geometry.schedule.block
        return f'extern "C" __global__ void __launch_bounds__({block}) {self.spec.symbol}'

    def _entry_of_many(self) -> Iterator[Line]:
        """The table, and the block's call in it under the names that a kernel for one call has."""
        parameters = self._parameters()
        table = CallTable(parameters, self.geometry.args.calls, self.walk.index)
        for text in table.definition(self._member):
            yield text, None
        yield "", None
        yield f"{self._signature()}(const __grid_constant__ table given) {{", None
        yield from self._indented(table.opening(numbered=self.geometry.args.ndim > 0))
        for item in parameters:
            value = int(item.name[1:]) if item.kind == "scalar" else None
            yield f"  {self._declared(item)} = {table.value(item)};", value

    def _member(self, parameter: Parameter) -> str:
        """A parameter as a member of a struct, where nothing is constant by itself."""
        return self._declared(parameter).removeprefix("const ").replace("__restrict__ ", "")

    def _declared(self, parameter: Parameter) -> str:
        kind = self._stored(parameter.dtype)
        promise = "" if parameter.name in self._in_place else "__restrict__ "
        match parameter.kind:
            case "scalar" | "word":
                return f"const {self.types[parameter.dtype]} {parameter.name}"
            case "output":
                return f"{kind}* {promise}{parameter.name}"
            case _:
                return f"const {kind}* {promise}{parameter.name}"

    def _lines(self) -> Iterator[Line]:
        yield from self._indented(self.walk.head())
        yield from self._hoisted
        yield from self._derived
        yield from self._indented(self.walk.opening())
        yield from self._body
        for text, _ in self._indented(self.walk.tail()):
            yield text, self._stored_by(text)
        yield "}", None

    def _stored_by(self, text: str) -> int | None:
        """The value whose vector a line after the body writes to memory."""
        for target, value in zip(self.outputs, self.spec.tensors_out, strict=True):
            if re.search(rf"\b{target.name}_at\b", text):
                return value
        return None

    @staticmethod
    def _indented(lines: Iterable[str], value: int | None = None) -> Sequence[Line]:
        return [(text if text.startswith("#") else f"  {text}", value) for text in lines]


def _walk(geometry: Geometry) -> Walk:
    """The walk of a schedule."""
    if not geometry.args.ndim:
        return SingleWalk(geometry)
    if geometry.schedule.tile:
        return WideTileWalk(geometry) if geometry.schedule.lanes > 1 else TileWalk(geometry)
    if geometry.schedule.steps:
        return CycleWalk(geometry)
    if geometry.schedule.flat:
        return FlatWalk(geometry)
    return VectorWalk(geometry) if geometry.schedule.adjacent else SpreadWalk(geometry)


def rounds_to_half(graph: Graph, value: int) -> bool:
    """True if nothing sees more of a value than a half holds, but for a factor."""
    users = graph.users[value]
    return (
        bool(users)
        and value not in graph.outputs
        and all(
            graph.dtype(node.output).is_storage_only
            if node.op == "cast"
            else node.op in ("mul", "neg") and rounds_to_half(graph, node.output)
            for node in users
        )
    )


def _reciprocal(divisor: Literal | None) -> tuple[float, float] | None:
    """1 / divisor as a float32 nearer to 0 and the rest; see `cuda_helpers`."""
    single = np.float32(divisor or 0)
    is_power = abs(np.frexp(single)[0]) == 0.5
    if is_power or not 1 / _LARGEST_DIVISOR <= abs(single) <= _LARGEST_DIVISOR:
        return None
    exact = 1 / Fraction(float(single))
    high = np.float32(float(exact))
    if abs(Fraction(float(high))) > abs(exact):
        high = np.nextafter(high, np.float32(0))
    return float(high), float(np.float32(float(exact - Fraction(float(high)))))


_CHEAPER: Mapping[str, Callable[[CudaDialect, Sequence[str], int], str | None]] = {
    "add": CudaDialect._cheap_sum,  # noqa: SLF001  the rows of the table are the class's own
    "div": CudaDialect._cheap_quotient,  # noqa: SLF001
    "sigmoid": CudaDialect._cheap_sigmoid,  # noqa: SLF001
}
