"""The torch.compile backend under everything that may stand around a call."""

from __future__ import annotations

import concurrent.futures
import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  the usual name
from torch.utils.checkpoint import checkpoint

import fusekit
from fusekit.dynamo import backend


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    torch.manual_seed(0)
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def compiled(function: Any, **options: Any) -> Callable[..., Any]:
    return torch.compile(function, backend=backend, **options)


class Net(torch.nn.Module):
    """Pointwise chains between products and norms, and a buffer that each call writes."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(8, 16)
        self.second = torch.nn.Linear(16, 8)
        self.norm = torch.nn.LayerNorm(8)
        self.batch_norm = torch.nn.BatchNorm1d(8)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls.add_(1)
        hidden = self.second(F.gelu(self.first(x)))
        return self.batch_norm(self.norm(x + hidden) * 2)


def twins(device: str, *, training: bool = True) -> tuple[Net, Net]:
    first = Net().to(device).train(training)
    return first, copy.deepcopy(first)


def launches() -> int:
    return fusekit.stats().launches


def test_buffers_that_a_model_writes(device: str) -> None:
    model, reference = twins(device)
    run, x = compiled(model), torch.randn(4, 8, device=device)
    for _ in range(3):
        torch.testing.assert_close(run(x), reference(x))
    torch.testing.assert_close(dict(model.named_buffers()), dict(reference.named_buffers()))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_without_and_with_gradients(device: str, mode: Callable[[], Any]) -> None:
    model, reference = twins(device, training=False)
    run, x = compiled(model), torch.randn(4, 8, device=device)
    before = launches()
    with mode():
        for _ in range(2):
            torch.testing.assert_close(run(x), reference(x))
    assert launches() >= before + 4


def test_one_model_in_changing_modes(device: str) -> None:
    model, reference = twins(device, training=False)
    run, x = compiled(model), torch.randn(4, 8, device=device)
    for mode in (torch.inference_mode, torch.enable_grad, torch.no_grad, torch.enable_grad):
        with mode():
            torch.testing.assert_close(run(x), reference(x))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(device: str, dtype: torch.dtype) -> None:
    model, reference = twins(device, training=False)
    run, x = compiled(model), torch.randn(4, 8, device=device)
    with torch.autocast(device, dtype=dtype):
        found, expected = run(x), reference(x)
    exact = reference.double()(x.double())
    assert found.dtype == expected.dtype
    error, eager = (float((y.double() - exact).detach().abs().max()) for y in (found, expected))
    assert error <= 2 * eager + torch.finfo(dtype).eps


def test_training_steps(device: str) -> None:
    model, reference = twins(device)
    run = compiled(model)
    for _ in range(3):
        x = torch.randn(4, 8, device=device)
        for net, call in ((model, run), (reference, reference)):
            net.zero_grad()
            call(x).square().mean().backward()
            with torch.no_grad():
                for parameter in net.parameters():
                    parameter.sub_(parameter.grad, alpha=0.1)
    torch.testing.assert_close(dict(model.named_parameters()), dict(reference.named_parameters()))


def test_forward_and_backward_are_both_fused(device: str) -> None:
    model, _ = twins(device, training=False)
    run, x = compiled(model), torch.randn(4, 8, device=device)
    run(x).sum().backward()
    before = launches()
    loss = run(x).sum()
    forward = launches()
    loss.backward()
    assert forward > before
    assert launches() > forward


def test_vmap_and_grad_inside_and_outside(device: str) -> None:
    def loss(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return (torch.tanh(x @ w) * 2).sum()

    x, w = torch.randn(5, 3, 4, device=device), torch.randn(4, 4, device=device)
    batched = torch.func.vmap(torch.func.grad(loss), (0, None))
    torch.testing.assert_close(compiled(batched)(x, w), batched(x, w))
    torch.testing.assert_close(
        torch.func.vmap(compiled(loss), (0, None))(x, w), torch.func.vmap(loss, (0, None))(x, w)
    )


def test_activation_checkpointing_draws_the_same_numbers_again(device: str) -> None:
    def block(x: torch.Tensor) -> torch.Tensor:
        return F.dropout(F.gelu(x), 0.5)

    x = torch.ones(1000, device=device, requires_grad=True)
    run = compiled(lambda x: checkpoint(block, x, use_reentrant=False))
    out = run(x)
    out.sum().backward()
    assert 300 < int((out == 0).sum()) < 700
    assert torch.equal(out == 0, x.grad == 0)


def test_activation_checkpointing_of_a_layer(device: str) -> None:
    model, reference = twins(device)
    x = torch.randn(4, 8, device=device, requires_grad=True)
    y = x.detach().clone().requires_grad_()

    def run(net: Net, x: torch.Tensor) -> torch.Tensor:
        hidden = checkpoint(lambda x: F.gelu(net.first(x)), x, use_reentrant=False)
        return torch.relu(net.second(hidden))

    compiled(run)(model, x).sum().backward()
    run(reference, y).sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
    torch.testing.assert_close(model.first.weight.grad, reference.first.weight.grad)


def test_a_dynamic_batch_compiles_no_kernel_for_each_size(device: str) -> None:
    model, reference = twins(device, training=False)
    run = compiled(model, dynamic=True)
    kernels = []
    for batch in (2, 5, 3, 9, 17, 33):
        x = torch.randn(batch, 8, device=device)
        torch.testing.assert_close(run(x), reference(x))
        kernels.append(fusekit.stats().kernels)
    # for small batches, it is cheaper to compute a square root again than to store it; and on a
    # GPU, sizes that vectors divide and sizes that they do not are two kernels
    assert kernels[-1] - kernels[1] <= (2 if device == "cuda" else 0)


def test_writes_views_and_aliases(device: str) -> None:
    def function(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x.mul_(2)
        part = x[1:]
        part.add_(y[1:])
        y[0] = 5
        return part.t(), x.view(-1), y.sin(), x

    found = [torch.randn(4, 3, device=device) for _ in range(2)]
    expected = [x.clone() for x in found]
    made, right = compiled(function)(*found), function(*expected)
    for ours, theirs in zip((*made, *found), (*right, *expected), strict=True):
        torch.testing.assert_close(ours, theirs)
        assert ours.stride() == theirs.stride()
    assert made[3] is found[0]
    found[0].zero_()
    assert not made[1].any()


def test_random_numbers_follow_the_seed(device: str) -> None:
    x = torch.ones(10000, device=device)
    run = compiled(lambda x: F.dropout(x, 0.3) + torch.rand_like(x))
    torch.manual_seed(1)
    first = run(x)
    torch.manual_seed(1)
    assert torch.equal(first, run(x))
    assert not torch.equal(first, run(x))
    assert abs(float(first.mean()) - 1.5) < 0.05


def test_dropout_and_its_gradient_see_one_mask(device: str) -> None:
    x = torch.ones(10000, device=device, requires_grad=True)
    out = compiled(lambda x: F.dropout(x, 0.3))(x)
    out.sum().backward()
    assert torch.equal(x.grad, out.detach())


def test_weights_that_are_loaded_later(device: str) -> None:
    model, reference = twins(device, training=False)
    run, x = compiled(model), torch.randn(4, 8, device=device)
    run(x)
    other = Net().state_dict()
    for net in (model, reference):
        net.load_state_dict(other)
    torch.testing.assert_close(run(x), reference(x))


def test_threads(device: str) -> None:
    model, reference = twins(device, training=False)
    model.calls.requires_grad_(requires_grad=False)
    run, inputs = compiled(model), [torch.randn(4, 8, device=device) for _ in range(32)]

    def call(x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return run(x)

    call(inputs[0])  # torch.compile itself is for one thread at a time
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for found, x in zip(pool.map(call, inputs), inputs, strict=True):
            torch.testing.assert_close(found, reference(x), check_stride=False)


def test_graph_breaks_and_nested_arguments(device: str) -> None:
    def function(given: dict[str, torch.Tensor], scale: float = 2.0) -> dict[str, Any]:
        x = given["x"].sin()
        if x.sum() > 0:
            return {"a": x * scale, "b": [given["y"].relu(), 3]}
        return {"a": x - scale, "b": [given["y"].abs(), 4]}

    run = compiled(function)
    for sign in (1, -1):
        given = {"x": sign * torch.rand(5, device=device), "y": -torch.ones(3, device=device)}
        found, expected = run(given), function(given)
        assert found["b"][1] == expected["b"][1]
        torch.testing.assert_close(found["a"], expected["a"])


def test_integer_division_by_zero_raises_eagers_error() -> None:
    run = compiled(lambda x, y: x // y + 1)
    x = torch.arange(4)
    assert torch.equal(run(x, x + 1), x // (x + 1) + 1)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        run(x, x)


@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_the_engine_is_an_option(device: str, engine: str) -> None:
    x = torch.rand(5, device=device)
    run = compiled(lambda x: x.sin() * 2, options={"engine": engine})
    torch.testing.assert_close(run(x), x.sin() * 2)


@pytest.mark.parametrize("options", [{"engine": "fortran"}, {"motor": "llvm"}])
def test_options_that_do_not_exist(device: str, options: dict[str, str]) -> None:
    with pytest.raises(torch._dynamo.exc.BackendCompilerFailed, match=r"there (is|are)"):
        compiled(lambda x: x.sin() * 2, options=options)(torch.rand(5, device=device))


def test_an_optimizers_step_is_fused_per_parameter(device: str) -> None:
    mine = [torch.nn.Parameter(torch.randn(7, 5, device=device)) for _ in range(3)]
    theirs = [torch.nn.Parameter(p.detach().clone()) for p in mine]
    optimizers = [torch.optim.AdamW(p, foreach=True) for p in (mine, theirs)]
    run = compiled(optimizers[0].step)
    for _ in range(3):
        for ours, other in zip(mine, theirs, strict=True):
            ours.grad = torch.randn(7, 5, device=device)
            other.grad = ours.grad.clone()
        before = fusekit.stats().opaque_calls
        run()
        optimizers[1].step()
    assert fusekit.stats().opaque_calls == before
    torch.testing.assert_close(mine, theirs)
