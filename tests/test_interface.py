"""The original fuser's interface: register once, run by key on a stack, fall back by itself."""

from __future__ import annotations

import warnings

import pytest
import torch

import fusekit
from fusekit.frontends.torchgroups import TorchGroup
from fusekit.ir import DType, GraphBuilder, parse_graph
from fusekit.runtime.engines import switches

NAMES = (
    *("CPU_DEVICE", "register_fusion", "run_fusion", "can_fuse_on_cpu", "can_fuse_on_gpu"),
    *("override_can_fuse_on_cpu", "override_can_fuse_on_gpu", "override_must_use_llvm_on_cpu"),
    *("debug_launch_graph", "debug_get_fused_kernel_code", "n_compiled_kernels"),
)

MUL_ADD = """
graph(%a : Tensor, %b : Tensor, %s : float):
  %one : int = prim::Constant[value=1]()
  %p : Tensor = aten::mul(%a, %b)
  %q : Tensor = aten::mul(%p, %s)
  %r : Tensor = aten::add(%q, %b, %one)
  return (%r)
"""


@pytest.fixture(autouse=True)
def _switches():
    yield
    fusekit.override_can_fuse_on_cpu(value=True)
    fusekit.override_can_fuse_on_gpu(value=True)
    fusekit.override_must_use_llvm_on_cpu(value=False)


@pytest.fixture(params=["llvm", "cpp"])
def engine(request):
    with fusekit.options(engine=request.param):
        yield request.param


def ts(text):
    return torch._C.parse_ir(text)


def fallbacks():
    return sum(fusekit.stats().fallbacks.values())


def run(group, *values):
    stack = list(values)
    fusekit.run_fusion(fusekit.register_fusion(group), stack)
    return stack


def expect_fused(group, values, expected):
    """It runs in kernels, and gives what is expected."""
    before, launches = fallbacks(), fusekit.stats().launches
    got = run(group, *values)
    assert fallbacks() == before
    assert fusekit.stats().launches > launches
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        assert one.dtype == other.dtype
        assert one.stride() == other.stride()
        torch.testing.assert_close(one, other, rtol=2e-6, atol=1e-6)


def ir_affine(scale=2.0, name="affine"):
    """x * scale + s * y, of float32 and a Python scalar."""
    builder = GraphBuilder(name)
    x, y = builder.input(DType.F32), builder.input(DType.F32)
    s = builder.cast(builder.scalar(DType.F64), DType.F32)
    scaled = builder.apply("mul", x, builder.const(scale, DType.F32))
    return builder.finish([builder.apply("add", scaled, builder.apply("mul", y, s))])


# names and keys


def test_the_names_are_public():
    assert all(hasattr(fusekit, name) and name in fusekit.__all__ for name in NAMES)
    assert fusekit.CPU_DEVICE == -1


def test_renamed_values_and_stated_types_share_a_key():
    renamed = MUL_ADD.replace("%p", "%product").replace("%a", "%first")
    typed = MUL_ADD.replace("%p : Tensor", "%p : Float(3, 4, strides=[4, 1])")
    key = fusekit.register_fusion(ts(MUL_ADD))
    assert fusekit.register_fusion(ts(renamed)) == key
    assert fusekit.register_fusion(ts(typed)) == key


def test_pooled_constants_share_a_key():
    spread = MUL_ADD.replace("  %one : int = prim::Constant[value=1]()\n", "").replace(
        "  %r :", "  %one : int = prim::Constant[value=1]()\n  %r :"
    )
    assert fusekit.register_fusion(ts(spread)) == fusekit.register_fusion(ts(MUL_ADD))


@pytest.mark.parametrize(
    ("old", "new"),
    [("value=1", "value=2"), ("mul(%a, %b)", "mul(%b, %a)"), ("aten::mul(%a", "aten::div(%a")],
)
def test_other_constants_operands_and_operators_get_another_key(old, new):
    assert old in MUL_ADD
    key = fusekit.register_fusion(ts(MUL_ADD.replace(old, new)))
    assert key != fusekit.register_fusion(ts(MUL_ADD))


