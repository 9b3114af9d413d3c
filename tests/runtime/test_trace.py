"""The trace of one element: what leads to it, in each engine's arithmetic and in float64."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  the usual name
from hypothesis import given
from hypothesis import strategies as st

import fusekit
from fusekit.ir import DType
from fusekit.runtime.arithmetic import ulps_between
from fusekit.runtime.columns import spelled
from fusekit.runtime.elements import solve
from fusekit.runtime.elementtrace import ElementTrace, TracedNode
from fusekit.runtime.engines import ENGINES

engines = pytest.mark.parametrize("engine", ["llvm", "cpp", "reference"])


def same(one: Any, other: Any) -> bool:
    """Equal bits, NaN payloads aside."""
    return repr(one) == repr(other)


def made_by(trace: ElementTrace, operator: str) -> TracedNode:
    """The last node of the first call of an operator."""
    return [node for node in trace.nodes if node.origin.startswith(f"aten.{operator}.")][-1]


def check(fused: fusekit.FusedFunction, *args: Any, index: Any, output: int = 0) -> ElementTrace:
    """The trace, whose value is the call's on every engine that runs such calls."""
    trace = fused.trace(*args, index=index, output=output)
    made = fused(*args)
    result = made if isinstance(made, torch.Tensor) else made[output]
    assert same(trace.value, result[index].item())
    assert trace.nodes[-1].values.keys() == set(trace.engines)
    for position, node in enumerate(trace.nodes):
        assert all(read < position for read in node.reads)
        assert tuple(trace.nodes[read].value for read in node.reads) == node.operands
    return trace


# values


@engines
def test_intermediates_are_those_of_eager(engine: str) -> None:
    x, y = torch.randn(4, 5).bfloat16(), torch.randn(4, 5)
    n = torch.randint(-9, 9, (4, 5), dtype=torch.int32)

    def function(x: torch.Tensor, y: torch.Tensor, n: torch.Tensor) -> torch.Tensor:
        scaled = x * 2.7
        return torch.where(n - 3 > 0, scaled + y, (n - 3) * y / 3)

    trace = check(fusekit.fuse(function, engine=engine), x, y, n, index=(2, 3))
    assert trace.engine == engine
    at = (2, 3)
    scaled = x * 2.7
    expected = {
        "mul": scaled[at],
        "add": (scaled + y)[at],
        "sub": (n - 3)[at],
        "gt": (n - 3 > 0)[at],
        "div": ((n - 3) * y / 3)[at],
        "where": function(x, y, n)[at],
    }
    for operator, value in expected.items():
        nodes = [n for n in trace.nodes if n.origin.startswith(f"aten.{operator}.")]
        assert any(same(node.values[engine], value.item()) for node in nodes), operator
    factor = torch.tensor(2.7).double()  # literals are rounded when they are traced
    wide = torch.where(n - 3 > 0, x.double() * factor + y.double(), (n - 3) * y.double() / 3)
    assert trace.nodes[-1].float64 == wide[at].item()


def test_every_engine_that_works_here_is_asked() -> None:
    trace = fusekit.fuse(lambda x: x * 2 + 1).trace(torch.randn(3))
    working = [each.name for each in ENGINES.values() if each.unavailable() is None]
    assert list(trace.engines) == working
    assert all(trace.parting(engine) is None for engine in working)


@engines
def test_transcendental_functions(engine: str) -> None:
    fused = fusekit.fuse(lambda x: torch.tanh(torch.exp(x) * torch.sin(x)), engine=engine)
    x = torch.randn(1001) * 3
    for index in (0, 500, 1000):
        trace = check(fused, x, index=index)
        assert all(ulps < 4 for ulps in made_by(trace, "exp").ulps.values())


@engines
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64])
def test_dtypes(dtype: torch.dtype, engine: str) -> None:
    fused = fusekit.fuse(lambda x, y: (x * 3 - y) * x + 7, engine=engine)
    x, y = ((torch.randn(6, 7) * 40).to(dtype) for _ in range(2))
    check(fused, x, y, index=(4, 2))


