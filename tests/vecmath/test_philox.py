"""Philox4x32-10 against the vectors that its authors publish, and what numbers are made of it."""

from __future__ import annotations

import pytest
import torch

import fusekit
from fusekit.codegen import emit
from fusekit.codegen.dialects.cpp import CppDialect
from fusekit.codegen.dialects.reference import ReferenceDialect
from fusekit.compilers.host_cxx import HostCxx
from fusekit.errors import GraphError
from fusekit.frontends.dtypes import TO_TORCH
from fusekit.ir import DType, Graph, GraphBuilder, parse_graph, print_graph
from tests.codegen import harness

ALL = 2**64 - 1
# Random123, kat_vectors: key and counter, low words first, and the words of the result
VECTORS = [
    (0, 0, 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (ALL, ALL, ALL, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        0x299F31D0_A4093822,
        0x85A308D3_243F6A88,
        0x03707344_13198A2E,
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def signed(word: int) -> int:
    return word - 2**64 if word >> 63 else word


OPERANDS = [torch.tensor([signed(row[i]) for row in VECTORS for _ in "01"]) for i in range(3)]
HALVES = torch.tensor([0, 1] * len(VECTORS))
RESULTS = [
    signed(high << 32 | low) for *_, words in VECTORS for low, high in (words[:2], words[2:])
]


def evaluate(engine: str, graph: Graph, *tensors: torch.Tensor) -> torch.Tensor:
    if engine == "reference":
        dialect = ReferenceDialect(harness.kernel_spec(graph), tensors, [])
        emit(dialect.spec, dialect)
        return dialect.outputs[0]
    made = harness.Engine(CppDialect, HostCxx()) if engine == "cpp" else harness.llvm()
    return harness.run(graph, *tensors, engine=made)[0]


ENGINES = [
    "llvm",
    "reference",
    pytest.param(
        "cpp",
        marks=pytest.mark.skipif(HostCxx().unavailable() is not None, reason="no C++ compiler"),
    ),
]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_published_vectors(engine: str) -> None:
    found = evaluate(engine, harness.single("philox", DType.I64), *OPERANDS, HALVES)
    assert found.tolist() == RESULTS


def test_the_text_form_holds_an_index_and_philox() -> None:
    text = (
        "graph draw(%0: i64[], %1: scalar i64) {\n"
        "  %2: i64[4,8] = index\n"
        "  %3: i64[4,8] = philox %0, %2, %1, %2\n"
        "  return %3\n"
        "}\n"
    )
    assert print_graph(parse_graph(text)) == text


@pytest.mark.parametrize(
    "line",
    ["%1: f32[4] = index", "%1: i64[4] = index %0", "%1: i32[] = philox %0, %0, %0, %0"],
)
def test_a_graph_is_checked(line: str) -> None:
    with pytest.raises(GraphError):
        parse_graph(f"graph wrong(%0: i32[]) {{\n  {line}\n  return %1\n}}\n")


@pytest.mark.parametrize("dtype", [DType.F16, DType.BF16, DType.F32, DType.F64], ids=repr)
@pytest.mark.parametrize("engine", ENGINES)
def test_no_bits_make_one(engine: str, dtype: DType) -> None:
    """All ones, the worst case, become the greatest number below 1; see `Draw.uniform`."""
    digits = {DType.F16: 11, DType.BF16: 8, DType.F32: 24, DType.F64: 53}[dtype]
    wide = dtype if dtype is DType.F64 else DType.F32
    builder = GraphBuilder()
    bits = builder.bitcast(builder.input(DType.I64), DType.U64)
    top = builder.apply("shr", bits, builder.const(64 - digits, DType.U64))
    whole = builder.cast(top, DType.I64 if digits > 31 else DType.I32)
    step = builder.const(2.0**-digits, wide)
    number = builder.cast(builder.apply("mul", builder.cast(whole, wide), step), dtype)
    found = evaluate(engine, builder.finish([number]), torch.tensor([-1, 0, 1 << 62]))
    one = torch.ones((), dtype=TO_TORCH[dtype])
    below = 1 - 2.0**-digits
    assert found.tolist() == [below, 0.0, 0.25]
    assert found[0] < one


@pytest.mark.gpu
def test_a_gpu_computes_the_published_vectors() -> None:
    columns = [column.cuda() for column in (*OPERANDS, HALVES)]
    (found,) = fusekit.debug_launch_graph(harness.single("philox", DType.I64), columns)
    assert found.tolist() == RESULTS