def test_an_int_and_a_float_constant_differ():
    text = "graph(%a : Tensor):\n  %c : {} = prim::Constant[value={}]()\n"
    text += "  %r : Tensor = aten::mul(%a, %c)\n  return (%r)"
    keys = {fusekit.register_fusion(ts(text.format(*c))) for c in (("int", "2"), ("float", "2."))}
    assert len(keys) == 2


def test_tensor_constants_differ_by_value():
    def graph(last):
        constant = torch.arange(2000.0)
        constant[-1] = last
        return torch.jit.trace(lambda x: x * constant, torch.ones(2000)).graph

    key = fusekit.register_fusion(graph(1.0))
    assert fusekit.register_fusion(graph(1.0)) == key
    assert fusekit.register_fusion(graph(2.0)) != key


def test_ir_graphs_share_a_key_by_content():
    key = fusekit.register_fusion(ir_affine())
    assert fusekit.register_fusion(ir_affine(name="other")) == key
    assert fusekit.register_fusion(parse_graph(str(ir_affine()))) == key
    assert fusekit.register_fusion(ir_affine(scale=3.0)) != key


def test_fx_graphs_share_a_key_but_for_names():
    def first(x, y):
        return (x + y) * 2

    def second(left, right):
        total = left + right
        return total * 2

    def third(x, y):
        return (x + y) * 3

    keys = [fusekit.register_fusion(torch.fx.symbolic_trace(f)) for f in (first, second, third)]
    assert keys[0] == keys[1] != keys[2]


def test_fx_modules_with_weights_of_their_own_differ():
    class Scale(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.randn(4))
            self.act = torch.nn.Tanh()

        def forward(self, x):
            return self.act(x * self.weight)

    one, two = Scale(), Scale()
    graphs = [torch.fx.symbolic_trace(m) for m in (one, one, two)]
    keys = [fusekit.register_fusion(g) for g in graphs]
    assert keys[0] == keys[1] != keys[2]
    x = torch.randn(3, 4)
    with torch.no_grad():
        for module, graph in ((one, graphs[0]), (two, graphs[2])):
            expect_fused(graph, [x], [module(x)])
            module.weight.mul_(2)  # read at each call, like eager does
            expect_fused(graph, [x], [module(x)])


def test_editing_a_graph_after_it_was_registered_changes_nothing():
    module = torch.fx.symbolic_trace(lambda x: torch.relu(x) + 1)
    key = fusekit.register_fusion(module)
    for node in module.graph.nodes:
        if node.target is torch.relu:
            node.target = torch.tanh
    module.recompile()
    assert fusekit.register_fusion(module) != key
    stack = [torch.tensor([-1.0, 2.0])]
    fusekit.run_fusion(key, stack)
    assert torch.equal(stack[0], torch.tensor([1.0, 3.0]))


# the stack


def test_values_below_the_inputs_stay():
    below = object()
    x, y = torch.randn(3), torch.randn(3)
    stack = [below, "text", x, y, 0.5]
    fusekit.run_fusion(fusekit.register_fusion(ts(MUL_ADD)), stack)
    assert len(stack) == 3
    assert stack[0] is below
    assert stack[1] == "text"
    torch.testing.assert_close(stack[2], x * y * 0.5 + y)


def test_too_few_values_leave_the_stack_as_it_was():
    x = torch.randn(3)
    stack = [x, 0.5]
    with pytest.raises(fusekit.StackError, match="takes 3 values, the stack holds 2"):
        fusekit.run_fusion(fusekit.register_fusion(ts(MUL_ADD)), stack)
    assert len(stack) == 2
    assert stack[0] is x


def test_what_eager_rejects_leaves_the_stack_as_it_was():
    stack = [torch.randn(3), torch.randn(4), 0.5]
    kept = list(stack)
    with pytest.raises(RuntimeError, match="must match the size"):
        fusekit.run_fusion(fusekit.register_fusion(ts(MUL_ADD)), stack)
    assert all(one is other for one, other in zip(stack, kept, strict=True))


@pytest.mark.parametrize("key", [-1, 10**9, "0", None, 0.0])
def test_an_unknown_key(key):
    fusekit.register_fusion(ts(MUL_ADD))
    with pytest.raises(fusekit.UnknownKeyError, match="no fusion is registered"):
        fusekit.run_fusion(key, [])


