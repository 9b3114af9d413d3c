"""The entry point of an LLVM kernel, and its share among OpenMP threads.

libtorch has loaded an OpenMP runtime whose threads PyTorch uses too: `torch.set_num_threads` holds
here as well, and no second pool competes for the cores.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from fusekit.codegen.dialects.llvm_tensors import extents, read_layout
from fusekit.codegen.schedule import Schedule
from fusekit.codegen.source import Parameter
from fusekit.ir import DType
from fusekit.specs import ArgSpec

__all__ = ["QUICKLY", "SCALARS", "blocks_along", "declarations", "entry_point", "signature"]

QUICKLY = "noinline optnone"
"""What runs once for a call is compiled in a third of the time without optimisation."""

SCALARS = {DType.F64: "double", DType.I64: "i64", DType.BOOL: "i1 zeroext"}


def signature(parameters: Sequence[Parameter]) -> str:
    """The parameters as a function lists them, and as a call of one with the same names does."""
    return ", ".join(f"{_type(p)} %{p.name}" for p in parameters)


def _type(parameter: Parameter) -> str:
    return SCALARS[parameter.dtype] if parameter.kind == "scalar" else "ptr"


def _fields(parameters: Sequence[Parameter]) -> list[tuple[str, str]]:
    """The frame that the threads share: types and names; first whether any of them trapped."""
    shared = [(_type(p).split()[0], p.name) for p in parameters]  # without attributes
    return [("i32", "trapped"), ("i64", "total"), *shared]


def blocks_along(rows: str, columns: str, block: tuple[int, int]) -> Iterator[str]:
    """%down and %across: how many blocks there are along the two innermost dimensions."""
    for name, extent, side in zip(("down", "across"), (rows, columns), block, strict=True):
        yield f"  %{name}.above = add i64 {extent}, {side - 1}"
        yield f"  %{name} = udiv i64 %{name}.above, {side}"


def entry_point(
    symbol: str, parameters: Sequence[Parameter], args: ArgSpec, schedule: Schedule
) -> Iterator[str]:
    """The entry point, and what each thread runs; both call `<symbol>.range`.

    Elements are counted, or blocks of them.
    """
    grain, unit, counts = schedule.grain, schedule.lanes, extents(args)
    if all(schedule.block):
        grain, unit = max(grain // math.prod(schedule.block), 1), 1
        counts = (*counts[:-2], "%down", "%across")
    passed = signature(parameters)
    yield f"define i32 @{symbol}({passed}) {QUICKLY} {{"
    yield "entry:"
    if args.ndim == 0:
        yield f"  %answer = call i32 @{symbol}.range({passed}, i64 0, i64 1)"
        yield "  ret i32 %answer"
        yield "}"
        return
    yield f"  %frame = alloca %{symbol}.frame"
    yield from read_layout(args, strides=False)
    if all(schedule.block):
        rows, columns = extents(args)[-2:]
        yield from blocks_along(rows, columns, schedule.block)
    product = counts[0]
    for dim, extent in enumerate(counts[1:], start=1):
        yield f"  %rows{dim} = mul i64 {product}, {extent}"
        product = f"%rows{dim}"
    yield f"  %total = add i64 {product}, 0"
    yield "  %empty = icmp eq i64 %total, 0"
    yield "  br i1 %empty, label %nothing, label %something"
    yield ""
    yield "nothing:"
    yield "  ret i32 0"
    yield ""
    yield "something:"
    yield f"  %large = icmp ugt i64 %total, {grain}"
    yield "  br i1 %large, label %many, label %alone"
    yield ""
    yield "alone:"
    yield f"  %answer = call i32 @{symbol}.range({passed}, i64 0, i64 %total)"
    yield "  ret i32 %answer"
    yield ""
    yield from _team(symbol, parameters, grain)
    yield "}"
    yield ""
    yield from _thread(symbol, parameters, unit)


def _team(symbol: str, parameters: Sequence[Parameter], grain: int) -> Iterator[str]:
    """Enough elements for several threads: ask for them, unless this is one of several."""
    yield "many:"
    yield "  %available = call i32 @omp_get_max_threads()"
    yield "  %inside = call i32 @omp_in_parallel()"
    yield "  %outside = icmp eq i32 %inside, 0"
    yield "  %several = icmp sgt i32 %available, 1"
    yield "  %together = and i1 %outside, %several"
    yield "  br i1 %together, label %team, label %alone"
    yield ""
    yield "team:"
    for index, (kind, name) in enumerate(_fields(parameters)):
        value = "0" if name == "trapped" else f"%{name}"
        yield from _field(symbol, index, name)
        yield f"  store {kind} {value}, ptr %{name}.field"
    yield f"  %worth = udiv i64 %total, {grain}"
    yield "  %useful = add i64 %worth, 1"
    yield "  %most = zext i32 %available to i64"
    yield "  %size = call i64 @llvm.umin.i64(i64 %useful, i64 %most)"
    yield "  %threads = trunc i64 %size to i32"
    yield f"  call void @GOMP_parallel(ptr @{symbol}.thread, ptr %frame, i32 %threads, i32 0)"
    yield "  %trapped = load i32, ptr %trapped.field"
    yield "  ret i32 %trapped"


def _field(symbol: str, index: int, name: str) -> Iterator[str]:
    yield f"  %{name}.field = getelementptr %{symbol}.frame, ptr %frame, i32 0, i32 {index}"


def _thread(symbol: str, parameters: Sequence[Parameter], unit: int) -> Iterator[str]:
    """What one thread runs: an equal share, in multiples of `unit`."""
    yield "; one thread's share"
    yield f"define internal void @{symbol}.thread(ptr %frame) {QUICKLY} {{"
    yield "entry:"
    fields = _fields(parameters)
    for index, (kind, name) in enumerate(fields):
        yield from _field(symbol, index, name)
        if name != "trapped":
            yield f"  %{name} = load {kind}, ptr %{name}.field"
    yield "  %team.i32 = call i32 @omp_get_num_threads()"
    yield "  %number.i32 = call i32 @omp_get_thread_num()"
    yield "  %team = zext i32 %team.i32 to i64"
    yield "  %number = zext i32 %number.i32 to i64"
    yield f"  %unit = mul i64 %team, {unit}"
    yield "  %padded = add i64 %total, %unit"
    yield "  %above = sub i64 %padded, 1"
    yield "  %vectors = udiv i64 %above, %unit"
    yield f"  %share = mul i64 %vectors, {unit}"
    yield "  %begin = mul i64 %number, %share"
    yield "  %full = add i64 %begin, %share"
    yield "  %end = call i64 @llvm.umin.i64(i64 %full, i64 %total)"
    yield "  %some = icmp ult i64 %begin, %end"
    yield "  br i1 %some, label %work, label %done"
    yield ""
    yield "work:"
    passed = signature(parameters)
    yield f"  %answer = call i32 @{symbol}.range({passed}, i64 %begin, i64 %end)"
    yield "  %bad = icmp ne i32 %answer, 0"
    yield "  br i1 %bad, label %trap, label %done"
    yield ""
    yield "trap:"
    yield "  store atomic i32 1, ptr %trapped.field monotonic, align 4"
    yield "  br label %done"
    yield ""
    yield "done:"
    yield "  ret void"
    yield "}"


def declarations(symbol: str, parameters: Sequence[Parameter]) -> Iterator[str]:
    """What `entry_point` needs where there are dimensions to share out."""
    yield f"%{symbol}.frame = type {{ {', '.join(kind for kind, _ in _fields(parameters))} }}"
    yield ""
    yield "declare i32 @omp_in_parallel()"
    yield "declare i32 @omp_get_max_threads()"
    yield "declare i32 @omp_get_num_threads()"
    yield "declare i32 @omp_get_thread_num()"
    yield "declare void @GOMP_parallel(ptr, ptr, i32, i32)"
    yield ""
