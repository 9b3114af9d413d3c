"""A loop over many calls of one CPU kernel, shared out among OpenMP threads.

A kernel is any function with the entry point's signature, whichever engine compiled it: the loop
takes its address. There are two tables of 8-byte slots. A row of the first is a call: the scalars,
then the addresses of inputs and outputs. A row of the second is a piece of a call: the call's row,
the address of the piece's layout, and how many bytes behind each address it begins. Threads take
the next piece that is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fusekit.codegen.dialects.llvm_threads import QUICKLY, SCALARS
from fusekit.codegen.source import KernelSource, Parameter
from fusekit.ir import DType

__all__ = ["batch_source"]

_LETTERS = {DType.F64: "d", DType.I64: "l", DType.BOOL: "b"}
_STORED = {DType.F64: "double", DType.I64: "i64", DType.BOOL: "i8"}


def batch_source(kernel: Sequence[Parameter]) -> KernelSource:
    """The loop for kernels with these parameters, in LLVM assembly.

    It is `i32 f(ptr kernel, ptr calls, ptr pieces, i64 count, i64 threads)`: `count` is of pieces,
    `threads` how many are worth waking. It returns 1 if any of the calls did, else 0.
    """
    letters = "".join(_LETTERS[p.dtype] if p.kind == "scalar" else "p" for p in kernel)
    symbol = f"fk_batch_{letters}"
    return KernelSource(
        language="llvm",
        text="\n".join([*_head(), *_entry(symbol), "", *_thread(symbol, kernel)]) + "\n",
        symbol=symbol,
        parameters=(),
        includes_target=True,
    )


def _head() -> Iterator[str]:
    yield "; kernel, calls, pieces, how many of these, the next one, whether any trapped"
    yield "%frame = type { ptr, ptr, ptr, i64, i64, i32 }"
    yield ""
    yield "declare i32 @omp_in_parallel()"
    yield "declare i32 @omp_get_max_threads()"
    yield "declare void @GOMP_parallel(ptr, ptr, i32, i32)"
    yield ""


_GIVEN = {"kernel": "ptr", "calls": "ptr", "pieces": "ptr", "count": "i64"}


def _fields() -> Iterator[str]:
    for index, name in enumerate([*_GIVEN, "next", "trapped"]):
        yield f"  %{name}.field = getelementptr %frame, ptr %frame, i32 0, i32 {index}"


def _entry(symbol: str) -> Iterator[str]:
    given = ", ".join(f"{kind} %{name}" for name, kind in _GIVEN.items())
    yield f"define i32 @{symbol}({given}, i64 %worth) {QUICKLY} {{"
    yield "entry:"
    yield "  %frame = alloca %frame"
    yield from _fields()
    for name, kind in _GIVEN.items():
        yield f"  store {kind} %{name}, ptr %{name}.field"
    yield "  store i64 0, ptr %next.field"
    yield "  store i32 0, ptr %trapped.field"
    yield "  %available = call i32 @omp_get_max_threads()"
    yield "  %inside = call i32 @omp_in_parallel()"
    yield "  %outside = icmp eq i32 %inside, 0"
    yield "  %most = zext i32 %available to i64"
    yield "  %size = call i64 @llvm.umin.i64(i64 %worth, i64 %most)"
    yield "  %several = icmp ugt i64 %size, 1"
    yield "  %together = and i1 %outside, %several"
    yield "  br i1 %together, label %team, label %alone"
    yield ""
    yield "team:"
    yield "  %threads = trunc i64 %size to i32"
    yield f"  call void @GOMP_parallel(ptr @{symbol}.thread, ptr %frame, i32 %threads, i32 0)"
    yield "  br label %done"
    yield ""
    yield "alone:"
    yield f"  call void @{symbol}.thread(ptr %frame)"
    yield "  br label %done"
    yield ""
    yield "done:"
    yield "  %trapped = load i32, ptr %trapped.field"
    yield "  ret i32 %trapped"
    yield "}"


def _thread(symbol: str, kernel: Sequence[Parameter]) -> Iterator[str]:
    yield "; piece after piece, until none is left"
    yield f"define internal void @{symbol}.thread(ptr %frame) {{"
    yield "entry:"
    yield from _fields()
    for name, kind in _GIVEN.items():
        yield f"  %{name} = load {kind}, ptr %{name}.field"
    yield "  br label %step"
    yield ""
    yield "step:"
    yield "  %number = atomicrmw add ptr %next.field, i64 1 monotonic"
    yield "  %some = icmp ult i64 %number, %count"
    yield "  br i1 %some, label %work, label %done"
    yield ""
    yield "work:"
    given = kernel[1:]  # but for the layout
    n_tensors = sum(parameter.kind != "scalar" for parameter in given)
    yield f"  %piece.slot = mul i64 %number, {2 + n_tensors}"
    yield "  %piece = getelementptr i64, ptr %pieces, i64 %piece.slot"
    yield "  %row = load i64, ptr %piece"
    yield f"  %call.slot = mul i64 %row, {len(given)}"
    yield "  %call = getelementptr i64, ptr %calls, i64 %call.slot"
    yield "  %layout.at = getelementptr i64, ptr %piece, i64 1"
    yield "  %layout = load ptr, ptr %layout.at"
    passed = ["ptr %layout"]
    for slot, parameter in enumerate(given):
        name = f"%slot{slot}"
        yield f"  {name}.at = getelementptr i64, ptr %call, i64 {slot}"
        if parameter.kind == "scalar":
            yield f"  {name}.word = load {_STORED[parameter.dtype]}, ptr {name}.at"
            name = f"{name}.{'bit' if parameter.dtype is DType.BOOL else 'word'}"
            passed.append(f"{SCALARS[parameter.dtype]} {name}")
            if parameter.dtype is DType.BOOL:
                yield f"  {name} = trunc i8 %slot{slot}.word to i1"
            continue
        more = 2 + slot - (len(given) - n_tensors)
        yield f"  {name}.base = load ptr, ptr {name}.at"
        yield f"  {name}.more.at = getelementptr i64, ptr %piece, i64 {more}"
        yield f"  {name}.more = load i64, ptr {name}.more.at"
        yield f"  {name} = getelementptr i8, ptr {name}.base, i64 {name}.more"
        passed.append(f"ptr {name}")
    yield f"  %answer = call i32 %kernel({', '.join(passed)})"
    yield "  %bad = icmp ne i32 %answer, 0"
    yield "  br i1 %bad, label %trap, label %step"
    yield ""
    yield "trap:"
    yield "  store atomic i32 1, ptr %trapped.field monotonic, align 4"
    yield "  br label %step"
    yield ""
    yield "done:"
    yield "  ret void"
    yield "}"
