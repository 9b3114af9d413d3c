"""Random numbers in kernels: one seed a call, the original's tests, and what users rely on."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

import fusekit
from tests.gpu.harness import DEVICE, ENGINE, counted, filled

pytestmark = pytest.mark.gpu


def drawn(function, *args, groups=1):
    """The fused function; all of it is kernels but for the draw of the call's seed."""
    fused = fusekit.fuse(function, engine=ENGINE)
    explanation = fused.explain(*args)
    assert explanation.fused, str(explanation)
    assert len(explanation.groups) == groups, str(explanation)
    assert len(explanation.declined) <= 1, str(explanation)
    for decline in explanation.declined:
        assert decline.reason is fusekit.Reason.RANDOM, str(explanation)
        assert not {"rand_like", "bernoulli", "native_dropout", "uniform"} & {
            *decline.op.split(".")
        }, str(explanation)
    return fused


def test_rand_cuda():
    def chain(x):
        return x * x + torch.rand_like(x) + x

    x = torch.zeros(400, 400, device=DEVICE)
    fused = drawn(chain, x)
    with counted(launches=2):
        one, other = fused(x), fused(x)
    assert not torch.equal(one, other)
    for made in (one, other):
        assert bool(((made >= 0) & (made < 1)).all())
        assert abs(float(made.mean()) - 0.5) < 0.01
        assert abs(float(made.var()) - 1 / 12) < 0.01
        assert made.unique().numel() > 100_000


def test_rand_broadcast_cuda():
    """The draw for a row is one draw in a kernel of its own, whatever it is broadcast to."""

    def chain(x, y):
        return torch.rand_like(y) * x + x

    x, y = torch.ones(40, 40, device=DEVICE), filled((40,))
    made = drawn(chain, x, y, groups=2)(x, y)
    assert all(torch.equal(made[0], row) for row in made)
    assert made[0].unique().numel() > 30


def test_a_draw_times_its_argument():
    x = filled((1001,))
    made = drawn(lambda x: torch.rand_like(x) * x, x)(x)
    assert bool((made.abs() <= x.abs()).all())
    assert not torch.equal(made, x)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_draws_of_every_dtype_stay_below_one(dtype):
    x = torch.zeros(100_001, device=DEVICE, dtype=dtype)
    made = drawn(lambda x: torch.rand_like(x) + x, x)(x)
    assert made.dtype is dtype
    assert bool(((made >= 0) & (made < 1)).all())
    assert abs(float(made.double().mean()) - 0.5) < 0.01


def test_manual_seed_reproduces_the_draws():
    x = filled((500,))
    fused = drawn(lambda x: torch.rand_like(x) * x, x)
    fused(x)
    runs = []
    for seed in (7, 7, 8):
        torch.manual_seed(seed)
        runs.append([fused(x), fused(x)])
    for one, other in zip(runs[0], runs[1], strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(runs[0][0], runs[2][0])
    assert not torch.equal(*runs[0])


def test_two_draws_of_one_call_differ():
    x = torch.zeros(1000, device=DEVICE)
    one, other = drawn(lambda x: (torch.rand_like(x) + x, torch.rand_like(x) - x), x)(x)
    assert not torch.equal(one, other)
    assert abs(float(torch.corrcoef(torch.stack([one, other]))[0, 1])) < 0.2


def test_dropout():
    def chain(x):
        return functional.relu(functional.dropout(x, 0.25))

    x = torch.ones(100_000, device=DEVICE)
    made = drawn(chain, x)(x)
    kept = made > 0
    torch.testing.assert_close(made[kept], torch.full_like(made[kept], 1 / 0.75))
    assert abs(float(kept.double().mean()) - 0.75) < 0.01


def test_the_gradient_of_dropout_is_that_of_what_was_kept():
    fused = fusekit.fuse(lambda x: functional.dropout(x * 2, 0.5) + 1, engine=ENGINE)
    x = filled((10_001,)).requires_grad_()
    made = fused(x)
    (gradient,) = torch.autograd.grad(made.sum(), x)
    kept = made.detach() != 1
    assert 0.45 < float(kept.double().mean()) < 0.55
    torch.testing.assert_close(gradient, kept * 4.0)


def test_a_layout_does_not_repeat_draws():
    """Transposed, stepped and unaligned arguments take other kernels with the same duties."""
    base = torch.zeros(130, 133, device=DEVICE)
    y = torch.zeros(133, 130, device=DEVICE)
    for x, function in (
        (base.t(), lambda x: torch.rand_like(x) + x),
        (base[:, ::2], lambda x: torch.rand_like(x) + x),
        (base.flatten()[3:], lambda x: torch.rand_like(x) + x),
        (base.t(), lambda x: torch.rand_like(x) + x + y),
    ):
        made = fusekit.fuse(function, engine=ENGINE)(x)
        assert bool(((made >= 0) & (made < 1)).all())
        assert made.unique().numel() > 0.99 * made.numel()