def test_what_is_no_group_is_refused():
    with pytest.raises(fusekit.UsageError, match="got str"):
        fusekit.register_fusion("graph")


# the four kinds of graph


def test_an_ir_graph(engine):
    x, y = torch.randn(5, 6), torch.randn(6)
    for s in (0.5, -3.0):
        expect_fused(ir_affine(), [x, y, s], [x * 2 + y * s])
    assert fusekit.debug_launch_graph(ir_affine(), [x, y, 1])[0].shape == (5, 6)


@pytest.mark.parametrize("dim", [0, 1, 2, -1, -3])
def test_an_ir_graph_with_chunk_and_cat(engine, dim):
    builder = GraphBuilder()
    x, y = builder.input(DType.F32), builder.input(DType.F32)
    first, second = builder.chunk(x, 2, dim)
    product = builder.apply("mul", first, second)
    total = builder.apply("add", first, y)
    whole = builder.cat([product, total, builder.apply("neg", second)], dim)
    graph = builder.finish([whole, product])
    x, y = torch.randn(4, 6, 8), torch.randn(1)
    a, b = x.chunk(2, dim)
    expect_fused(graph, [x, y], [torch.cat([a * b, a + y, -b], dim), a * b])


def test_an_ir_graph_falls_back_where_shapes_do_not_fit():
    """Pieces of unequal sizes, results of different shapes: PyTorch runs them."""
    builder = GraphBuilder()
    x, y = builder.input(DType.F32), builder.input(DType.F32)
    pieces = builder.chunk(x, 3, 0)
    graph = builder.finish([*(builder.apply("neg", i) for i in pieces), builder.apply("abs", y)])
    x, y = torch.randn(7), torch.randn(2, 2)
    before = fallbacks()
    got = run(graph, x, y)
    assert fallbacks() == before + 1
    for one, other in zip(got, [*(-piece for piece in x.chunk(3)), y.abs()], strict=True):
        assert torch.equal(one, other)
    with pytest.raises(RuntimeError, match="3 chunks"):
        run(graph, x[:2], y)
    with pytest.raises(fusekit.FusionDeclined, match="FK0304"):
        fusekit.debug_launch_graph(graph, [x, y])


@pytest.mark.parametrize("dim", [2, -3])
def test_an_ir_graph_with_a_dim_that_does_not_exist(dim):
    builder = GraphBuilder()
    x = builder.input(DType.F32)
    first, second = builder.chunk(x, 2, dim)
    split = builder.finish([builder.apply("mul", first, second)])
    builder = GraphBuilder()
    x = builder.input(DType.F32)
    join = builder.finish([builder.cat([builder.apply("neg", x), builder.apply("abs", x)], dim)])
    for graph in (split, join):
        with pytest.raises(IndexError):
            run(graph, torch.randn(4, 4))


def test_an_ir_graph_with_arguments_of_another_kind():
    """It states dtypes; others run in PyTorch, which promotes as it does."""
    x, y = torch.randn(3, dtype=torch.float64), torch.randn(3)
    before = fallbacks()
    (got,) = run(ir_affine(), x, y, 0.5)
    assert fallbacks() == before + 1
    torch.testing.assert_close(got, x * 2 + y * 0.5)
    with pytest.raises(fusekit.FusionDeclined, match="FK0102"):
        fusekit.debug_launch_graph(ir_affine(), [x, y, 0.5])
    with pytest.raises(fusekit.FusionDeclined, match=r"FK0102.*scalar f64, got str"):
        fusekit.debug_launch_graph(ir_affine(), [y, y, "text"])
    with pytest.raises(fusekit.FusionDeclined, match="FK0109"):
        fusekit.debug_launch_graph(ir_affine(), [y.to_sparse(), y, 0.5])


def test_an_ir_graph_is_differentiable():
    x, y = torch.randn(4, requires_grad=True), torch.randn(4)
    (got,) = run(ir_affine(scale=5.0), x, y, 0.5)
    got.sum().backward()
    torch.testing.assert_close(x.grad, torch.full((4,), 5.0))


