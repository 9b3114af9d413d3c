"""Forward and training step of every model equal eager's, as far as dtypes allow."""

import functools

import pytest
import torch

import fusekit
from fusekit.bench.models import TINY, ZOO, Built, missing
from fusekit.runtime.compiled import watching
from tests.models.judge import assert_as_good, cast, runs

compiled = functools.partial(torch.compile, backend="fusekit")


def build(name: str, **changes: object) -> Built:
    entry = ZOO[name]
    if (reason := missing(entry)) is not None:
        pytest.skip(reason)
    import dataclasses

    return entry.build(dataclasses.replace(TINY, **changes))


@pytest.fixture(autouse=True)
def forget_compiled_code():
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", ZOO)
def test_forward_and_training_steps_equal_eager(name, dtype):
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
    assert sum(len(graph.groups) for graph in graphs) > 0


@pytest.mark.parametrize("name", ZOO)
def test_other_batches_compile_no_kernel(name):
    built = build(name)
    trio = runs(built, torch.float32, functools.partial(compiled, dynamic=True))
    kernels = []
    for batch in (2, 3, 5):
        inputs = built.inputs(batch)
        exact = cast(inputs, torch.float64)
        for task in ("evaluate", "step"):
            assert_as_good(
                *(
                    getattr(run, task)(x)
                    for run, x in zip(trio, (inputs, inputs, exact), strict=True)
                )
            )
        kernels.append(fusekit.stats().kernels)
    assert kernels[1:] == [kernels[0]] * 2
