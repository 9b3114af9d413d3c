"""torch.compile finds the backend by name."""

import importlib.metadata

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
