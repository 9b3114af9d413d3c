"""Run a graph through a dialect and its compiler, without the layers above.

    x + 1:  b = GraphBuilder(); ...; run(graph, tensor)  ->  a tuple of tensors

Shapes broadcast, dimensions are collapsed the way the runtime does it (or left as they are), and
outputs are contiguous unless given.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import torch

from fusekit.codegen import KernelSource, Schedule, Target, choose, emit
from fusekit.codegen.layout import layout_words
from fusekit.compilers.base import Artifact, Compiler
from fusekit.frontends.dtypes import FROM_TORCH, TO_TORCH
from fusekit.ir import OPS, DType, Graph, GraphBuilder
from fusekit.specs import ArgSpec, KernelSpec, Stride, TensorDesc

Scalar = bool | int | float
_CTYPES = {DType.F64: ctypes.c_double, DType.I64: ctypes.c_int64, DType.BOOL: ctypes.c_bool}


@dataclasses.dataclass(frozen=True)
class Engine:
    """A dialect class and the compiler of its language."""

    dialect: Callable[[KernelSpec, ArgSpec, Schedule, Target], Any]
    compiler: Compiler

    @functools.cached_property
    def artifacts(self) -> dict[str, Artifact]:
        return {}

    def compile(self, source: KernelSource) -> Artifact:
        if source.text not in self.artifacts:
            self.artifacts[source.text] = self.compiler.compile(source)
        return self.artifacts[source.text]


@functools.cache
def llvm() -> Engine:
    from fusekit.codegen.dialects.llvm import LlvmDialect
    from fusekit.compilers.llvm_jit import LlvmJit

    return Engine(LlvmDialect, LlvmJit())


@dataclasses.dataclass(frozen=True)
class Result:
    """What a launch gave: the outputs, the kernel's return value, and its source."""

    outputs: tuple[torch.Tensor, ...]
    status: int
    source: KernelSource


def kernel_spec(graph: Graph) -> KernelSpec:
    """A spec of a graph without chunks and cats."""
    tensors = len(graph.tensor_inputs)
    return KernelSpec(
        key=hashlib.sha256(str(graph).encode()).hexdigest(),
        graph=graph,
        broadcast_groups=(tuple(range(tensors)),),
        input_partitions=(None,) * tensors,
        output_partitions=(None,) * len(graph.outputs),
        tensors_in=graph.tensor_inputs,
        tensors_out=graph.outputs,
    )


def single(op: str, dtype: DType) -> Graph:
    """The graph of one op with as many inputs of `dtype` as it takes."""
    builder = GraphBuilder(op)
    if op in ("select", "rarely"):
        operands = [builder.input(DType.BOOL), builder.input(dtype), builder.input(dtype)]
    else:
        operands = [builder.input(dtype) for _ in range(OPS[op].arity)]
    return builder.finish([builder.apply(op, *operands)])


def run(graph: Graph, *values: torch.Tensor | Scalar, **options: Any) -> tuple[torch.Tensor, ...]:
    """The outputs of `launch`, which must have met no trap."""
    result = launch(graph, *values, **options)
    assert result.status == 0
    return result.outputs


def launch(
    graph: Graph,
    *values: torch.Tensor | Scalar,
    engine: Engine | None = None,
    out: Sequence[torch.Tensor] | None = None,
    collapse: bool = True,
    lanes: int | None = None,
    grain: int | None = None,
    target: Target | None = None,
    blocks: bool = False,
) -> Result:
    """Generate, compile and call; `values` are the tensors and then the scalars."""
    engine = engine or llvm()
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    scalars = [value for value in values if not isinstance(value, torch.Tensor)]
    shape = torch.broadcast_shapes(*(t.shape for t in tensors))
    if out is None:
        dtypes = [TO_TORCH[graph.dtype(i)] for i in graph.outputs]
        out = [torch.empty(shape, dtype=dtype) for dtype in dtypes]
    everything = [t.expand(shape) for t in (*tensors, *out)]
    extents, strides = dimensions(everything, collapse=collapse)
    spec = kernel_spec(graph)
    descs = [
        TensorDesc(
            FROM_TORCH[t.dtype], classify(s, blocks=blocks and i < len(tensors)), t.element_size()
        )
        for i, (t, s) in enumerate(zip(everything, strides, strict=True))
    ]
    args = ArgSpec("cpu", len(extents), tuple(descs[: len(tensors)]), tuple(descs[len(tensors) :]))
    target = target or engine.compiler.target()
    schedule = choose(spec, args, target)
    schedule = dataclasses.replace(
        schedule, lanes=lanes or schedule.lanes, grain=grain or schedule.grain
    )
    source = emit(spec, engine.dialect(spec, args, schedule, target))
    status = call(engine.compile(source), args, extents, strides, scalars, everything)
    return Result(tuple(out), status, source)


def call(
    artifact: Artifact,
    args: ArgSpec,
    extents: Sequence[int],
    strides: Sequence[Sequence[int]],
    scalars: Sequence[Scalar],
    tensors: Sequence[torch.Tensor],
) -> int:
    """Call a kernel; its return value."""
    words = [
        extents[w.dim] if w.tensor is None else strides[w.tensor][w.dim] for w in layout_words(args)
    ]
    layout = (ctypes.c_int64 * max(len(words), 1))(*words)
    kinds = [_CTYPES[p.dtype] for p in artifact.source.parameters if p.kind == "scalar"]
    prototype = ctypes.CFUNCTYPE(
        ctypes.c_int32, ctypes.c_void_p, *kinds, *[ctypes.c_void_p] * len(tensors)
    )
    addresses = [t.data_ptr() for t in tensors]
    return prototype(artifact.address)(ctypes.addressof(layout), *scalars, *addresses)


def dimensions(
    tensors: Sequence[torch.Tensor], *, collapse: bool
) -> tuple[list[int], list[list[int]]]:
    """Extents, and each tensor's strides, after joining dimensions that all tensors can join."""
    extents: list[int] = []
    strides: list[list[int]] = [[] for _ in tensors]
    for dim, extent in enumerate(tensors[0].shape):
        steps = [t.stride(dim) for t in tensors]
        if collapse and extent == 1:
            continue
        joins = extents and all(
            kept[-1] == step * extent for kept, step in zip(strides, steps, strict=True)
        )
        if collapse and joins:
            extents[-1] *= extent
            for kept, step in zip(strides, steps, strict=True):
                kept[-1] = step
            continue
        extents.append(extent)
        for kept, step in zip(strides, steps, strict=True):
            kept.append(step)
    return extents, strides


def classify(strides: Sequence[int], *, blocks: bool = False) -> tuple[Stride, ...]:
    """What a kernel may know of strides; with `blocks`, that the tensor is transposed."""
    known = {0: Stride.BROADCAST}
    inner = {0: Stride.BROADCAST, 1: Stride.UNIT}
    classes = [known.get(s, Stride.STRIDED) for s in strides[:-1]]
    if blocks and len(strides) > 1 and strides[-2] == 1 and strides[-1] > 1:
        classes[-1] = Stride.UNIT
    return (*classes, *(inner.get(s, Stride.STRIDED) for s in strides[-1:]))
