"""The rounding of a call: every intermediate against float64 and eager, computed here again."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  the usual name
from hypothesis import given
from hypothesis import strategies as st

import fusekit
from fusekit.errors import FusionDeclined
from fusekit.ir import DType
from fusekit.runtime.arithmetic import ulps_between
from fusekit.runtime.distances import BUCKETS, differing, distances, ulps_of
from fusekit.runtime.rounding import RoundedNode, Rounding
from tests.agreement import run_quietly
from tests.graph_programs import Program, programs

engines = pytest.mark.parametrize("engine", ["llvm", "cpp", "reference"])


def rounding(
    function: Callable[..., Any], *args: Any, engine: str = "llvm", **options: Any
) -> Rounding:
    found = fusekit.fuse(function, engine=engine).rounding(*args, **options)
    assert found.faithful
    return found


def only(found: Rounding, operator: str) -> RoundedNode:
    (node,) = [node for node in found.operators if node.op == operator]
    return node


def ulps(found: torch.Tensor, exact: torch.Tensor) -> np.ndarray:
    """In NumPy, by another way: its own distance to the next float32."""
    unit = np.spacing(np.abs(exact.numpy()).astype(np.float32)).astype(np.float64)
    # spacing at the rounded number: where that rounds up to a power of two it is one too large
    _, exponent = np.frexp(np.abs(exact.numpy()))
    unit = np.where(exact.numpy() == 0, unit, np.ldexp(1.0, exponent - 24))
    return np.abs(found.double().numpy() - exact.numpy()) / unit


# against what is computed here


@engines
def test_distances_of_operators(engine: str) -> None:
    torch.manual_seed(2)
    x, y = torch.randn(37, 11), torch.rand(11) + 0.1

    def function(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x * y) / y

    found = rounding(function, x, y, engine=engine)
    wide = {"mul": x.double() * y.double()}
    wide["tanh"] = torch.tanh(wide["mul"])
    wide["div"] = wide["tanh"] / y.double()
    eager = {"mul": x * y, "tanh": torch.tanh(x * y), "div": function(x, y)}
    fused = fusekit.fuse(function, engine=engine)(x, y)
    for operator, exact in wide.items():
        node = only(found, operator)
        assert (node.kind, node.dtype, node.shape, node.sampled) == (
            "operator",
            "f32",
            (37, 11),
            407,
        )
        expected = ulps(eager[operator], exact)
        assert node.eager is not None
        assert node.fused is not None
        assert node.eager.worst == pytest.approx(expected.max())
        assert node.eager.mean == pytest.approx(expected.mean())
        assert expected[node.eager.index] == expected.max()
        assert node.eager.found == eager[operator][node.eager.index].item()
        assert node.eager.wanted == exact[node.eager.index].item()
        edges = [0, 0.5, 1, 2, 4, 8, 16, 64, 1024, math.inf]
        counts = [int((expected <= edge).sum()) for edge in edges]
        steps = [counts[0], *(b - a for a, b in itertools.pairwise(counts))]
        assert list(node.eager.histogram) == steps
        assert sum(node.fused.histogram) == 407
    last = only(found, "div")
    mine, theirs = ulps(fused, wide["div"]), ulps(eager["div"], wide["div"])
    assert last.fused is not None
    assert last.between is not None
    assert last.fused.worst == pytest.approx(mine.max())
    assert last.between.differing == int((fused != eager["div"]).sum())
    assert last.fused_is_closer == int((mine < theirs).sum())
    assert last.eager_is_closer == int((theirs < mine).sum())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_are_rounded_at_each_operator_as_eager_does(dtype: torch.dtype) -> None:
    x = torch.randn(64, 8).to(dtype)
    found = rounding(lambda x: (x * 1.7 + x) * x, x)
    assert found.parting() is None
    first = found.operators[0]
    assert first.eager is not None
    exact = x.double() * torch.tensor(1.7).double()  # literals are rounded when they are traced
    unit = torch.finfo(dtype).eps * torch.exp2(torch.floor(torch.log2(exact.abs())))
    expected = ((x * 1.7).double() - exact).abs() / unit
    assert first.eager.worst == pytest.approx(expected.max().item())
    assert 0.4 < first.eager.worst < 0.501  # to float32 first, then to half


def test_it_finds_the_operator_where_they_part() -> None:
    torch.manual_seed(0)
    x = torch.randn(4000)

    def function(x: torch.Tensor) -> torch.Tensor:
        scaled = x * 1.5 + 1
        return F.gelu(scaled) - scaled

    found = rounding(function, x)
    node = found.parting()
    assert node is not None
    assert node.op == "gelu"
    gelu = fusekit.fuse(F.gelu)(x * 1.5 + 1)
    assert node.between is not None
    assert node.between.differing == int((gelu != F.gelu(x * 1.5 + 1)).sum())
    steps = [each for each in found.nodes if each.kind == "step" and each.site == node.site]
    assert steps
    assert all(step.eager is None for step in steps)
    sentence = found.sentence()
    assert sentence.startswith(f"Fused and eager first part at gelu (line {node.loc.line}): ")  # type: ignore[union-attr]
    assert f"takes {len(steps) + 1} steps" in sentence
    assert f"{node.closer} is closer" in sentence.lower()


def test_integers_and_bools_are_exact() -> None:
    x = torch.randint(-90, 90, (50,), dtype=torch.int8)
    found = rounding(lambda x: ((x * 3 > 7) & (x < 60), x * 3 - 1), x)
    assert {node.dtype for node in found.nodes} >= {"i8", "bool"}
    for node in found.operators:
        assert node.fused is not None
        assert node.fused.worst == 0
        assert node.between is not None
        assert node.between.differing == 0


def test_numbers_that_are_none() -> None:
    x = torch.tensor([math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0])
    found = rounding(lambda x: torch.log(x) * x, x)
    for node in found.operators:
        assert node.fused is not None
        assert node.fused.worst < 4
    json.dumps(found.to_dict(), allow_nan=False)


# what lies where


def test_views_cats_and_broadcasting() -> None:
    x, y, z = torch.randn(6, 4).t(), torch.randn(6), torch.randn(1, 1)

    def function(x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        first, second = (x * y - z * 3).chunk(2, dim=1)
        joined = torch.cat([first + 1, second * 2, first.flip(1).expand(4, 3)], dim=1)
        return joined.t()[1:, ::2] * 1.1

    found = rounding(function, x, y, z, engine="reference")
    assert found.parting() is None
    last = found.operators[-1]
    assert last.eager is not None
    exact = function(x.double(), y.double(), z.double()) / 1.1 * torch.tensor(1.1).double()
    expected = ulps(function(x, y, z), exact)
    assert last.eager.worst == pytest.approx(expected.max(), abs=1e-6)


@pytest.mark.parametrize("shape", [(), (0, 3), (1,)])
def test_few_elements(shape: tuple[int, ...]) -> None:
    found = rounding(lambda x, y: x * y + 1, torch.randn(shape), torch.tensor(2.0))
    assert [node.sampled for node in found.nodes] == [math.prod(shape)] * 2
    assert all((node.fused is None) == (not math.prod(shape)) for node in found.nodes)
    assert ("no elements" in str(found)) == (not math.prod(shape))


def test_large_tensors_are_sampled() -> None:
    x = torch.randn(1 << 18)
    found = rounding(lambda x: x.exp() + 1, x, limit=1000)
    assert (found.sampled, found.largest) == (1000, 1 << 18)
    assert "1,000 of 262,144 elements, evenly spaced" in str(found)
    positions = torch.arange(1000) * ((1 << 18) - 1) // 999
    expected = ulps(x.exp()[positions], x.double().exp()[positions])
    node = only(found, "exp")
    assert node.eager is not None
    assert node.eager.worst == pytest.approx(expected.max())
    assert node.eager.index[0] in positions.tolist()


# what PyTorch runs, draws and writes


def test_operators_between_kernels_are_exact_in_the_reference() -> None:
    torch.manual_seed(1)
    x, w = torch.randn(30, 20), torch.randn(20, 10)

    def function(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return torch.relu((x * 1.5) @ w) + 1

    found = rounding(function, x, w)
    assert found.exact_calls
    (call,) = [node for node in found.nodes if node.kind == "call"]
    assert call.op == "mm"
    assert call.group is None
    exact = (x.double() * 1.5) @ w.double()
    expected = ulps((x * 1.5) @ w, exact)
    assert call.eager is not None
    assert call.eager.worst == pytest.approx(expected.max())


def test_operators_that_make_integers_are_taken_as_they_came_out() -> None:
    x, w = torch.randn(5, 6), torch.randn(6, 6)
    found = rounding(
        lambda x, w: torch.where((x @ w).argmax(1) > 2, 1.5, 0.5) * (x @ w).sum(1), x, w
    )
    assert not found.exact_calls
    products = [node for node in found.nodes if node.op == "mm"]
    assert products
    assert all(node.fused is not None and node.fused.worst > 0 for node in products)


@pytest.mark.parametrize("call", [lambda h: h @ h, lambda h: torch.sort(h, -1).values])
def test_some_elements_of_a_call_are_compared(call: Callable[..., Any]) -> None:
    x = torch.randn(40, 40)
    found = rounding(lambda x: torch.tanh(call(torch.sigmoid(x * 1.5))) + x, x, limit=100)
    assert found.exact_calls
    assert found.scope() == "100 of 1,600 elements, evenly spaced"
    whole = rounding(lambda x: torch.tanh(call(torch.sigmoid(x * 1.5))) + x, x)
    for some, every in zip(found.nodes, whole.nodes, strict=True):
        assert some.eager is not None
        assert every.eager is not None
        assert some.eager.worst <= every.eager.worst


def test_what_makes_integers_that_nothing_reads_is_exact_in_the_reference() -> None:
    torch.manual_seed(1)
    x = torch.randn(30, 20)
    found = rounding(lambda x: torch.tanh(torch.sort(torch.sigmoid(x * 1.5), -1).values), x)
    assert found.exact_calls
    (call,) = [node for node in found.nodes if node.kind == "call"]
    exact = torch.sort(torch.sigmoid(x.double() * 1.5), -1).values
    expected = ulps(torch.sort(torch.sigmoid(x * 1.5), -1).values, exact)
    assert call.eager is not None
    assert call.eager.worst == pytest.approx(expected.max())
    assert call.fused is not None
    assert call.fused.worst > 0


def test_large_operators_between_kernels_are_taken_as_they_came_out() -> None:
    x = torch.randn(1, 1).expand(6000, 6000)
    found = rounding(lambda x: (x * 2).sum() + x, x, limit=64)
    assert not found.exact_calls
    assert "taken as it came out" in str(found)


def test_both_sides_draw_the_same_numbers() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    found = rounding(lambda x: F.dropout(x * 1.5, 0.4) + torch.rand_like(x), torch.ones(500))
    assert torch.equal(torch.get_rng_state(), before)
    assert found.parting() is None


@pytest.mark.parametrize("first", [lambda x: x, lambda x: F.dropout(x, 0.4)])
def test_so_do_operators_that_pytorch_draws_by(first: Callable[..., Any]) -> None:
    found = rounding(lambda x: first(x * 1.5) + torch.randn_like(x), torch.ones(500))
    (call,) = [node for node in found.nodes if node.op == "randn_like"]
    assert call.kind == "call"
    assert call.between is not None
    assert call.between.differing == 0
    assert found.parting() is None


def test_arguments_that_are_written_stay_as_they_are() -> None:
    x = torch.randn(4, 5)
    before = x.clone()

    def function(x: torch.Tensor) -> torch.Tensor:
        x.mul_(1.5).add_(1)
        return x * 2

    found = rounding(function, x)
    assert torch.equal(x, before)
    assert [node.op for node in found.operators] == ["mul", "add", "mul"]
    assert all(node.eager is not None for node in found.operators)


def test_complex_numbers_are_pytorchs() -> None:
    x = torch.randn(8, 2)
    found = rounding(lambda x: torch.view_as_complex(x * 2).abs() + 1, x)
    assert "add" in [node.op for node in found.operators]


def test_what_is_not_fused_says_why() -> None:
    with pytest.raises(FusionDeclined):
        fusekit.fuse(lambda x: x[x > 0] if x.sum() > 0 else x).rounding(torch.ones(3))


# the rest


def test_it_can_be_stopped() -> None:
    said: list[tuple[int, int, str]] = []

    def stop(done: int, total: int, what: str) -> None:
        said.append((done, total, what))
        if done == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fusekit.fuse(torch.sin).rounding(torch.ones(3), step=stop)
    assert [done for done, _, _ in said] == [0, 1, 1, 2]


def test_repr_and_dict() -> None:
    x = torch.linspace(-1, 1, 9)
    fused = fusekit.fuse(lambda x: x * 3 + 1, name="f")
    found = fused.rounding(x)
    assert repr(found) == str(found) == str(fused.rounding(x))
    assert str(found).startswith("f: rounding, run by llvm, all elements\n")
    assert "agree bit for bit" in str(found)
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["buckets"] == list(BUCKETS)
    assert [node["op"] for node in data["nodes"]] == ["mul", "add"]
    assert data["nodes"][0]["fused"]["worst"] == found.nodes[0].fused.worst  # type: ignore[union-attr]


NUMBERS = st.one_of(st.floats(width=32), st.sampled_from([0.0, -0.0, math.inf, math.nan]))


@given(NUMBERS, st.floats(), st.sampled_from([DType.F32, DType.F16, DType.BF16, DType.F64]))
def test_distances_are_those_of_single_numbers(found: float, wanted: float, dtype: DType) -> None:
    made = ulps_of(torch.tensor([found]), torch.tensor([wanted], dtype=torch.float64), dtype)
    expected = ulps_between(found, wanted, dtype)
    assert made.item() == expected or made.item() == pytest.approx(expected)


def test_differing_looks_at_bits() -> None:
    one = torch.tensor([0.0, math.nan, 1.0, 0.0])
    other = torch.tensor([-0.0, math.nan, 2.0, 0.0])
    assert differing(one, other).tolist() == [True, False, True, False]
    nothing = torch.empty(0)
    assert distances(nothing, nothing, DType.F32, nothing.long(), (0,)) is None


@pytest.mark.parametrize("engine", ["llvm", "reference"])
def test_random_programs(engine: str) -> None:
    """The twin gives the call's results, and what is told of a result is true."""

    @hypothesis.settings(
        max_examples=25, suppress_health_check=list(hypothesis.HealthCheck), deadline=None
    )
    @hypothesis.given(programs(most=15))
    def run(program: Program) -> None:
        fused = fusekit.fuse(program.function(), engine=engine)
        if run_quietly(program.function(), program.arguments(0))[0] != "ok":
            return  # what raises in eager PyTorch raises here
        try:
            found = fused.rounding(*program.arguments(0))
        except FusionDeclined:
            return
        assert found.faithful
        if engine == "reference":  # PyTorch's own operators: only compositions can part from eager
            parting = found.parting()
            steps = [n for n in found.nodes if parting and n.site == parting.site]
            assert parting is None or len(steps) > 1 or not program.is_exact

    run()
