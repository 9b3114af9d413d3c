"""What is particular to training: dropout, the optimizer, and layers that are alike."""

import copy
import statistics

import pytest
import torch

import fusekit
from fusekit.runtime.compiled import watching
from tests.models.judge import cast, runs

SEEDS = 60


def losses(module, built, inputs, seeds):
    found = []
    for seed in seeds:
        torch.manual_seed(seed)
        found.append(float(built.loss(module(**inputs)).detach()))
    return found


def test_dropout_draws_by_the_seed_and_as_often_as_eager(build):
    built = build("vit", dropout=0.3)
    inputs, module = built.inputs(3), built.module.train()
    fused = torch.compile(copy.deepcopy(module), backend="fusekit")
    first, other, again = losses(fused, built, inputs, [1, 2, 1])
    assert first == again != other
    ours, theirs = (losses(m, built, inputs, range(SEEDS)) for m in (fused, module))
    # two samples of one distribution: their means are within 4 standard errors but once in 16,000
    error = ((statistics.variance(ours) + statistics.variance(theirs)) / SEEDS) ** 0.5
    assert abs(statistics.fmean(ours) - statistics.fmean(theirs)) < 4 * error
    assert 0.5 < statistics.stdev(ours) / statistics.stdev(theirs) < 2


def test_dropout_repeats_its_mask_in_the_backward(build):
    """Along the gradient, the loss changes as the gradient says: with another mask it would not."""
    built = build("vit", dropout=0.3)
    inputs, module = cast(built.inputs(3), torch.float64), built.module.double().train()
    fused = torch.compile(module, backend="fusekit")

    def loss() -> torch.Tensor:
        torch.manual_seed(5)
        return built.loss(fused(**inputs))

    before = loss()
    before.backward()
    gradients = [parameter.grad.clone() for parameter in module.parameters()]
    slope, step = sum(float(g.square().sum()) for g in gradients), 1e-4
    with torch.no_grad():
        for parameter, gradient in zip(module.parameters(), gradients, strict=True):
            parameter.add_(gradient, alpha=step)
    change = float(loss().detach() - before.detach())
    assert change == pytest.approx(slope * step, rel=1e-2)


def test_twelve_layers_compile_the_kernels_of_two(build):
    kernels, symbols = [], []
    for layers in (2, 12):
        built = build("gpt2", layers=layers)
        fused, _, _ = runs(built, torch.float32, lambda m: torch.compile(m, backend="fusekit"))
        with watching() as graphs:
            fused.evaluate(built.inputs(2))
            fused.step(built.inputs(2))
        kernels.append(fusekit.stats().kernels)
        symbols.append({group.symbol for graph in graphs for group in graph.groups})
    assert symbols[0] == symbols[1]
    assert kernels[0] == kernels[1]


@pytest.mark.parametrize("foreach", [False, True])
def test_the_optimizers_step_compiled_too(foreach, build):
    """Beside the same graphs run by PyTorch: under torch.compile, AdamW's formula is another."""
    modules = [copy.deepcopy(build("vae").module)]
    modules.append(copy.deepcopy(modules[0]))
    steps = []
    for module, backend in zip(modules, ("aot_eager", "fusekit"), strict=True):
        optimizer = torch.optim.AdamW(module.parameters(), lr=0.1, eps=0.1, foreach=foreach)
        steps.append(torch.compile(optimizer.step, backend=backend))
    for _ in range(3):
        for pair in zip(*(module.parameters() for module in modules), strict=True):
            gradient = torch.randn(pair[0].shape)
            for parameter in pair:
                parameter.grad = gradient.clone()
        for step in steps:
            step()
        for theirs, ours in zip(*(module.parameters() for module in modules), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    with watching() as graphs:
        steps[1]()
    assert [decline for graph in graphs for decline in graph.declined] == []
