"""How the C++ dialect's text reads."""

from __future__ import annotations

import re

from fusekit.codegen import KernelSource, Schedule, Target, emit
from fusekit.codegen.dialects.clike import CLike
from fusekit.codegen.dialects.cpp import CppDialect
from fusekit.ir import DType, Graph, parse_graph
from fusekit.specs import ArgSpec, Stride, TensorDesc
from tests.codegen import harness
from tests.codegen.graphs import mixed

GENERIC = Target("generic", "", 32)


def text_of(graph: Graph, ndim: int, *strides: str) -> KernelSource:
    classes = {"0": Stride.BROADCAST, "1": Stride.UNIT, "s": Stride.STRIDED}
    spec = harness.kernel_spec(graph)
    descs = [
        TensorDesc(graph.dtype(i), tuple(classes[c] for c in text), graph.dtype(i).itemsize)
        for i, text in zip((*graph.tensor_inputs, *graph.outputs), strides, strict=True)
    ]
    count = len(graph.tensor_inputs)
    args = ArgSpec("cpu", ndim, tuple(descs[:count]), tuple(descs[count:]))
    return emit(spec, CppDialect(spec, args, Schedule(16, 4096), GENERIC))


def test_text_of_one_loop(golden):
    graph = parse_graph(
        "graph g(%0: f32, %1: f32, %2: bool, %3: scalar f64) {\n"
        "  %4: f32 = cast %3 dtype=f32\n"
        "  %5: f32 = const dtype=f32 value=-0.1\n"
        "  %6: f32 = fma %0, %5, %4\n"
        "  %7: f32 = select %2, %6, %1\n"
        "  %8: f32 = sqrt %7\n"
        "  %9: bool = signbit %8\n"
        "  %10: i64 = cast %8 dtype=i64\n"
        "  return %8, %9, %10\n"
        "}\n"
    )
    golden(text_of(graph, 1, "1", "s", "0", "1", "1", "1").text)


def test_text_of_three_dimensions_with_a_trap(golden):
    graph = parse_graph(
        "graph g(%0: i32, %1: i32, %2: f16) {\n"
        "  %3: i32 = floordiv %0, %1\n"
        "  %4: f32 = cast %2 dtype=f32\n"
        "  %5: f32 = cast %3 dtype=f32\n"
        "  %6: f32 = mul %4, %5\n"
        "  %7: f16 = cast %6 dtype=f16\n"
        "  return %7\n"
        "}\n"
    )
    golden(text_of(graph, 3, "ss1", "0s0", "s0s", "ss1").text)


def test_a_function_is_written_once_however_often_it_is_called():
    graph = parse_graph(
        "graph g(%0: f32) {\n"
        "  %1: f32 = tanh %0\n"
        "  %2: f32 = exp %1\n"
        "  %3: f32 = tanh %2\n"
        "  return %3\n"
        "}\n"
    )
    text = text_of(graph, 1, "1", "1").text
    assert text.count("float tanh_f32(float n0) {") == 1
    assert "    const float n1 = tanh_f32(n0);\n    const float n2 = exp_f32(n1);\n" in text


def test_lines_point_at_their_values():
    source = text_of(mixed(), 2, "s1", "0s", "s0", "s1", "ss")
    lines = source.text.splitlines()
    for value in mixed().values:
        name = rf"\bn{value.id}\b"
        for first, last in source.lines_of(value.id):
            assert all(re.search(name, line) for line in lines[first - 1 : last])


def test_only_what_is_called_is_defined():
    text = text_of(harness.single("add", DType.F32), 1, "1", "1", "1").text
    assert text.count("{") == 2  # the kernel and its loop
    helpers = set(CLike.helpers)
    assert not helpers & set(re.findall(r"\w+", text))


def test_the_users_names_stay_out_of_the_text():
    graph = parse_graph("graph evil(%0: f32) {\n  %1: f32 = neg %0\n  return %1\n}\n")
    object.__setattr__(graph, "name", '*/ #include "/etc/passwd"')
    assert "passwd" not in text_of(graph, 1, "1", "1").text
