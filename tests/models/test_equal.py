"""Forward and training step of every model equal eager's, as far as dtypes allow."""

import functools

import pytest
import torch

import fusekit
from fusekit.bench.models import ZOO
from fusekit.runtime.compiled import watching
from tests.models.judge import assert_as_good, cast, runs

compiled = functools.partial(torch.compile, backend="fusekit")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", ZOO)
def test_forward_and_training_steps_equal_eager(name, dtype, build):
    built = build(name)
    trio = runs(built, dtype, compiled)
    inputs = [cast(built.inputs(3), each) for each in (dtype, dtype, torch.float64)]
    before = fusekit.stats().fallbacks
    with watching() as graphs:
        assert_as_good(*(run.evaluate(x) for run, x in zip(trio, inputs, strict=True)))
        for _ in range(2):
            assert_as_good(*(run.step(x) for run, x in zip(trio, inputs, strict=True)))
    assert_as_good(*(run.state() for run in trio))
    assert fusekit.stats().fallbacks == before
    assert all(graph.fused for graph in graphs)


@pytest.mark.parametrize("name", ZOO)
def test_other_batches_compile_no_kernel(name, build):
    built = build(name)
    trio = runs(built, torch.float32, functools.partial(compiled, dynamic=True))
    kernels = []
    for batch in (2, 3, 5):
        inputs = built.inputs(batch)
        given = (inputs, inputs, cast(inputs, torch.float64))
        for task in ("evaluate", "step"):
            made = (getattr(run, task)(x) for run, x in zip(trio, given, strict=True))
            assert_as_good(*made)
        kernels.append(fusekit.stats().kernels)
    assert kernels[1:] == [kernels[0]] * 2
