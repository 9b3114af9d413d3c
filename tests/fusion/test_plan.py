"""Plans: whatever they say, results are eager's; what they forbid and demand holds."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
import torch
from hypothesis import strategies as st

import fusekit
from fusekit.errors import FusionDeclined, PlanRefused, UsageError
from fusekit.fusion import Plan, operators_of
from fusekit.runtime.plans import judge_plan
from fusekit.runtime.program import Program as Divided
from fusekit.specs import Reason
from tests.agreement import check_program
from tests.graph_programs import Program, programs

X, Y, W = (torch.randn(4, 4) for _ in range(3))


def gated(x, y):
    total = x * y
    gate = torch.sigmoid(total)
    return gate * total + x


def across(x, y, w):
    low = torch.relu(x) * y
    return torch.tanh(low @ w) * low, torch.exp(low.t()) + torch.sin(w)


def program_of(fused: fusekit.FusedFunction, *args: Any) -> Divided:
    found = fused.entry(args, {}).program
    assert found is not None
    return found


def planned(function: Callable[..., Any], *args: Any, **constraints: Any) -> Divided:
    """What a call runs as with further constraints."""
    plan = fusekit.fuse(function).plan(*args).but(**constraints)
    fused = fusekit.fuse(function, plan=plan)
    for ours, theirs in zip(_leaves(fused(*args)), _leaves(function(*args)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2e-6, atol=2e-6)
    return program_of(fused, *args)


def _leaves(made: Any) -> tuple[torch.Tensor, ...]:
    return made if isinstance(made, tuple) else (made,)


def owned(divided: Divided) -> list[set[str]]:
    """The operators that each kernel computes, but for what follows from numbers alone.

    Worked out from the kernels' nodes, not from what the plan or the partition notes.
    """
    graph = divided.graph
    numbers = set(graph.scalar_inputs)
    numbers.update(node.output for node in graph.nodes if node.op == "index")
    for node in graph.nodes:
        if node.is_pointwise and numbers.issuperset(node.inputs):
            numbers.add(node.output)
    operators = operators_of(divided.capture.graph)
    names = dict(zip(operators, Plan(tuple(operators.values())).names, strict=True))
    return [
        {names[node.site] for node in call.group.nodes if node.output not in numbers}
        for call in divided.kernels
    ]


def refused(function: Callable[..., Any], *args: Any, **constraints: Any) -> fusekit.Decline:
    plan = fusekit.fuse(function).plan(*args).but(**constraints)
    with pytest.raises(PlanRefused) as told:
        fusekit.fuse(function, plan=plan)(*args)
    return told.value.decline


# what a plan says


def test_operators_are_named_in_order() -> None:
    plan = fusekit.fuse(gated).plan(X, Y)
    assert plan.names == ("mul_1", "sigmoid_1", "mul_2", "add_1")
    assert plan.groups == (("mul_1", "sigmoid_1", "mul_2", "add_1"),)
    assert str(plan) == "plan of 4 operators\n  g1: mul_1, sigmoid_1, mul_2, add_1"


def test_an_operator_alone_is_a_kernel() -> None:
    assert owned(planned(gated, X, Y, alone=["sigmoid"])) == [
        {"mul_1"},
        {"sigmoid_1"},
        {"mul_2", "add_1"},
    ]


def test_two_operators_apart() -> None:
    assert owned(planned(gated, X, Y, apart=[("mul_1", "add_1")])) == [
        {"mul_1", "sigmoid_1", "mul_2"},
        {"add_1"},
    ]


def test_what_is_small_or_cheap_is_no_exception() -> None:
    def function(x, row):
        return x * (row + 1)

    row = torch.randn(4)
    assert owned(program_of(fusekit.fuse(function), X, row)) == [{"add_1", "mul_1"}]
    assert owned(planned(function, X, row, apart=[("add_1", "mul_1")])) == [{"add_1"}, {"mul_1"}]
    assert owned(planned(function, X, row, alone=["mul"])) == [{"add_1"}, {"mul_1"}]

    def twice(x, w):
        value = x + 1
        return torch.tanh(torch.relu(value) @ w) * value

    assert owned(program_of(fusekit.fuse(twice), X, W))[1] >= {"add_1", "mul_1"}
    kernels = owned(planned(twice, X, W, apart=[("add_1", "mul_1")]))
    assert not any(kernel >= {"add_1", "mul_1"} for kernel in kernels)


def test_what_has_nothing_in_common_together() -> None:
    def function(x, y):
        return torch.exp(x), torch.sin(y)

    assert len(program_of(fusekit.fuse(function), X, Y).kernels) == 2
    assert owned(planned(function, X, Y, together=[("exp", "sin")])) == [{"exp_1", "sin_1"}]


def test_what_lies_between_comes_along() -> None:
    assert owned(planned(gated, X, Y, together=[("mul_1", "add_1")])) == [
        {"mul_1", "sigmoid_1", "mul_2", "add_1"}
    ]


def test_an_operator_is_left_to_pytorch() -> None:
    divided = planned(gated, X, Y, opaque=["sigmoid"])
    assert owned(divided) == [{"mul_1"}, {"mul_2", "add_1"}]
    assert [node.origin for node in divided.graph.nodes if node.op == "call"] == [
        "aten.sigmoid.default"
    ]
    plan = fusekit.fuse(gated).plan(X, Y).but("~sigmoid")
    explained = fusekit.fuse(gated, plan=plan).explain(X, Y)
    assert [decline.reason for decline in explained.declined] == [Reason.PLAN]


def test_what_is_written_in_place_is_left_to_pytorch() -> None:
    def function(x):
        made = x * 2
        made.relu_()
        made.add_(1)
        return made

    x = X.t()
    divided = planned(function, x, opaque=["relu"])
    assert owned(divided) == [{"mul_1"}, {"add_1"}]
    assert (
        fusekit.fuse(function, plan=fusekit.fuse(function).plan(x).but("~relu"))(x).stride()
        == function(x).stride()
    )


def test_constraints_in_words() -> None:
    plan = fusekit.fuse(gated).plan(X, Y)
    assert plan.but("sigmoid - g1").alone == ("sigmoid_1",)
    assert plan.but("mul_1 - mul_2; ~add").apart == (("mul_1", "mul_2"),)
    assert plan.but("mul_1 - mul_2; ~add").opaque == ("add_1",)
    assert plan.but("mul_1 + sigmoid + add").together == (("mul_1", "sigmoid_1", "add_1"),)
    split = fusekit.fuse(gated, plan=plan.but("sigmoid - g1")).plan(X, Y)
    assert split.but("add + g1").together == (("add_1", "mul_1"),)


def test_a_later_constraint_prevails() -> None:
    plan = fusekit.fuse(gated).plan(X, Y)
    assert plan.but("sigmoid - g1").but("sigmoid + mul_1").alone == ()
    assert plan.but("sigmoid + mul_1").but(alone=["sigmoid"]).together == ()
    assert plan.but("~sigmoid").but("sigmoid - mul_1").opaque == ()
    assert plan.but("mul_1 - mul_2").but("mul_1 + mul_2").apart == ()


@pytest.mark.parametrize(
    "text", ["mul", "g1", "mul_1 - ", "mul_1 * mul_2", "mul_9 + add", "add + g4", "mul + add", ""]
)
def test_what_cannot_be_read_is_the_users_error(text: str) -> None:
    plan = fusekit.fuse(gated).plan(X, Y)
    with pytest.raises(UsageError):
        plan.but(text or ";")


# legality


def test_a_cycle_names_what_stands_between() -> None:
    decline = refused(across, X, Y, W, together=[("relu", "tanh")])
    assert decline.reason is Reason.CYCLE
    assert decline.detail == "mm_1 stands between relu_1 and tanh_1"
    assert decline.op == "aten.mm.default"
    assert decline.loc is not None


def test_other_shapes_are_named() -> None:
    decline = refused(lambda x: (x.exp(), x[0].sin()), torch.randn(3, 4), together=[("exp", "sin")])
    assert decline.reason is Reason.ITERATION_SPACE
    assert decline.detail == "exp_1 computes [3, 4], sin_1 [4]"


def test_what_pytorch_runs_names_its_obstacle() -> None:
    decline = refused(across, X, Y, W, together=[("mm", "relu")])
    assert decline.reason is Reason.OPAQUE_OP
    assert decline.detail.startswith("mm_1 runs in PyTorch: on f32[4, 4]")

    def complex_(x, y):
        return torch.exp(x), torch.exp(torch.complex(y, y)).real

    decline = refused(complex_, X, Y, together=[("exp_1", "exp_2")])
    assert decline.reason is Reason.UNSUPPORTED_DTYPE


def test_a_view_of_a_computed_value_is_named() -> None:
    def function(x):
        low = torch.relu(x)
        return low, low.t().exp()

    decline = refused(function, X, together=[("relu", "exp")])
    assert decline.reason is Reason.VIEW_OF_INTERMEDIATE
    assert "between relu_1 and exp_1" in decline.detail


def test_too_many_tensors_are_counted() -> None:
    def function(*tensors):
        return tuple(torch.exp(x) for x in tensors)

    given = [torch.randn(5) for _ in range(4)]
    names = [f"exp_{n}" for n in range(1, 5)]
    with fusekit.options(max_arguments=7):
        decline = refused(function, *given, together=[names])
    assert decline.reason is Reason.ARGUMENT_LIMIT
    assert "8 tensors" in decline.detail


def test_a_contradiction_is_refused() -> None:
    plan = Plan(
        fusekit.fuse(gated).plan(X, Y).operators,
        alone=("sigmoid_1",),
        together=(("mul_1", "add_1"),),
    )
    with pytest.raises(PlanRefused) as told:
        fusekit.fuse(gated, plan=plan)(X, Y)
    assert told.value.decline.reason is Reason.PLAN
    assert "sigmoid_1" in told.value.decline.detail


def test_what_no_kernel_computes_has_no_place() -> None:
    def function(x):
        unused = x * 2
        return torch.exp(x.t()) + torch.ones(4), unused.shape

    for name, said in (("t", "a view"), ("mul", "unused"), ("ones", "a number")):
        decline = refused(function, X, alone=[name])
        assert decline.reason is Reason.PLAN
        assert said in decline.detail


def test_legality_is_judged_without_compiling() -> None:
    fused = fusekit.fuse(across)
    before = fusekit.stats()
    divided, plan = program_of(fused, X, Y, W), fused.plan(X, Y, W)
    compiled = fusekit.stats().kernels - before.kernels
    good = judge_plan(divided, plan.but("tanh - g1"))
    assert good.legal
    assert str(good).startswith("legal: ")
    bad = judge_plan(divided, plan.but("relu + tanh"))
    assert str(bad).startswith("not legal: [FK0105] aten.mm.default")
    assert judge_plan(divided, plan.but("~tanh")).plan.opaque == ("tanh_1",)
    assert fusekit.stats().kernels - before.kernels == compiled


def test_legality_of_fifty_operators_takes_no_time() -> None:
    def function(x, y):
        for _ in range(25):
            x = torch.tanh(x * y)
        return x

    fused = fusekit.fuse(function)
    divided, plan = program_of(fused, X, Y), fused.plan(X, Y)
    assert len(plan.operators) == 50
    took = []
    for n in range(1, 26):
        start = time.perf_counter()
        assert judge_plan(divided, plan.but(f"mul_{n} - g1")).legal
        took.append(time.perf_counter() - start)
    assert min(took) < 0.05


# the value


def test_it_is_written_and_read(tmp_path) -> None:
    plan = fusekit.fuse(across).plan(X, Y, W).but("tanh - g1; relu + mul_1; exp - sin; ~add")
    path = plan.save(tmp_path / "across.plan.json")
    assert Plan.load(path) == plan
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    for given in (plan, plan.to_dict(), path, str(path)):
        made = fusekit.fuse(across, plan=given)
        assert program_of(made, X, Y, W).launches
        assert made.plan(X, Y, W).alone == ("tanh_1",)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "other"},
        {"version": 2},
        {"operators": "aten.add.Tensor"},
        {"apart": [["add_1"]]},
        {"alone": "add_1"},
        {"alone": ["sub_1"]},
        {"groups": [1]},
        {"more": []},
    ],
)
def test_what_is_no_plan_is_refused(change: dict[str, Any], tmp_path) -> None:
    data = {**fusekit.fuse(gated).plan(X, Y).to_dict(), **change}
    with pytest.raises(UsageError):
        Plan.from_dict(data)
    path = tmp_path / "x.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(UsageError):
        fusekit.fuse(gated, plan=path)


def test_a_plan_of_another_function_says_what_differs() -> None:
    plan = fusekit.fuse(gated).plan(X, Y)
    with pytest.raises(UsageError, match=r"operator 1 is aten\.mul\.Tensor, .* has aten\.relu"):
        fusekit.fuse(across, plan=plan)(X, Y, W)
    with pytest.raises(UsageError, match="ends after 1"):
        fusekit.fuse(lambda x, y: x * y, plan=plan)(X, Y)


def test_a_division_that_is_not_one_says_so() -> None:
    plan = fusekit.fuse(gated).plan(X, Y)
    for groups, said in (
        ((("mul_1", "sigmoid_1"),), "leave out mul_2, add_1"),
        ((("mul_1", "mul_1", "sigmoid_1", "mul_2", "add_1"),), "mul_1 twice"),
        ((("mul_1.3", "sigmoid_1", "mul_2", "add_1"),), "names mul_1.3"),
    ):
        with pytest.raises(UsageError, match=said):
            fusekit.fuse(gated, plan=Plan(plan.operators, groups=groups))(X, Y)


def test_plans_do_not_disturb_each_other() -> None:
    free = fusekit.fuse(gated)
    split = fusekit.fuse(gated, plan=free.plan(X, Y).but("sigmoid - g1"))
    for _ in range(2):
        assert torch.equal(free(X, Y), split(X, Y))
        assert len(program_of(free, X, Y).kernels) == 1
        assert len(program_of(split, X, Y).kernels) == 3
    large = torch.randn(9, 7)
    assert len(program_of(split, large, large).kernels) == 3


def test_the_page_of_a_seam_that_a_plan_made() -> None:
    explained = fusekit.fuse(gated, plan=fusekit.fuse(gated).plan(X, Y).but("mul_1 - add")).explain(
        X, Y
    )
    assert explained.codes == ("FK0111",)


# what else a call may be


def test_batches_are_launched_as_one_still() -> None:
    def function(weights, gradients):
        torch._foreach_mul_(weights, 0.9)
        torch._foreach_add_(weights, gradients)

    def arguments() -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        generator = torch.Generator().manual_seed(0)
        made = [torch.randn(5, 7, generator=generator) for _ in range(6)]
        return made[:3], made[3:]

    expected, gradients = arguments()
    function(expected, gradients)
    free = fusekit.fuse(function).plan(*arguments())
    launches = {"": 1, "mul_1 - add_1": 3, "mul_1 + mul_2": 2, "~add_2": 2}
    for change, count in launches.items():
        fused = fusekit.fuse(function, plan=free.but(change) if change else free)
        weights, given = arguments()
        fused(weights, given)
        for ours, theirs in zip(weights, expected, strict=True):
            assert torch.equal(ours, theirs), change
        assert len(program_of(fused, *arguments()).launches) == count, change


def test_gradients_are_those_of_eager() -> None:
    x, y = (torch.randn(4, 4, requires_grad=True) for _ in range(2))
    expected = torch.autograd.grad(gated(x, y).sum(), (x, y))
    for change in ("sigmoid - g1", "mul_1 - add_1", "~sigmoid"):
        fused = fusekit.fuse(gated, plan=fusekit.fuse(gated).plan(X, Y).but(change))
        found = torch.autograd.grad(fused(x, y).sum(), (x, y))
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs)


def test_a_method_keeps_its_plan() -> None:
    class Scaled:
        def __init__(self) -> None:
            self.scale = Y

        def forward(self, x):
            return torch.exp(x * self.scale) + x

    plan = fusekit.fuse(Scaled().forward).plan(X).but("exp - g1")
    Scaled.forward = fusekit.fuse(Scaled.forward, plan=plan)
    made = Scaled()
    assert len(made.forward.plan(X).groups) == 3
    torch.testing.assert_close(made.forward(X), torch.exp(X * Y) + X)


def test_another_dtype_is_the_same_plan() -> None:
    fused = fusekit.fuse(gated, plan=fusekit.fuse(gated).plan(X, Y).but("sigmoid - g1"))
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        x, y = X.to(dtype), Y.to(dtype)
        assert len(program_of(fused, x, y).kernels) == 3
        torch.testing.assert_close(fused(x, y), gated(x, y))


def test_random_numbers_left_to_pytorch() -> None:
    def function(x):
        return torch.relu(x) * torch.rand_like(x)

    fused = fusekit.fuse(function, plan=fusekit.fuse(function).plan(X).but("~rand_like"))
    torch.manual_seed(3)
    ours = fused(X)
    torch.manual_seed(3)
    assert torch.equal(ours, function(X))  # the very numbers that eager draws


# any program, any plan


def keys(divided: Divided) -> list[str]:
    return [call.spec.key for call in divided.kernels]


@st.composite
def edits(draw: Any, names: list[str]) -> dict[str, Any]:
    """Constraints on operators of these names."""
    name = st.sampled_from(names)
    pairs = st.tuples(name, name).filter(lambda pair: pair[0] != pair[1])
    few = {"max_size": 2}
    return {
        "apart": draw(st.lists(pairs, **few)) if len(names) > 1 else [],
        "alone": draw(st.lists(name, **few)),
        "together": draw(st.lists(st.lists(name, min_size=2, max_size=4), max_size=1)),
        "opaque": draw(st.lists(name, max_size=1)),
    }


def check_constraints(plan: Plan, kernels: list[set[str]]) -> None:
    for a, b in plan.apart:
        assert a == b or not any(kernel >= {a, b} for kernel in kernels), plan
    for name in plan.alone:
        assert all(kernel == {name} for kernel in kernels if name in kernel), plan
    for name in plan.opaque:
        assert not any(name in kernel for kernel in kernels), plan
    for names in plan.together:
        assert any(kernel.issuperset(names) for kernel in kernels), plan


@hypothesis.settings(suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(programs(most=20), st.data())
def test_any_plan_gives_what_eager_gives(given: Program, data: Any) -> None:
    fused = fusekit.fuse(given.function())
    with warnings.catch_warnings(action="ignore"), torch.no_grad():
        try:
            free = fused.plan(*given.arguments(0))
        except FusionDeclined:
            hypothesis.reject()
        names = [n for kernel in owned(program_of(fused, *given.arguments(0))) for n in kernel]
        if not names:
            hypothesis.reject()
        plan = free.but(**data.draw(edits(sorted(set(names)))))
        made = fusekit.fuse(given.function(), plan=plan)
        try:
            divided = program_of(made, *given.arguments(0))
        except PlanRefused as told:
            hypothesis.event(f"refused: {told.decline.reason.name}")
            return
    hypothesis.event("legal")
    check_constraints(plan, owned(divided))
    check_program(given, made, 0)
    with warnings.catch_warnings(action="ignore"), torch.no_grad():
        exported = made.plan(*given.arguments(0))
        again = fusekit.fuse(given.function(), plan=json.loads(json.dumps(exported.to_dict())))
        replayed = program_of(again, *given.arguments(0))
        assert keys(replayed) == keys(divided)
        assert owned(replayed) == owned(divided)
        assert again.plan(*given.arguments(0)) == exported
