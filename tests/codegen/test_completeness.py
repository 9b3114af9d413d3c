"""Every pointwise op of the IR is spelled in every dialect, for every dtype that it takes."""

from __future__ import annotations

import importlib

import pytest
import torch

from fusekit.codegen import Schedule, Target, emit
from fusekit.codegen.dialects.reference import ReferenceDialect
from fusekit.frontends.dtypes import TO_TORCH
from fusekit.ir import OPS, DType, GraphBuilder, Rule
from fusekit.specs import ArgSpec, Stride, TensorDesc
from tests.codegen import harness

POINTWISE = [op for op in OPS.values() if op.rule in (Rule.SAME, Rule.COMPARE, Rule.SELECT)]
DIALECTS = {"cpp": "CppDialect", "llvm": "LlvmDialect"}


def generate(name, graph) -> str:
    """The text of `graph`, or what the reference makes of ones."""
    spec = harness.kernel_spec(graph)
    if name == "reference":
        dtypes = [TO_TORCH[graph.dtype(i)] for i in graph.tensor_inputs]
        reference = ReferenceDialect(spec, [torch.ones(3, dtype=d) for d in dtypes], [])
        emit(spec, reference)
        (got,) = reference.outputs
        assert got.dtype is TO_TORCH[graph.dtype(graph.outputs[0])]
        return reference.end().text
    dialect = getattr(importlib.import_module(f"fusekit.codegen.dialects.{name}"), DIALECTS[name])
    ids = (*graph.tensor_inputs, *graph.outputs)
    descs = [TensorDesc(graph.dtype(i), (Stride.UNIT,), graph.dtype(i).itemsize) for i in ids]
    args = ArgSpec("cpu", 1, tuple(descs[:-1]), tuple(descs[-1:]))
    return emit(spec, dialect(spec, args, Schedule(), Target())).text


@pytest.mark.parametrize("dialect", ["reference", *DIALECTS])
def test_every_op_is_spelled_for_every_dtype(dialect):
    missing = []
    for op in POINTWISE:
        for dtype in filter(op.accepts, DType):
            try:
                assert generate(dialect, harness.single(op.name, dtype))
            except (KeyError, NotImplementedError, ValueError) as error:
                missing.append(f"{op.name} {dtype}: {error!r}")
    assert not missing


@pytest.mark.parametrize("dialect", ["reference", *DIALECTS])
def test_every_cast_bitcast_and_literal_is_spelled(dialect):
    for source in DType:
        for target in DType:
            builder = GraphBuilder()
            x = builder.input(source)
            results = [builder.apply("copy", builder.const(True, target))]
            if source is not target:
                results.append(builder.cast(x, target))
            if source.bits == target.bits and DType.BOOL not in (source, target):
                results.append(builder.bitcast(x, target))
            for result in results:
                made = GraphBuilder()
                made.values, made.nodes, made._inputs = builder.values, builder.nodes, [x]
                assert generate(dialect, made.finish([result]))
