"""What the original fuser took from its own executor, through the interface functions."""

from __future__ import annotations

import pytest
import torch

import fusekit


@pytest.fixture
def _legacy_executor():
    """TorchScript as it was when its fuser ran; every switch as before afterwards."""
    fuses = torch._C._jit_can_fuse_on_cpu_legacy()
    executor = torch._C._jit_set_profiling_executor(False)
    mode = torch._C._jit_set_profiling_mode(False)
    torch._C._jit_override_can_fuse_on_cpu_legacy(True)
    try:
        yield
    finally:
        torch._C._jit_override_can_fuse_on_cpu_legacy(fuses)
        torch._C._jit_set_profiling_mode(mode)
        torch._C._jit_set_profiling_executor(executor)


def run(group, *values):
    stack = list(values)
    before = fusekit.stats()
    fusekit.run_fusion(fusekit.register_fusion(group), stack)
    after = fusekit.stats()
    assert after.fallbacks == before.fallbacks
    assert after.launches > before.launches
    return stack


def assert_close(got, expected):
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, rtol=2e-6, atol=1e-6)


def gates(pieces, cx):
    a, b, c, d = pieces.chunk(4, 1)
    cy = torch.sigmoid(b) * cx + torch.sigmoid(a) * torch.tanh(c)
    return torch.sigmoid(d) * torch.tanh(cy), cy


def joined(pieces, cx):
    a, b, c, d = pieces.chunk(4, 1)
    cy = torch.sigmoid(b) * cx + torch.sigmoid(a) * torch.tanh(c)
    hy = torch.sigmoid(d) * torch.tanh(cy)
    return torch.cat([hy, cy], 1), cy


def optimised(function, *args):
    """The graph that the executor runs, after it has fused."""
    script = torch.jit.script(function)
    for _ in range(2):
        script(*args)
    return script.graph_for(*args)


@pytest.mark.usefixtures("_legacy_executor")
@pytest.mark.parametrize("function", [gates, joined])
def test_groups_of_the_legacy_executor(function):
    """The node by itself, its subgraph, and the graph around it."""
    args = torch.randn(3, 20), torch.randn(3, 5)
    graph = optimised(function, *args)
    node = graph.findNode("prim::FusionGroup")
    assert node is not None
    if function is joined:
        assert node.g("Subgraph").findNode("prim::FusedConcat") is not None
    assert node.g("Subgraph").findNode("prim::ConstantChunk") is not None
    by_name = dict(zip(("pieces", "cx"), args, strict=True))
    given = [by_name[value.debugName().split(".")[0]] for value in node.inputs()]
    expected = dict(zip(("first", "cy"), function(*args), strict=True))
    for group in (node, node.g("Subgraph")):
        got = run(group, *given)
        assert len(got) == 2
        for one in got:
            assert any(
                one.shape == other.shape and torch.allclose(one, other, atol=1e-6)
                for other in expected.values()
            )
    assert_close(run(graph, *args), function(*args))
    assert fusekit.register_fusion(node) == fusekit.register_fusion(node.g("Subgraph"))


@pytest.mark.usefixtures("_legacy_executor")
def test_the_whole_plan_with_its_products():
    def cell(x, w, cx):
        a, b = (x.mm(w.t()) + 1).chunk(2, 1)
        return torch.sigmoid(a) * torch.tanh(b) + cx

    args = torch.randn(3, 5), torch.randn(10, 5), torch.randn(3, 5)
    assert_close(run(optimised(cell, *args), *args), [cell(*args)])


@pytest.mark.usefixtures("_legacy_executor")
def test_differentiable_graphs_are_read_through():
    """They hold size expressions, and return what their backward needs beside the results."""

    def scaled(x, row):
        return (x + row) * row * x

    x, row = torch.randn(3, 5), torch.randn(5)
    leaves = x.clone().requires_grad_(), row.clone().requires_grad_()
    graph = optimised(scaled, *leaves)
    (inner,) = graph.findAllNodes("prim::DifferentiableGraph")
    assert len(list(inner.g("Subgraph").outputs())) > 1
    assert inner.g("Subgraph").findNode("prim::FusionGroup") is not None
    assert_close(run(graph, x, row), [scaled(x, row)])
    wide = inner.g("Subgraph")
    assert wide.findNode("aten::_size_if_not_equal") is not None


@pytest.mark.usefixtures("_legacy_executor")
def test_a_backward_of_the_legacy_executor():
    """Its sums to sizes stand outside the group."""

    def scaled(x, row):
        return (x + row) * row * x

    script = torch.jit.script(scaled)
    x, row = torch.randn(3, 5), torch.randn(5)
    for _ in range(2):
        leaves = x.clone().requires_grad_(), row.clone().requires_grad_()
        script(*leaves).sum().backward()
    (plan,) = script.get_debug_state().execution_plans.values()
    (state,) = plan.code.grad_executor_states()
    (backward,) = state.execution_plans.values()
    graph = backward.graph
    assert graph.findNode("aten::_grad_sum_to_size") is not None
    node = graph.findNode("prim::FusionGroup")
    values = [torch.randn(5 if value.type().dim() == 1 else (3, 5)) for value in node.inputs()]
    expected = _interpreted(node.g("Subgraph"), values)
    assert_close(run(node, *values), expected)


