"""torch.compile finds the backend by name."""

import copy
import importlib.metadata
from typing import Any

import pytest
import torch

import fusekit
from fusekit.dynamo import watching

pytestmark = pytest.mark.skipif(
    not importlib.metadata.entry_points(group="torch_dynamo_backends", name="fusekit"),
    reason="fusekit is not installed here, so torch.compile cannot find it by name",
)


class Block(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.gelu(self.linear(x)) * 2 + x


def test_a_model_compiles_by_the_backends_name() -> None:
    torch.manual_seed(0)
    model, x = Block(), torch.randn(4, 8)
    compiled = torch.compile(model, backend="fusekit")
    before = fusekit.stats().launches
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), model(x))
        compiled(x)
    assert fusekit.stats().launches >= before + 2


def test_training_through_the_backend_gives_eagers_gradients() -> None:
    torch.manual_seed(0)
    model, x = Block(), torch.randn(4, 8)
    compiled = torch.compile(model, backend="fusekit")
    model(x).sum().backward()
    expected = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    compiled(x).sum().backward()
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_changing_sizes_and_a_graph_break() -> None:
    @torch.compile(backend="fusekit")
    def function(x: torch.Tensor) -> torch.Tensor:
        y = (x * 3).tanh()
        if y.sum() > 0:
            return y + 1
        return y - 1

    for n in (3, 4, 9):
        for sign in (-1, 1):
            x = sign * torch.rand(n)
            y = (x * 3).tanh()
            torch.testing.assert_close(function(x), y + (1 if sign > 0 else -1))


def test_an_explanation_of_each_graph() -> None:
    torch.manual_seed(0)
    model, x = Block(), torch.randn(4, 8)
    compiled = torch.compile(model, backend="fusekit")
    with torch.no_grad():
        found = fusekit.explain(compiled, x)
    assert found.name == "Block"
    assert len(found.graphs) == 1
    assert [group.ops for group in found.groups] == [("gelu", "mul", "add")]
    assert [decline.code for decline in found.declined] == ["FK0101"]
    assert found.declined[0].loc.file == __file__
    assert "self.linear(x)" in found.declined[0].loc.text
    assert found.fused
    assert str(found).startswith("Block: 1 graph\n")
    assert all(seam.decline.code == "FK0101" for seam in found.seams)


def test_watching_a_whole_training_step() -> None:
    model, x = Block(), torch.randn(4, 8)
    compiled = torch.compile(model, backend="fusekit")
    with watching() as graphs:
        compiled(x).sum().backward()
    assert [graph.name.split("_")[1] for graph in graphs] == ["forward", "backward"]
    assert all(graph.groups for graph in graphs)
    lines = {line for graph in graphs for group in graph.groups for line in group.lines}
    assert lines == {Block.forward.__code__.co_firstlineno + 1}


def test_a_function_that_is_not_compiled_is_explained_as_before() -> None:
    assert fusekit.explain(torch.sin, torch.rand(3)).name == "sin"


@pytest.mark.parametrize("backend", ["eager", "fusekit"])
def test_a_fused_function_inside_a_compiled_one_is_taken_apart(backend: str) -> None:
    fused = fusekit.fuse(lambda x: x.sin() * 2)
    compiled = torch.compile(lambda x: fused(x) + 1, backend=backend, fullgraph=True)
    x = torch.rand(5, requires_grad=True)
    torch.testing.assert_close(compiled(x), x.sin() * 2 + 1)
    compiled(x).sum().backward()
    torch.testing.assert_close(x.grad, 2 * x.detach().cos())


def parts(function: Any, *args: torch.Tensor) -> list[list[str]]:
    """Codes of what PyTorch runs in each graph of a call, which is eager's."""
    compiled = torch.compile(function, backend="fusekit")
    for _ in range(2):
        with watching() as graphs:
            torch.testing.assert_close(compiled(*args), function(*args))
    return [[decline.code for decline in graph.declined] for graph in graphs]