def test_an_ir_graph_that_calls_pytorch_is_refused():
    graph = parse_graph(
        "graph g(%0: f32[2,2]) {\n  %1: f32[2,2] = call aten.mm.default(%0, %0)\n  return %1\n}\n"
    )
    with pytest.raises(fusekit.GraphError, match=r"aten\.mm"):
        fusekit.register_fusion(graph)


def test_an_fx_graph(engine):
    module = torch.fx.symbolic_trace(lambda x, y, s: (torch.tanh(x) * s + y, x.abs()))
    x, y = torch.randn(4, 3), torch.randn(3)
    expect_fused(module, [x, y, 0.5], [torch.tanh(x) * 0.5 + y, x.abs()])


def test_a_scripted_graph(engine):
    def gates(x, s: float, k: int):
        a, b, c = x.chunk(3, -1)
        both = torch.cat([torch.sigmoid(a) * s, torch.where(b > 0.5 * s, b, c)], -1)
        return both, [c * k][0].to(torch.float64), torch.zeros_like(a, dtype=x.dtype)

    graph = torch.jit.script(gates).graph
    x = torch.randn(5, 6)
    for s, k in ((0.5, 2), (0.25, 3)):
        expect_fused(graph, [x, s, k], gates(x, s, k))


def test_a_traced_graph(engine):
    """Sizes are computed in tensors there, and tensors from outside become its constants."""
    outside = torch.tensor([1.0, 2.0])

    def traced(x):
        half = x.view(-1, x.size(1) // 2) * x.size(0)
        return half * outside + 0.1, half.type_as(x) > 0

    x = torch.randn(3, 4)
    graph = torch.jit.trace(traced, x).graph
    for rows in (3, 5):
        x = torch.randn(rows, 4)
        expect_fused(graph, [x], traced(x))


def test_a_frozen_module():
    class Scale(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.randn(4))

        def forward(self, x):
            return torch.relu(x * self.weight) + 1

    module = Scale().eval()
    x = torch.randn(3, 4)
    with torch.no_grad():
        expect_fused(torch.jit.freeze(torch.jit.script(module)).graph, [x], [module(x)])
    with pytest.raises(fusekit.GraphError, match=r"prim::GetAttr.*freeze"):
        fusekit.register_fusion(torch.jit.script(module).graph)


def group_node(text, n_inputs, n_outputs=1, kind="prim::FusionGroup"):
    """A graph with one node of a kind that has a subgraph; the node is only good with its graph."""
    graph = torch._C.Graph()
    node = graph.create(kind, [graph.addInput() for _ in range(n_inputs)], n_outputs)
    node.g_("Subgraph", ts(text))
    graph.appendNode(node)
    for value in node.outputs():
        graph.registerOutput(value)
    return graph, node


CHUNK_CAT = """
graph(%x : Tensor, %y : Tensor):
  %a : Tensor, %b : Tensor = prim::ConstantChunk[chunks=2, dim=-1](%x)
  %p : Tensor = aten::mul(%a, %b)
  %q : Tensor = aten::mul(%b, %y)
  %c : Tensor = prim::FusedConcat[dim=0](%p, %q)
  return (%c, %q)
"""


def test_a_fusion_group_node(engine):
    _graph, node = group_node(CHUNK_CAT, 2, 2)
    x, y = torch.randn(4, 6), torch.randn(3)
    a, b = x.chunk(2, -1)
    expect_fused(node, [x, y], [torch.cat([a * b, b * y]), b * y])
    assert fusekit.register_fusion(node) == fusekit.register_fusion(ts(CHUNK_CAT))


def test_a_chunk_with_too_few_pieces_fails_as_in_torchscript():
    with pytest.raises(RuntimeError, match="2 chunks"):
        run(ts(CHUNK_CAT), torch.randn(4, 1), torch.randn(1))


def test_another_node_is_refused():
    _graph, node = group_node(MUL_ADD, 3, kind="prim::DifferentiableGraph")
    with pytest.raises(fusekit.GraphError, match="prim::DifferentiableGraph"):
        fusekit.register_fusion(node)
    node = next(ts(MUL_ADD).nodes())
    with pytest.raises(fusekit.GraphError, match="prim::Constant"):
        fusekit.register_fusion(node)


def _loop(x):
    for _ in range(3):
        x = x * 2
    return x


def _append(x):
    made = [x]
    made.append(x * 2)
    return torch.cat(made)


def _branch(x, flag: bool):
    return x + 1 if flag else x * 2


def _print(x):
    print(x)
    return x + 1


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (_loop, "prim::Loop"),
        (_append, "aten::append"),
        (_branch, "prim::If"),
        (_print, "prim::Print"),
    ],
)
def test_what_a_group_cannot_hold_is_named(function, kind):
    with pytest.raises(fusekit.GraphError, match=kind):
        fusekit.register_fusion(torch.jit.script(function).graph)