def _interpreted(graph, values):
    """What torch makes of a straight graph of add and mul."""
    known = {value.debugName(): given for value, given in zip(graph.inputs(), values, strict=True)}
    for node in graph.nodes():
        if node.kind() == "prim::Constant":
            continue
        one, other = [known[v.debugName()] for v in node.inputs() if v.debugName() in known]
        known[node.output().debugName()] = (
            one + other if node.kind() == "aten::add" else one * other
        )
    return [known[value.debugName()] for value in graph.outputs()]


@pytest.mark.usefixtures("_legacy_executor")
def test_random_numbers_in_a_group():
    """The row that is broadcast keeps the original from trying it on the CPU, where it fails."""

    def noisy(x, row):
        return (x * row).clamp(0.25, None) * torch.rand_like(x).type_as(x) * 4

    x, row = torch.randn(20, 100), torch.zeros(100)
    node = optimised(noisy, x, row).findNode("prim::FusionGroup")
    assert node.g("Subgraph").findNode("aten::rand_like") is not None
    for engine in ("llvm", "cpp"):
        with fusekit.options(engine=engine):
            one, other = run(node, x, row)[0], run(node, x, row)[0]
        assert not torch.equal(one, other)
        assert 0 <= one.min() < 0.2
        assert 0.8 < one.max() < 1


SUM_TO_SIZE = """
graph(%x : Tensor, %y : Tensor, %size : int[]?):
  %p : Tensor = aten::mul(%x, %y)
  %s : Tensor = aten::_grad_sum_to_size(%p, %size)
  return (%s, %p)
"""


@pytest.mark.parametrize("size", [[1, 5], None])
def test_sum_to_size(size):
    x, y = torch.randn(3, 5), torch.randn(3, 5)
    graph = torch._C.parse_ir(SUM_TO_SIZE)
    product = x * y
    summed = product if size is None else product.sum(0, keepdim=True)
    assert_close(run(graph, x, y, size), [summed, product])


SIZES = """
graph(%x : Tensor, %y : Tensor):
  %a : int[] = aten::size(%x)
  %b : int[] = aten::size(%y)
  %both : int[] = prim::BroadcastSizes(%a, %b)
  %piece : int[], %last : int[] = prim::ChunkSizes[chunks=2, dim=1](%both)
  %z : Tensor = aten::mul(%x, %y)
  %sum : Tensor = aten::_grad_sum_to_size(%z, %b)
  return (%sum, %both, %piece, %last)
"""


def test_size_expressions():
    x, y = torch.randn(3, 5), torch.randn(5)
    summed, both, piece, last = run(torch._C.parse_ir(SIZES), x, y)
    torch.testing.assert_close(summed, (x * y).sum(0))
    assert (both, piece, last) == ([3, 5], [3, 3], [3, 2])


@pytest.mark.parametrize("bounds", [(0.0, 2.0), (None, 0.5), (-0.5, None)])
def test_clamp_with_optional_bounds(bounds):
    def clamped(x, low: float | None, high: float | None):
        return torch.clamp(x * 2, low, high).type_as(x) + torch.cat([x, x]).chunk(2)[0]

    x = torch.randn(6, 4)
    graph = torch.jit.script(clamped).graph
    assert_close(run(graph, x, *bounds), [clamped(x, *bounds)])


def test_lists_for_cat_and_stack():
    def listed(x, y):
        return torch.stack([x + y, x * y], 1), torch.cat([x, x - y], -1)

    x, y = torch.randn(3, 4), torch.randn(3, 4)
    for graph in (torch.jit.script(listed).graph, torch.jit.trace(listed, (x, y)).graph):
        assert_close(run(graph, x, y), listed(x, y))


def test_control_flow_is_refused_with_its_reason():
    def branch(x, flag: bool):
        return x + 1 if flag else x * 2

    with pytest.raises(fusekit.GraphError, match=r"prim::If: it has no control flow.*fuse takes"):
        fusekit.register_fusion(torch.jit.script(branch).graph)


def test_what_a_group_cannot_hold_is_named_with_its_line():
    def printing(x):
        print(x)
        return x + 1

    line = printing.__code__.co_firstlineno + 1
    with pytest.raises(fusekit.GraphError, match=rf"prim::Print at .*{line}"):
        fusekit.register_fusion(torch.jit.script(printing).graph)