def test_numbers_among_the_arguments() -> None:
    trace = check(fusekit.fuse(lambda x, s, n: x * (s * 2) + n), torch.ones(3), 0.1, 4, index=1)
    names = {node.name: node.values["llvm"] for node in trace.nodes if node.name}
    assert names == {"x": 1.0, "(s * 2.0)": 0.2, "n": 4}


# where elements lie


def test_broadcast_and_transposed_inputs() -> None:
    x, y, z = torch.randn(4, 3).t(), torch.randn(4), torch.randn(2, 1, 1)
    trace = check(fusekit.fuse(lambda x, y, z: x * y + z), x, y, z, index=(1, 2, 3))
    found = {node.name: (node.index, node.values["llvm"]) for node in trace.nodes if node.name}
    assert found == {
        "x": ((2, 3), x[2, 3].item()),
        "y": ((3,), y[3].item()),
        "z": ((1, 0, 0), z[1, 0, 0].item()),
    }


def test_two_elements_of_one_argument() -> None:
    x = torch.randn(3, 3)
    trace = check(fusekit.fuse(lambda x: x * 2 + x.t()), x, index=(0, 2))
    assert [node.index for node in trace.nodes if node.name == "x"] == [(0, 2), (2, 0)]
    assert "%0[2, 0]" in str(trace)


