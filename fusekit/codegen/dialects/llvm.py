"""The LLVM dialect: explicit vectors of the host's width, threads through OpenMP.

The text of a kernel, from top to bottom: helper functions (vecmath, library calls), the function
`<symbol>.range` with the loops and the body, the entry point `<symbol>`, and what one thread runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from fusekit import routines
from fusekit.codegen.dialects import llvm_casts as casts
from fusekit.codegen.dialects import llvm_division as division
from fusekit.codegen.dialects import llvm_functions as functions
from fusekit.codegen.dialects import llvm_library as library
from fusekit.codegen.dialects import llvm_lookups as lookups
from fusekit.codegen.dialects import llvm_ops as ops
from fusekit.codegen.dialects import llvm_routines
from fusekit.codegen.dialects import llvm_threads as threads
from fusekit.codegen.dialects import llvm_types as types
from fusekit.codegen.dialects.llvm_blocks import BlockLoops
from fusekit.codegen.dialects.llvm_code import NAMES, Code, fill
from fusekit.codegen.dialects.llvm_loops import Loops
from fusekit.codegen.dialects.llvm_periods import PeriodicLoops
from fusekit.codegen.emit import emit_function
from fusekit.codegen.schedule import Schedule, Target
from fusekit.codegen.source import KernelSource, Parameter, Spans
from fusekit.ir import DType, Graph
from fusekit.ir.graph import Literal
from fusekit.specs import ArgSpec, KernelSpec

__all__ = ["LlvmDialect"]

_SPLAT = """
    %.lane = insertelement {t} poison, {e} {x}, i64 0
    % = shufflevector {t} %.lane, {t} poison, <{L} x i32> zeroinitializer"""

_HALVES = frozenset({"+f16c", "+neon"})
"""Each of these CPU features converts halves."""


class LlvmDialect:
    """Generates one kernel as LLVM assembly. A value is an operand: a name, or a constant.

    The kernel is `i32 <symbol>(ptr layout, scalars..., ptr inputs..., ptr outputs...)`; a scalar
    is a double, int64_t or bool. It returns 1 if it met an integer division by zero, else 0.
    """

    language = "llvm"
    own_functions: ClassVar[bool] = False

    def __init__(self, spec: KernelSpec, args: ArgSpec, schedule: Schedule, target: Target) -> None:
        """A kernel of `spec` for arguments like `args`."""
        self._spec = spec
        self._args = args
        self._schedule = schedule
        self._target = target
        self._lanes = schedule.lanes
        self._loops = self._make_loops()
        self._kernel = Code(schedule.lanes, loops=True)
        self._code = self._kernel
        self._helpers: dict[str, list[str]] = dict(self._loops.helpers)
        self._half_instructions = not _HALVES.isdisjoint(target.features.split(","))

    @property
    def has_tables(self) -> bool:
        """True where a permutation of a register takes its lanes from a register or two."""
        return lookups.fits(self._lanes, self._target)

    def begin(self) -> None:
        """Nothing to do: the text is put together at the end."""

    def load(self, tensor: int, result: int) -> str:
        """A vector of elements."""
        lines = self._loops.load(tensor, f"%n{result}")
        return self._code.add(result, lines, steady=False)

    def scalar(self, index: int, result: int) -> str:
        """A vector with the scalar in every lane."""
        dtype = self._spec.graph.dtype(result)
        lines = fill(
            _SPLAT,
            f"%n{result}",
            t=types.vector(dtype, self._lanes),
            e=types.element(dtype),
            x=f"%scalar{index}",
            L=str(self._lanes),
        )
        return self._code.add(result, lines, steady=True)

    def index(self, position: int, result: int) -> str:
        """A vector of int64."""
        return self._code.add(result, self._loops.index(position, f"%n{result}"), steady=False)

    def const(self, literal: Literal, dtype: DType, result: int) -> str:
        """An operand: it takes no instruction."""
        del result
        return types.literal(literal, dtype)

    def cast(self, operand: str, source: DType, target: DType, result: int) -> str:
        """By as many hops as PyTorch takes."""
        for dtype in casts.route(source, target):
            known = self._code.rounded.get(operand) if dtype is DType.F32 else None
            if known is not None:
                operand = self._code.step_of(result, operand, known)
                source = dtype
                continue
            part = "" if dtype is target else dtype.value
            row = casts.hop(source, dtype, half_instructions=self._half_instructions)
            into = types.vector(dtype, self._lanes)
            title = f"cast {source.value} to {dtype.value}"
            operand = self._code.fill(
                row, result, source, [operand], part=part, title=title, r=into
            )
            if source is DType.F32 and (wide := casts.widened(dtype)):
                self._code.rounded[operand] = f"{operand}.{wide}"
            source = dtype
        return operand

    def bitcast(self, operand: str, source: DType, target: DType, result: int) -> str:
        """The same bits."""
        into = types.vector(target, self._lanes)
        return self._code.fill("% = bitcast {t} {x} to {r}", result, source, [operand], r=into)

    def lookup(self, operand: str, table: Sequence[Literal], dtype: DType, result: int) -> str:
        """A permutation of the table, a register at a time."""
        row = lookups.row(table, self._lanes)
        return self._code.fill(
            row, result, DType.U32, [operand], r=types.vector(dtype, self._lanes)
        )

    def apply(self, op: str, operands: Sequence[str], dtype: DType, result: int) -> str:
        """A row of a table, or a helper function."""
        row = ops.row(op, dtype)
        if row == ops.IDENTITY:
            return self._code.same(result, operands[0])
        if row is None and dtype.is_integral:
            row = division.row(op, dtype, types.constant_of(operands[-1]))
        if row is not None:
            steady = self._code.is_steady(*operands)
            active = "splat (i1 true)" if steady else Loops.ACTIVE
            return self._code.fill(row, result, dtype, operands, title=op, active=active)
        name = f"{op}_{dtype.value}"
        self._need(op, dtype)
        return self._call(name, operands, dtype, result)

    def call(self, function: Graph, operands: Sequence[str], dtype: DType, result: int) -> str:
        """A call of a helper function."""
        if function.name not in self._helpers:
            self._helpers.update(functions.definitions(function, self._lanes, self._function))
        return self._call(function.name, operands, dtype, result)

    def store(self, tensor: int, value: str) -> None:
        """A vector of elements."""
        self._code.store(self._spec.tensors_out[tensor], self._loops.store(tensor, value))

    def end(self) -> KernelSource:
        """The whole text."""
        symbol = self._spec.symbol
        parameters = self._parameters()
        lines = list(self._head())
        for helper in self._helpers.values():
            # two of them may call the same function of the library
            lines += [line for line in helper if not (_declares(line) and line in lines)]
            lines.append("")
        passed = threads.signature(parameters)
        lines.append("; the elements [first, last)")
        lines.append(f"define internal i32 @{symbol}.range({passed}, i64 %first, i64 %last) {{")
        lines += self._loops.before(self._kernel.once)
        spans = self._spans(lines)
        lines += self._kernel.body
        lines += [*self._loops.after(), "}", ""]
        lines += threads.entry_point(symbol, parameters, self._args, self._schedule)
        lines += self._loops.metadata
        return KernelSource(
            language=self.language,
            text="\n".join(lines) + "\n",
            symbol=symbol,
            parameters=parameters,
            lines=spans,
            includes_target=True,
        )

    # parts of the above

    def _make_loops(self) -> Loops:
        chosen, traps = self._schedule, self._spec.traps
        if all(chosen.block):
            return BlockLoops(self._args, chosen, traps=traps)
        made = PeriodicLoops if self._args.outputs[0].flat else Loops
        return made(self._args, chosen, traps=traps)

    def _parameters(self) -> tuple[Parameter, ...]:
        graph = self._spec.graph
        scalars = [graph.dtype(i) for i in graph.scalar_inputs]
        return (
            Parameter("layout", "layout", DType.I64),
            *(Parameter("scalar", f"scalar{i}", dtype) for i, dtype in enumerate(scalars)),
            *(Parameter("input", x.name, x.dtype) for x in self._loops.inputs),
            *(Parameter("output", x.name, x.dtype) for x in self._loops.outputs),
        )

    def _head(self) -> Iterator[str]:
        target = self._target
        yield (
            f"; {self._spec.symbol} for {target.name}, {target.vector_bytes} bytes in a register, "
            f"{self._lanes} elements in a step"
        )
        yield ""
        if self._args.ndim:
            yield from threads.declarations(self._spec.symbol, self._parameters())

    def _spans(self, before: Sequence[str]) -> tuple[tuple[int, Spans], ...]:
        """Lines of the values, given the lines of the text that stand before the body."""
        code = self._kernel
        starts = {id(code.body): len(before)}
        if code.once:
            starts[id(code.once)] = _index_of(code.once[0], before)
        found = []
        for value, runs in sorted(code.spans.items()):
            placed = [
                (starts[id(section)] + first + 1, starts[id(section)] + last + 1)
                for section, first, last in runs
            ]
            found.append((value, tuple(sorted(placed))))
        return tuple(found)

    def _call(self, name: str, operands: Sequence[str], dtype: DType, result: int) -> str:
        arguments = ", ".join(f"{{t}} {{{x}}}" for x in NAMES[: len(operands)])
        row = f"% = call {{t}} @{name}({arguments})"
        return self._code.fill(row, result, dtype, operands)

    def _function(self, function: Graph) -> tuple[list[str], list[str]]:
        """The instructions of a vecmath function, and its outputs."""
        outer, self._code = self._code, Code(self._lanes, loops=False)
        outputs = emit_function(function, [f"%n{i}" for i in function.inputs], self)
        body, self._code = self._code.body, outer
        return body, outputs

    def _need(self, op: str, dtype: DType) -> None:
        """Make sure of the helper function that computes `op`: by a library, or a routine."""
        name = f"{op}_{dtype.value}"
        if name in self._helpers:
            return
        routine = routines.routine(op)
        if routine is not None:
            for each in routine.family():
                self._helpers.setdefault(each.name, list(llvm_routines.definition(each)))
            self._helpers[name] = list(llvm_routines.elementwise(name, routine, dtype, self._lanes))
        elif op == "sigmoid":
            self._need("exp", dtype)
            self._helpers[name] = library.sigmoid(name, dtype, self._lanes)
        elif dtype.is_integral:
            self._helpers[name] = library.power(name, dtype, self._lanes)
        else:
            self._helpers[name] = library.calls(name, op, dtype, self._lanes, self._target)


def _declares(line: str) -> bool:
    return line.startswith("declare ")


def _index_of(line: str, lines: Sequence[str]) -> int:
    """Where a line stands that is known to be there."""
    return next(index for index, other in enumerate(lines) if other == line)