def test_names_of_values_go_no_further():
    text = MUL_ADD.replace("%p", "%__import__os_system").replace("%a", "%evil")
    values = [torch.randn(3), torch.randn(3), 0.5]
    for source in (
        TorchGroup(ts(text)).content,
        fusekit.debug_get_fused_kernel_code(ts(text), values),
    ):
        assert "evil" not in source
        assert "import" not in source


def test_every_output_counts_once_and_a_new_number_compiles_nothing(engine):
    text = MUL_ADD.replace("aten::div", "aten::mul").replace("return (%r)", "return (%r, %p, %q)")
    graph = ts(text)
    x, y = torch.randn(8), torch.randn(8)
    expect_fused(graph, [x, y, 0.5], [x * y * 0.5 + y, x * y, x * y * 0.5])
    before = fusekit.n_compiled_kernels()
    expect_fused(graph, [x, y, 1.5], [x * y * 1.5 + y, x * y, x * y * 1.5])
    assert fusekit.n_compiled_kernels() == before


# falling back, and not


RANDOM = """
graph(%a : Tensor):
  %n : NoneType = prim::Constant()
  %r : Tensor = aten::randn_like(%a, %n, %n, %n, %n, %n)
  return (%r)
"""


def test_what_cannot_be_fused_falls_back_and_the_debug_functions_raise():
    x = torch.randn(3, 3)
    before = fusekit.stats().fallbacks.get("FK0204", 0)
    (got,) = run(ts(RANDOM), x)
    assert got.shape == x.shape
    assert fusekit.stats().fallbacks["FK0204"] == before + 1
    for debug in (fusekit.debug_launch_graph, fusekit.debug_get_fused_kernel_code):
        with pytest.raises(fusekit.FusionDeclined, match="FK0204") as caught:
            debug(ts(RANDOM), [x])
        assert caught.value.decline.reason is fusekit.Reason.NOTHING_TO_FUSE


def test_debug_functions_take_wrong_arguments_for_what_they_are():
    with pytest.raises(fusekit.FusionDeclined):
        fusekit.debug_launch_graph(ts(MUL_ADD), [torch.randn(3)])
    with pytest.raises(fusekit.FusionDeclined):
        fusekit.debug_launch_graph(ir_affine(), [torch.randn(3)])


def test_the_debug_functions_give_results_and_code(engine):
    x, y = torch.randn(3, 4), torch.randn(3, 4)
    (got,) = fusekit.debug_launch_graph(ts(MUL_ADD), [x, y, 2.0])
    torch.testing.assert_close(got, x * y * 2.0 + y)
    code = fusekit.debug_get_fused_kernel_code(ts(MUL_ADD), [x, y, 2.0])
    assert ("define" if engine == "llvm" else 'extern "C"') in code
    assert "fk_" in code


def test_compiled_kernels_are_counted():
    before = fusekit.n_compiled_kernels()
    graph = ir_affine(scale=1.0 + torch.rand(1).item())
    assert fusekit.n_compiled_kernels() == before
    run(graph, torch.randn(3), torch.randn(3), 1.0)
    assert fusekit.n_compiled_kernels() == before + 1
    run(graph, torch.randn(7), torch.randn(7), 2.0)
    assert fusekit.n_compiled_kernels() == before + 1
    assert fusekit.n_compiled_kernels() == fusekit.stats().kernels


# switches


