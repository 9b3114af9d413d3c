"""CUDA C++ for NVRTC: no header at all, one kernel a text.

Nothing but outputs is written, and outputs are never inputs (the runtime writes in place through a
copy), so every pointer is `__restrict__`, which lets loads take the read-only path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from fusekit.codegen.dialects.c_helpers import Helper
from fusekit.codegen.dialects.clike import CLike, Line, spans
from fusekit.codegen.dialects.cuda_helpers import CUDA_HELPERS, typedefs
from fusekit.codegen.dialects.cuda_walks import Operand, make_walk
from fusekit.codegen.geometry import Geometry
from fusekit.codegen.gpu_schedule import GpuSchedule
from fusekit.codegen.schedule import Target
from fusekit.codegen.source import KernelSource, Parameter
from fusekit.ir import DType
from fusekit.specs import ArgSpec, KernelSpec, TensorDesc

__all__ = ["CudaDialect"]


class CudaDialect(CLike):
    """One kernel in CUDA C++.

    The entry point takes the scalars, the inputs, the outputs and the words of its `Geometry`.
    """

    language = "cuda"
    helpers: ClassVar[Mapping[str, Helper]] = CUDA_HELPERS
    inline: ClassVar[str] = "static __device__ __forceinline__"
    own_functions: ClassVar[bool] = True
    single: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self, spec: KernelSpec, args: ArgSpec, schedule: GpuSchedule, target: Target
    ) -> None:
        super().__init__()
        del target  # left to NVRTC: the text is the same for every GPU
        self.spec = spec
        self.geometry = Geometry(args, schedule)
        self.walk = make_walk(self.geometry)
        self.inputs = [self._operand(f"in{i}", desc) for i, desc in enumerate(args.inputs)]
        self.outputs = [self._operand(f"out{i}", desc) for i, desc in enumerate(args.outputs)]
        self.indices = [self._operand(f"index{i}", desc) for i, desc in enumerate(args.indices)]
        self.depth = self.walk.depth
        self._hoisted: list[Line] = []

    def _operand(self, name: str, desc: TensorDesc) -> Operand:
        return Operand(name, self._stored(desc.dtype), desc)

    def _stored(self, dtype: DType) -> str:
        return "uint8_t" if dtype is DType.BOOL else self.types[dtype]

    # the dialect ------------------------------------------------------------------------------

    def begin(self) -> None:
        """Nothing: the walk is written around the body at the end."""

    def load(self, tensor: int, result: int) -> str:
        """One line in the body, or in front of it for what serves several elements."""
        source = self.inputs[tensor]
        text = self.walk.hoisted(source)
        is_pack = text is not None and text.startswith("load<")
        if text is not None and not is_pack:
            line = (
                f"  const {self.types[source.desc.dtype]} n{result} = {self._read(source, text)};"
            )
            self._hoisted.append((line, result))
            return f"n{result}"
        if is_pack:
            line = f"  const pack<{source.kind}, {self.geometry.schedule.lanes}> {source.name}_at"
            self._hoisted.append((f"{line} = {text};", result))
        element = self._read(source, self.walk.element(source))
        return self.assign(source.desc.dtype, result, element)

    @staticmethod
    def _read(source: Operand, text: str) -> str:
        return f"{text} != 0" if source.desc.dtype is DType.BOOL else text

    def scalar(self, index: int, result: int) -> str:
        """A parameter bears the value's name."""
        del index
        return f"n{result}"

    def index(self, position: int, result: int) -> str:
        """One line: where a tensor's element would lie is what an index is."""
        source = self.indices[position]
        text = f"{source.name}_start + {self.walk.offset(source)}"
        return self.assign(DType.I64, result, text.removesuffix(" + 0"))

    def store(self, tensor: int, value: str) -> None:
        """One line."""
        self.write(self.walk.store(self.outputs[tensor], value))

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
        declared = [(self._declared(item), item) for item in self._parameters()]
        block = self.geometry.schedule.block
        yield f'extern "C" __global__ void __launch_bounds__({block}) {self.spec.symbol}(', None
        for index, (text, item) in enumerate(declared):
            value = int(item.name[1:]) if item.kind == "scalar" else None
            yield f"    {text}{',' if index + 1 < len(declared) else ') {'}", value

    def _declared(self, parameter: Parameter) -> str:
        kind = self._stored(parameter.dtype)
        match parameter.kind:
            case "scalar" | "word":
                return f"const {self.types[parameter.dtype]} {parameter.name}"
            case "output":
                return f"{kind}* __restrict__ {parameter.name}"
            case _:
                return f"const {kind}* __restrict__ {parameter.name}"

    def _lines(self) -> Iterator[Line]:
        yield from self._indented(self.walk.head())
        yield from self._hoisted
        yield from self._indented(self.walk.opening())
        yield from self._body
        yield from self._indented(self.walk.tail())
        yield "}", None

    @staticmethod
    def _indented(lines: Iterator[str]) -> Sequence[Line]:
        return [(text if text.startswith("#") else f"  {text}", None) for text in lines]