def test_views_cats_and_chunks() -> None:
    def function(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        first, second = (x * y).chunk(2, dim=1)
        joined = torch.cat([first.exp(), second + 1, first], dim=0)
        return joined[1:, :2].flip(0) if x.dim() > 2 else joined.t() * 2

    fused = fusekit.fuse(function)
    x, y = torch.randn(3, 6), torch.randn(6)
    for index in [(0, 0), (2, 8), (1, 4), (-1, -1)]:
        check(fused, x, y, index=index)


def test_a_cat_as_a_result_and_its_view() -> None:
    fused = fusekit.fuse(lambda x, y: (torch.cat([x + 1, y * 2]), torch.stack([x, y]).t() - y[0]))
    x, y = torch.randn(4), torch.randn(4)
    trace = check(fused, x, y, index=(6,))
    assert trace.nodes[-1].op == "cat"
    check(fused, x, y, index=(3, 1), output=1)


def test_overlapping_strides_are_found() -> None:
    x = torch.arange(20.0).as_strided((4, 3), (3, 2))
    trace = check(fusekit.fuse(lambda x: x.t() * 2), x, index=(2, 0))
    assert trace.nodes[0].values["llvm"] == 4
    assert solve([(4, 3), (3, 2)], 4) == [0, 2]
    assert solve([(2, 5)], 3) is None


def test_zero_dimensions() -> None:
    fused = fusekit.fuse(lambda x, y: x * y + 1)
    trace = check(fused, torch.tensor(0.3), torch.tensor(2.0), index=())
    assert trace.index == ()
    assert fused.trace(torch.tensor(0.3), torch.tensor(2.0)).value == trace.value


def test_the_first_element_by_default() -> None:
    x = torch.randn(2, 3)
    trace = fusekit.fuse(lambda x: x + 1).trace(x)
    assert (trace.index, trace.value) == ((0, 0), (x + 1)[0, 0].item())


@engines
def test_long_chains_take_several_kernels(engine: str) -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        for i in range(90):
            x = x * 1.01 + i if i % 2 else x - 0.3
        return x

    trace = check(fusekit.fuse(function, engine=engine), torch.randn(9), index=4)
    assert len(trace.nodes) > 100


# calls


@engines
def test_two_groups_around_a_matmul(engine: str) -> None:
    def function(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.tanh((x * 1.7) @ w) + b

    x, w, b = torch.randn(4, 5), torch.randn(5, 6), torch.randn(6)
    trace = check(fusekit.fuse(function, engine=engine), x, w, b, index=(3, 1))
    (call,) = [node for node in trace.nodes if node.op == "call"]
    assert call.origin.startswith("aten.mm")
    assert call.reads == ()
    assert call.group is None
    assert same(call.values[engine], ((x * 1.7) @ w)[3, 1].item())
    assert {node.name for node in trace.nodes if node.name} == {"b"}
    assert "run by PyTorch: aten.mm" in str(trace)
    assert {node.group for node in trace.nodes if node.op in ("tanh", "add")} == {1}


def test_groups_are_traced_through_each_other() -> None:
    x, y = torch.randn(3, 3), torch.randn(3)

    def function(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scaled = x * 3
        return scaled, scaled.t() + y  # a view of a result: another kernel

    trace = check(fusekit.fuse(function), x, y, index=(0, 2), output=1)
    assert len({node.group for node in trace.nodes if node.group is not None}) == 2
    assert [node.index for node in trace.nodes if node.op == "mul"] == [(2, 0)]


def test_a_result_of_pytorch_alone() -> None:
    trace = check(fusekit.fuse(lambda x: ((x + 1).sum(0), x * 2)), torch.randn(3, 4), index=(2,))
    assert [node.op for node in trace.nodes] == ["call"]


# random numbers


@engines
def test_dropout_draws_what_the_call_draws(engine: str) -> None:
    fused = fusekit.fuse(lambda x: F.dropout(x * 3, 0.5) + torch.rand_like(x), engine=engine)
    x = torch.rand(5, 7)
    for index in [(0, 0), (2, 4), (4, 6)]:
        torch.manual_seed(8)
        expected, after = fused(x), torch.rand(1)
        torch.manual_seed(8)
        trace = fused.trace(x, index=index)
        assert same(trace.value, expected[index].item())
        assert torch.equal(torch.rand(1), after)


def test_every_call_draws_anew() -> None:
    fused = fusekit.fuse(lambda x: x + torch.rand_like(x))
    assert fused.trace(torch.zeros(3)).value != fused.trace(torch.zeros(3)).value


# outputs and arguments


def test_several_outputs() -> None:
    fused = fusekit.fuse(lambda x: {"b": x + 1, "rest": [x * 2, 5, x]})
    x = torch.randn(3)
    found = [fused.trace(x, index=1, output=i).value for i in range(3)]
    assert found == [(x + 1)[1].item(), (x * 2)[1].item(), x[1].item()]
    assert fused.trace(x, index=1, output=-1).output == 2


def test_arguments_are_not_written() -> None:
    def function(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
        old = y * x
        x.mul_(y).add_(1)
        return x, x[1:], old

    fused = fusekit.fuse(function)
    x, y = torch.randn(4), torch.randn(4)
    before = x.clone()
    traces = [fused.trace(x, y, index=1, output=i) for i in range(4)]
    assert torch.equal(x, before)
    whole, part, old = function(x, y)
    expected = [whole[1], part[1], old[1], x[1]]
    assert [trace.value for trace in traces] == [value.item() for value in expected]


def test_gradients_do_not_matter() -> None:
    x = torch.randn(3, 3, requires_grad=True)
    fused = fusekit.fuse(lambda x, w: torch.exp(x) @ w + x)
    w = torch.randn(3, 3)
    with torch.no_grad():
        expected = fused(x, w)
    trace = fused.trace(x, w, index=(2, 1))
    assert same(trace.value, expected[2, 1].item())
    assert x.grad is None


def test_tensors_that_a_function_closes_over() -> None:
    weight = torch.randn(3)
    trace = check(fusekit.fuse(lambda x: x * weight), torch.randn(3), index=1)
    assert {node.name for node in trace.nodes} >= {"x", "weight"}


# where arithmetics part


def test_cancellation_is_found() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        shifted = x + 1e8
        return (shifted - 1e8) * 2

    fused = fusekit.fuse(function)
    x = torch.tensor([0.0, 1.25])
    trace = check(fused, x, index=1)
    assert (trace.value, trace.nodes[-1].float64) == (0.0, 2.5)
    first = inspect.getsourcelines(function)[1]
    for node in (trace.drift(), trace.steepest()):
        assert node is not None
        assert node.origin == "aten.sub.Tensor"
        assert node.loc is not None
        assert node.loc.line == first + 2
    added = made_by(trace, "add")
    assert trace.nodes[made_by(trace, "sub").reads[0]] is added
    assert added.ulps["llvm"] == 1.25 / 8  # floats there are 8 apart
    assert trace.growth(made_by(trace, "sub")) == pytest.approx(1.25 / 2**-23 - 1.25 / 8)
    assert trace.parting() is None
    assert "llvm parts from float64 at %3 (sub, " in str(trace)
    assert "return (shifted - 1e8) * 2): 1.05e+07 ulps" in str(trace)
    assert fused.trace(x, index=0).drift(ulps=0) is None
    assert trace.drift(ulps=1e9) is None
    with pytest.raises(KeyError):
        trace.drift("cuba")


def test_ulps_of_halves_stay_those_of_halves() -> None:
    fused = fusekit.fuse(lambda x: (x * 0.1 + 2.7).float() * 3 - 8)
    x = torch.ones(2).bfloat16()
    trace = check(fused, x, index=0)
    assert trace.nodes[-1].dtype is DType.F32
    assert trace.nodes[-1].grain is DType.BF16
    assert all(node.ulps["llvm"] < 1 for node in trace.nodes if node.origin != "aten.sub.Tensor")
    far = trace.drift()
    assert far is trace.nodes[-1]  # 8.4 - 8
    assert fused.trace(x.float()).nodes[-1].grain is DType.F32
    (widened,) = fusekit.fuse(lambda x: x.float() * 3).trace(x).nodes[1:2]
    assert widened.grain is DType.F32  # the argument is what it is


def test_an_engine_that_parts_from_the_reference_is_named() -> None:
    fused = fusekit.fuse(lambda x: torch.exp(torch.sin(x) * 50) + 1)
    traces = [fused.trace(torch.linspace(0, 9, 400), index=i) for i in range(0, 400, 7)]
    parted = [trace for trace in traces if trace.parting() is not None]
    assert parted
    for trace in parted:
        node = trace.parting("llvm")
        assert node is not None
        assert node.op in ("sin", "exp")
        assert not same(node.values["llvm"], node.values["reference"])
        assert f"llvm parts from the reference at %{node.value} ({node.op}, " in str(trace)


def test_float64_goes_its_own_way_where_only_it_would_divide_by_zero() -> None:
    def function(x: torch.Tensor, n: torch.Tensor) -> torch.Tensor:
        return n // (x + 1e-9 + 1 - x).to(torch.int32).clamp(max=5)

    x, n = torch.tensor([3.0]), torch.tensor([7], dtype=torch.int32)
    trace = check(fusekit.fuse(function), x, n, index=0)
    assert trace.nodes[-1].float64 == trace.value

    def vanishing(x: torch.Tensor, n: torch.Tensor) -> torch.Tensor:
        return n // (x * 0.1 * 10).to(torch.int32)  # 0.1 is more than a tenth in float32

    trace = check(fusekit.fuse(vanishing), torch.tensor([0.99999999]), n, index=0)
    assert trace.value == 7


def test_distances() -> None:
    assert ulps_between(1 + 2**-23, 1.0, DType.F32) == 1
    assert ulps_between(1.0, 1 - 2**-24, DType.F32) == 1
    assert ulps_between(0.0, 2.0**-149, DType.F32) == 1
    assert ulps_between(2.0**-24, 0.0, DType.F16) == 1
    assert ulps_between(1.0, 1.0 + 2**-52, DType.F64) == 1
    assert ulps_between(3, 5, DType.I64) == 2
    assert ulps_between(True, False, DType.BOOL) == 1
    assert ulps_between(math.nan, math.nan, DType.F32) == 0
    assert ulps_between(math.inf, math.inf, DType.F32) == 0
    assert ulps_between(math.inf, 1e39, DType.F32) == math.inf
    assert ulps_between(1.0, math.nan, DType.F32) == math.inf


# showing


def test_the_table() -> None:
    def halve(x: torch.Tensor) -> torch.Tensor:
        return x * 0.5

    text = str(fusekit.fuse(halve, engine="reference").trace(torch.tensor([0.1]), index=0))
    title, head, *rows, end = text.splitlines()
    assert title == "halve: element [0] of output 0, run by reference"
    assert head.split()[:4] == ["value", "op", "of", "dtype"]
    assert [row.split()[0] for row in rows] == ["%0", "%1", "%2"]
    assert "0.1 " in rows[0]
    assert "0.05 " in rows[2]
    assert "return x * 0.5" in text
    assert end == "reference stays within 0 ulps of float64"
    assert len({row.index("f32") for row in rows}) == 1


@pytest.mark.parametrize(
    ("value", "dtype", "text"),
    [
        (0.10000000149011612, DType.F32, "0.1"),
        (0.1, DType.F64, "0.1"),
        (50.0, DType.F32, "50"),
        (-0.0, DType.F32, "-0"),
        (0.57421875, DType.BF16, "0.574"),
        (2.0**-149, DType.F32, "1e-45"),
        (65504.0, DType.F16, "65500"),
        (math.nan, DType.F32, "nan"),
        (-math.inf, DType.F32, "-inf"),
        (2**63 - 1, DType.I64, "9223372036854775807"),
        (True, DType.BOOL, "True"),
    ],
)
def test_numbers_are_spelled_as_short_as_their_type_allows(
    value: Any, dtype: DType, text: str
) -> None:
    assert spelled(value, dtype) == text


def test_as_data() -> None:
    trace = fusekit.fuse(lambda x: x / 0 + torch.sqrt(x - 9)).trace(torch.ones(2), index=1)
    found = json.loads(json.dumps(trace.as_dict(), allow_nan=False))
    assert found["engines"] == list(trace.engines)
    assert [node["value"] for node in found["nodes"]] == [node.value for node in trace.nodes]
    by_op = {node["op"]: node for node in found["nodes"]}
    assert by_op["div"]["values"]["llvm"] == "inf"
    assert by_op["sqrt"]["float64"] == "nan"
    assert by_op["div"]["line"] == by_op["sqrt"]["line"]


def test_ids_are_those_of_the_view() -> None:
    from fusekit.viz.collect.fused import collect

    fused, x = fusekit.fuse(lambda x, w: torch.exp(x) @ w * 2), torch.randn(3, 3)
    model = collect(fused, (x, x), {}, timing=False).model
    trace = fused.trace(x, x)
    shown = {node["value"] for node in model["graph"]["nodes"]}
    assert {node.value for node in trace.nodes if node.op in ("call", "mul", "input")} <= shown


# errors


@pytest.mark.parametrize("index", [(3, 0), (0, -5), (0, 0, 0), (4,), 7, ()])
def test_no_such_element(index: Any) -> None:
    x = torch.randn(3, 4)
    fused = fusekit.fuse(lambda x: x + 1)
    with pytest.raises(IndexError) as ours:
        fused.trace(x, index=index)
    if isinstance(index, tuple) and len(index) >= 2:
        with pytest.raises(IndexError, match=str(ours.value).replace("(", r"\(")):
            x[index]


def test_no_element_at_all() -> None:
    with pytest.raises(IndexError, match="index 0 is out of bounds for dimension 0 with size 0"):
        fusekit.fuse(lambda x: x + 1).trace(torch.ones(0, 4))


@pytest.mark.parametrize("index", ["a", 1.0, (0.5,), (True,), (None,), (slice(1),)])
def test_an_index_that_is_no_integer(index: Any) -> None:
    with pytest.raises(TypeError):
        fusekit.fuse(lambda x: x + 1).trace(torch.ones(3), index=index)


def test_no_such_output() -> None:
    with pytest.raises(IndexError, match="there is no output 1: the function makes 1"):
        fusekit.fuse(lambda x: x + 1).trace(torch.ones(3), output=1)


def test_declined_functions_raise_as_for_their_source() -> None:
    for function in (lambda x: x @ x, lambda x: x + 1 if x.sum() > 0 else x):
        fused = fusekit.fuse(function)
        x = torch.ones(3, 3)
        with pytest.raises(fusekit.FusionDeclined) as expected:
            fused.source(x)
        with pytest.raises(fusekit.FusionDeclined) as found:
            fused.trace(x)
        assert found.value.decline.reason is expected.value.decline.reason


def test_calls_that_pytorch_runs_after_all() -> None:
    x = torch.tensor([4, 2])
    with pytest.raises(fusekit.FusionDeclined) as trapped:
        fusekit.fuse(lambda x, y: x // y).trace(x, torch.tensor([1, 0]))
    assert trapped.value.decline.reason is fusekit.Reason.TRAP

    def write(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x.add_(1) + y

    memory = torch.zeros(5)
    with pytest.raises(fusekit.FusionDeclined) as overlapping:
        fusekit.fuse(write).trace(memory[:4], memory[1:])
    assert overlapping.value.decline.reason is fusekit.Reason.OVERLAP
    assert not memory.any()


def test_not_under_a_transform() -> None:
    fused = fusekit.fuse(lambda x: x + 1)

    def traced(x: torch.Tensor) -> torch.Tensor:
        fused.trace(x)
        return x

    with pytest.raises(fusekit.FusionDeclined):
        torch.func.vmap(traced)(torch.ones(2, 3))


# on a GPU


@pytest.mark.gpu
def test_a_call_on_a_gpu_is_traced_on_every_engine() -> None:
    def function(x: torch.Tensor, w: torch.Tensor, s: float) -> torch.Tensor:
        return F.dropout(torch.tanh((x * s).exp() @ w) + x.bfloat16(), 0.25)

    fused = fusekit.fuse(function)
    x, w = torch.randn(9, 9, device="cuda").t(), torch.randn(9, 9, device="cuda")
    for index in [(0, 0), (3, 8), (7, 2)]:
        torch.manual_seed(1)
        expected = fused(x, w, 0.3)
        torch.manual_seed(1)
        trace = fused.trace(x, w, 0.3, index=index)
        assert trace.engine == trace.engines[0] == "cuda"
        assert {"cuda", "llvm", "reference"} <= set(trace.engines)
        assert same(trace.value, expected[index].item())
        assert all(each < 4 for node in trace.nodes for each in node.ulps.values())


@pytest.mark.gpu
def test_a_call_on_the_cpu_is_traced_on_a_gpu_too() -> None:
    trace = check(fusekit.fuse(lambda x, y: x.sin() * y + 1), *torch.randn(2, 7), index=5)
    assert trace.engine == "llvm"
    assert trace.nodes[-1].ulps["cuda"] < 4


# any function

UNARY: dict[str, Callable[..., Any]] = {
    "neg": torch.neg,
    "exp": torch.exp,
    "sigmoid": torch.sigmoid,
    "gelu": lambda x: F.gelu(x if x.is_floating_point() else x.float()),
    "relu": torch.relu,
    "t": lambda x: x.transpose(-1, -2) if x.dim() > 1 and x.shape[-1] == x.shape[-2] else x,
    "rsqrt": torch.rsqrt,
    "round": torch.round,
    "half": lambda x: x.half(),
    "bfloat16": lambda x: x.bfloat16(),
    "int": lambda x: (x.clamp(-50, 50) * 3).nan_to_num().to(torch.int32),
}
BINARY: dict[str, Callable[..., Any]] = {
    "add": torch.add,
    "mul": torch.mul,
    "sub": torch.sub,
    "div": torch.div,
    "maximum": torch.maximum,
    "where": lambda x, y: torch.where(x > y, x, y * 2),
}
STEPS = st.tuples(
    st.sampled_from([*UNARY, *BINARY]), st.integers(min_value=0), st.integers(min_value=0)
)


@given(
    steps=st.lists(STEPS, min_size=1, max_size=12),
    shapes=st.lists(st.sampled_from([(4, 4), (4,), (1, 4), (4, 1), ()]), min_size=2, max_size=3),
    seed=st.integers(0, 2**32 - 1),
    transposed=st.booleans(),
    engine=st.sampled_from(["llvm", "reference"]),
)
def test_the_traced_value_is_the_calls_bit_for_bit(
    steps: list[tuple[str, int, int]],
    shapes: list[tuple[int, ...]],
    seed: int,
    transposed: bool,
    engine: str,
) -> None:
    def function(*args: torch.Tensor) -> torch.Tensor:
        known = list(args)
        for name, one, other in steps:
            x, y = known[-1 - one % len(known)], known[other % len(known)]
            known.append(UNARY[name](x) if name in UNARY else BINARY[name](x, y))
        return known[-1] * 1

    generator = torch.Generator().manual_seed(seed)
    args = [torch.randn(shape, generator=generator) * 3 for shape in shapes]
    args = [x.t() if transposed and x.dim() == 2 else x for x in args]
    fused = fusekit.fuse(function, engine=engine)
    made = fused(*args)
    index = tuple(int(torch.randint(n, (), generator=generator)) for n in made.shape)
    assert same(fused.trace(*args, index=index).value, made[index].item())