def test_fusion_on_the_cpu_can_be_switched_off_and_on():
    key = fusekit.register_fusion(ts(MUL_ADD))
    values = [torch.randn(3), torch.randn(3), 0.5]
    fusekit.run_fusion(key, list(values))
    assert fusekit.can_fuse_on_cpu()
    fusekit.override_can_fuse_on_cpu(value=False)
    assert not fusekit.can_fuse_on_cpu()
    before, launches = fusekit.stats().fallbacks.get("FK0301", 0), fusekit.stats().launches
    stack = list(values)
    fusekit.run_fusion(key, stack)  # although its plan was the most recent one
    torch.testing.assert_close(stack[0], values[0] * values[1] * 0.5 + values[1])
    assert fusekit.stats().fallbacks["FK0301"] == before + 1
    assert fusekit.stats().launches == launches
    with pytest.raises(fusekit.FusionDeclined, match="FK0301"):
        fusekit.debug_launch_graph(ts(MUL_ADD), values)
    fusekit.override_can_fuse_on_cpu(value=True)
    fusekit.run_fusion(key, list(values))
    assert fusekit.stats().launches == launches + 1


def test_a_group_registered_while_fusion_is_off_fuses_later():
    fusekit.override_can_fuse_on_cpu(value=False)
    graph = ir_affine(scale=7.0)
    values = [torch.randn(3), torch.randn(3), 0.5]
    run(graph, *values)
    fusekit.override_can_fuse_on_cpu(value=True)
    expect_fused(graph, values, [values[0] * 7 + values[1] * 0.5])


def test_fuse_obeys_the_switch():
    f = fusekit.fuse(lambda x: torch.relu(x) + 1)
    x = torch.randn(4)
    f(x)
    launches = fusekit.stats().launches
    fusekit.override_can_fuse_on_cpu(value=False)
    assert torch.equal(f(x), torch.relu(x) + 1)
    assert fusekit.stats().launches == launches
    assert "FK0301" in str(f.explain(x))


@pytest.mark.cxx
def test_only_llvm_on_the_cpu():
    x = torch.randn(4)
    cpp = fusekit.fuse(lambda x: torch.relu(x) + 2, engine="cpp")
    assert torch.equal(cpp(x), torch.relu(x) + 2)
    fusekit.override_must_use_llvm_on_cpu(value=True)
    assert fusekit.can_fuse_on_cpu()
    launches = fusekit.stats().launches
    assert torch.equal(cpp(x), torch.relu(x) + 2)  # by PyTorch: never by another engine
    assert fusekit.stats().launches == launches
    assert "FK0302" in str(cpp.explain(x))
    auto = fusekit.fuse(lambda x: torch.relu(x) + 2)
    assert {group.engine for group in auto.explain(x).groups} == {"llvm"}
    with fusekit.options(engine="cpp"):
        assert not fusekit.can_fuse_on_cpu()
        with pytest.raises(fusekit.FusionDeclined, match="FK0302"):
            fusekit.debug_launch_graph(ts(MUL_ADD), [x, x, 0.5])
    fusekit.override_must_use_llvm_on_cpu(value=False)
    assert {group.engine for group in cpp.explain(x).groups} == {"cpp"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_no_switch_makes_one():
    fusekit.override_can_fuse_on_gpu(value=True)
    assert not fusekit.can_fuse_on_gpu()


def test_the_switches_take_a_positional_value():
    fusekit.override_can_fuse_on_gpu(False)
    assert not switches.fuse_on_gpu
    assert not fusekit.can_fuse_on_gpu()


def test_registering_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fusekit.register_fusion(ts(MUL_ADD))


def test_an_index_in_a_group_counts_in_the_common_shape(engine):
    graph = parse_graph(
        "graph draw(%0: i64, %1: i64, %2: scalar i64) {\n"
        "  %3: i64 = index\n"
        "  %4: i64 = philox %0, %3, %2, %3\n"
        "  %5: i64 = add %4, %1\n"
        "  return %5, %3\n"
        "}\n"
    )
    arguments = [torch.tensor(7), torch.zeros(4, 6, dtype=torch.int64), 3]
    bits, index = fusekit.debug_launch_graph(graph, arguments)
    assert torch.equal(index, torch.arange(24).reshape(4, 6))
    fusekit.override_can_fuse_on_cpu(False)
    try:
        eager = run(graph, *arguments)
    finally:
        fusekit.override_can_fuse_on_cpu(True)
    assert torch.equal(bits, eager[0])
    assert torch.equal(index, eager[1])