def test_an_operator_over_functions_is_a_part_of_its_own() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        y = x * 2
        return torch.cond(y.max() > 0, lambda x: x.sin(), lambda x: x.cos(), (y,)) * 3 + y

    for sign in (1, -1):
        assert parts(function, sign * torch.rand(4)) == [["FK0101"], ["FK0101"], []]


def test_a_size_that_depends_on_values_begins_a_part_of_its_own() -> None:
    with torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True):
        x = torch.tensor([1.0, -2.0, 3.0])
        assert parts(lambda x: (x[x > 0] * 2 + 1).tanh(), x) == [[], ["FK0201"], []]


def test_an_index_by_integers_is_no_such_size() -> None:
    x, i = torch.rand(5), torch.tensor([2, 0])
    assert parts(lambda x: x[i] * 2 + x[i].sin(), x) == [["FK0101", "FK0101"]]


@torch.library.custom_op("fusekit_tests::increment", mutates_args=("x",))
def increment(x: torch.Tensor) -> None:
    x.add_(1)


def test_a_custom_operator_that_writes() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        y = x * 2
        increment(y)
        return y * 3 - 1

    assert parts(function, torch.rand(4)) == [[], ["FK0101"], []]


@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, torch.optim.SGD, torch.optim.RMSprop])
def test_an_optimizer_s_step_is_a_few_launches(optimizer) -> None:
    shapes = [(30, 20), (20,), (4, 3, 2), (1000,)]
    pair = []
    for _ in range(2):
        torch.manual_seed(0)
        params = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
        for param in params:
            param.grad = torch.randn_like(param)
        options = {"momentum": 0.9} if optimizer is torch.optim.SGD else {}
        pair.append(optimizer(params, lr=0.01, foreach=True, **options))
    mine, eagers = pair
    mine.step()  # makes the state
    step = torch.compile(mine.step, backend="fusekit")
    step()
    before = fusekit.stats()
    step()
    after = fusekit.stats()
    assert 0 < after.launches - before.launches <= 5
    assert after.opaque_calls == before.opaque_calls
    assert after.fallbacks == before.fallbacks
    for _ in range(3):
        eagers.step()
    found, expected = (o.param_groups[0]["params"] for o in pair)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_attention_without_dropout_draws_nothing() -> None:
    def function(x: torch.Tensor, p: float) -> torch.Tensor:
        return torch.nn.functional.scaled_dot_product_attention(x, x, x, dropout_p=p) * 2

    x = torch.randn(2, 2, 8, 4)
    codes = [[d.code for d in fusekit.explain(function, x, p).declined] for p in (0.0, 0.5)]
    assert codes[0] == ["FK0101"]
    assert "FK0103" in codes[1]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_batch_norm_trains_in_a_half(dtype: torch.dtype) -> None:
    """Its fake statistics are float32, its real ones are not."""
    eager = torch.nn.BatchNorm2d(4).to(dtype)
    fused = copy.deepcopy(eager)
    compiled, x = torch.compile(fused, backend="fusekit"), torch.randn(3, 4, 5, 5).to(dtype)
    before = fusekit.stats().fallbacks
    for _ in range(2):
        torch.testing.assert_close(compiled(x), eager(x))
    for name, statistic in eager.named_buffers():
        torch.testing.assert_close(fused.get_buffer(name), statistic, rtol=0, atol=0)
    assert fusekit.stats().fallbacks == before


def test_an_operator_with_a_wrong_fake_dtype_is_noticed() -> None:
    @torch.library.custom_op("fusekit_test::halved", mutates_args=())
    def halved(x: torch.Tensor) -> torch.Tensor:
        return (x / 2).half()

    halved.register_fake(torch.empty_like)  # which says float32
    fused = fusekit.fuse(lambda x: halved(x) + 1)
    x, before = torch.randn(16), fusekit.stats().fallbacks.get("FK0109", 0)
    assert torch.equal(fused(x), halved(x) + 1)
    assert fusekit.stats().fallbacks["FK0109"] == before + 1
