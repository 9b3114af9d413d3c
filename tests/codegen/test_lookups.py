"""Tables inside kernels: the op `lookup` in every dialect, and the functions that use it."""

from __future__ import annotations

import pytest
import torch

from fusekit import vecmath
from fusekit.codegen import Target, emit_nodes
from fusekit.codegen.dialects.cpp import CppDialect
from fusekit.codegen.dialects.reference import ReferenceDialect
from fusekit.compilers.host_cxx import HostCxx
from fusekit.ir import DType, GraphBuilder
from fusekit.vecmath import tabled
from tests.codegen import harness
from tests.codegen.harness import llvm
from tests.vecmath.evaluate import evaluate, ulps
from tests.vecmath.inputs import strided

HOST = llvm().compiler.target()
permutes = pytest.mark.skipif(
    "+avx512f" not in HOST.features.split(","), reason="this machine has no AVX-512"
)
compiles = pytest.mark.skipif(bool(HostCxx().unavailable()), reason="no C++ compiler")

NUMBERS = torch.cat([torch.arange(200), torch.tensor([2**31 - 1, -1, -32])]).to(torch.int32)


def looked_up(entries: int):
    """A graph that looks the bits of an int32 up, and what it gives for NUMBERS."""
    table = torch.linspace(-1.5, 7.25, entries).tolist()
    builder = GraphBuilder()
    number = builder.bitcast(builder.input(DType.I32), DType.U32)
    graph = builder.finish([builder.lookup(number, table, DType.F32)])
    return graph, torch.tensor(table)[NUMBERS.long() & (entries - 1)]


@permutes
@pytest.mark.parametrize("entries", [16, 32])
def test_by_permutation(entries):
    graph, want = looked_up(entries)
    result = harness.launch(graph, NUMBERS)
    assert torch.equal(result.outputs[0], want)
    assert ("vpermi2var" in result.source.text) == (entries == 32)


@compiles
@pytest.mark.parametrize("entries", [2, 16])
def test_in_cpp(entries):
    graph, want = looked_up(entries)
    engine = harness.Engine(CppDialect, HostCxx())
    (got,) = harness.run(graph, NUMBERS, engine=engine)
    assert torch.equal(got, want)


def test_in_the_reference():
    graph, want = looked_up(16)
    reference = ReferenceDialect(harness.kernel_spec(graph), [NUMBERS], [])
    values = {graph.inputs[0]: NUMBERS}
    emit_nodes(graph, values, reference)
    assert torch.equal(values[graph.outputs[0]], want)


@pytest.mark.parametrize("op", tabled.FUNCTIONS)
def test_only_registers_that_can_be_permuted_use_tables(op):
    graph = harness.single(op, DType.F32)
    x = torch.linspace(-5, 5, 1001)
    for target in (HOST, Target("x86-64-v3", "+avx2,+fma", 32)):
        text = harness.launch(graph, x, target=target).source.text
        assert ("permvar" in text or "vpermi2var" in text) == ("+avx512f" in target.features)


@permutes
@pytest.mark.parametrize("op", tabled.FUNCTIONS)
def test_the_kernel_computes_what_the_graph_says(op):
    """And so its error is the one that tests/vecmath finds for the graph."""
    x = strided(0, 1 << 16, 65521)
    (got,) = harness.run(harness.single(op, DType.F32), torch.from_numpy(x))
    function = vecmath.function(op, DType.F32, tables=True)
    assert function is not None
    assert ulps(got.numpy(), evaluate(function, x).astype(float)).max() <= 1
