"""torch.compile finds the backend by name."""

import importlib.metadata

import pytest
import torch

import fusekit

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
