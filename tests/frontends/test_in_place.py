"""Writes in place: to values nobody else sees, to values seen through views, to arguments."""

from __future__ import annotations

import pytest
import torch
from torch.utils import _pytree as pytree

import fusekit


def fresh(x):
    y = x * 2
    y += 1
    y.clamp_(0, 2)
    return y * y


def alias(x):
    y = x * 2
    z = y
    y.add_(1)
    return z * y


def view_before(x):
    y = x * 2
    row = y[0]
    y.add_(1)
    return y, row


def view_after(x):
    y = x * 2
    y.add_(1)
    return y, y[0]


def through_a_view(x):
    y = x * 2
    y[0] += 1
    return y


def both_ways(x):
    y = x * 2
    flat = y.view(16)
    y.add_(1)
    flat.mul_(2)
    return y, flat


def detached(x):
    y = x * 2
    other = y.detach()
    y.add_(1)
    return other


def read_by_pytorch(x):
    y = x * 2
    total = y.sum()
    y.mul_(total)
    return y, total


def with_itself(x):
    y = x * 1
    y.add_(y)
    return y, x


def argument(x):
    x.add_(1)
    y = x * 2
    y.mul_(x)
    return y


def maybe_the_argument(x):
    y = x.contiguous().to(torch.float32)
    y.add_(1)
    return y


def factory(x):
    y = torch.zeros(4, 4)
    y += x
    y.masked_fill_(x > 0, 2.0)
    return y


def narrower(x):
    y = x + 0
    y.sub_(torch.ones(4, dtype=torch.float64))
    y.copy_(x[0]).fill_(3.0)
    return y + x


FUNCTIONS = (
    *(fresh, alias, view_before, view_after, through_a_view, both_ways, detached),
    *(read_by_pytorch, with_itself, argument, maybe_the_argument, factory, narrower),
)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_it_is_eager_s_result_and_effect(function):
    x = torch.randn(4, 4)
    mine, eagers = x.clone(), x.clone()
    got, expected = fusekit.fuse(function)(mine), function(eagers)
    single = isinstance(got, torch.Tensor)
    for one, other in zip(*([[r] if single else r for r in (got, expected)]), strict=True):
        assert torch.equal(one, other)
        assert one.dtype == other.dtype
        assert one.stride() == other.stride()
    assert torch.equal(mine, eagers)


def test_a_fresh_value_costs_no_kernel():
    x = torch.randn(4, 4)
    for function in (fresh, alias, factory):
        explanation = fusekit.explain(function, x)
        assert len(explanation.groups) == 1
        assert not explanation.declined


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (x + 0).add_(torch.ones(2, 4, 4)),
        lambda x: x.int().div_(2),
        lambda x: (x * 2).add_((x * 2).double().cfloat()),
    ],
    ids=["shape", "int", "complex"],
)
def test_what_eager_rejects_is_rejected(function):
    x = torch.randn(4, 4)
    with pytest.raises(RuntimeError) as eagers:
        function(x)
    with pytest.raises(RuntimeError) as mine:
        fusekit.fuse(function)(x)
    assert str(mine.value) == str(eagers.value)


def test_a_saved_tensor_that_was_overwritten_is_an_error_as_in_eager():
    def function(x):
        y = x.exp()
        y.mul_(2)
        return y

    for run in (function, fusekit.fuse(function)):
        made = run(torch.randn(4, requires_grad=True))
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            made.sum().backward()


def test_the_gradient_of_clamp_is_fused():
    """torch's own formula for it writes a mask in place."""
    f = fusekit.fuse(lambda x: torch.clamp(x * x, 0.5, 2.0))
    x = torch.randn(50, requires_grad=True)
    made = f(x).sum()
    before = fusekit.stats()
    (got,) = torch.autograd.grad(made, x)
    after = fusekit.stats()
    assert after.fallbacks == before.fallbacks
    assert after.launches == before.launches + 1
    assert torch.equal(got, torch.autograd.grad(f.function(x).sum(), x)[0])


def test_memory_of_ones_own_keeps_its_strides() -> None:
    def function(x, y):
        made = x + y
        made.masked_fill_(made > 0, 1)
        return -made, made.bernoulli_(0.5) * 2

    x, y = torch.randn(3, 4), torch.randn(4, 3).t()
    for ours, theirs in zip(fusekit.fuse(function)(y, x), function(y, x), strict=True):
        assert ours.stride() == theirs.stride()


def test_masked_fill_in_place_keeps_the_layout_that_it_loses_out_of_place():
    def function(x):
        x.masked_fill_(x > 0, 1)
        return -x, x.masked_fill(x < 0, 2)

    x = torch.randn(3, 2).t()
    y = x.clone()
    for found, expected in zip(fusekit.fuse(function)(x), function(y), strict=True):
        assert torch.equal(found, expected)
        assert found.stride() == expected.stride()
    assert torch.equal(x, y)


def turned(x):
    y = x * 2
    flat = y.view(-1)
    y.t_()
    return y + 1, flat + 1


def turned_then_written(x):
    y = x * 2
    row = y[0]
    y.t_()
    y.add_(1)
    return row, y


def widened(x):
    y = x * 2
    y.unsqueeze_(0).transpose_(0, 1)
    return y.relu() + 1


def a_view_of_the_argument(x):
    y = x[:1]
    y.squeeze_(0)
    y.mul_(3)
    return x + 1


def a_product(x):
    y = x @ x.t()
    y.swapdims_(0, 1)
    return y.add_(1) * 2


def returned(x):
    y = x * 2
    y.t_()
    return y


@pytest.mark.parametrize(
    "function",
    [turned, turned_then_written, widened, a_view_of_the_argument, a_product, returned],
    ids=lambda function: function.__name__,
)
def test_views_in_place_of_what_was_computed(function):
    """`t_` and the like change one name's shape, and no other's."""
    given = torch.randn(3, 4)
    twin = given.clone()
    fused = fusekit.fuse(function)
    made, expected = fused(given), function(twin)
    for ours, theirs in zip(pytree.tree_leaves(made), pytree.tree_leaves(expected), strict=True):
        assert torch.equal(ours, theirs)
        assert ours.stride() == theirs.stride()
    assert torch.equal(given, twin)
    assert fused.explain(given).fused


SPECIAL = torch.tensor([1e30, -1.5, -torch.inf, 1.0, torch.nan, torch.inf, 0.0, -0.0] * 2).view(
    4, 4
)


def expanded_to_its_own_shape(x, y):
    y.expand_as(x).mul_(2)
    return torch.broadcast_to(y, (1, 1, 4, 4)).sub_(x)


def nothing_many_times(x, y):
    none = y[:, :0].expand(2, 4, 0)
    y.mul_(2)
    return none.mul_(2), none.sum(0).reshape(4, 0)


def one_of_many_that_are_the_same(x, y):
    z = y * 1
    many = z.expand(3, 4, 4)
    many[0].mul_(2)
    return many, z


def one_row_of_many_that_are_the_same(x, y):
    z = y[:1] * 1
    row = z.expand(3, 4)[1]
    row.add_(x[0])
    return row, z


def what_was_expanded(x, y):
    z = y * 1
    many = z.expand(3, 4, 4)
    z.mul_(2)
    return many + x, z


@pytest.mark.parametrize(
    ("function", "is_fused"),
    [
        (expanded_to_its_own_shape, True),
        (nothing_many_times, True),
        (one_of_many_that_are_the_same, False),
        (one_row_of_many_that_are_the_same, False),
        (what_was_expanded, True),
    ],
    ids=lambda case: getattr(case, "__name__", None),
)
def test_writes_through_expanded_tensors_are_exact(function, is_fused):
    """Functionalisation adds the difference, which is NaN at infinities and rounds elsewhere."""
    x, mine, eagers = torch.randn(4, 4), SPECIAL.clone(), SPECIAL.clone()
    fused = fusekit.fuse(function)
    leaves, expected = pytree.tree_leaves(fused(x, mine)), pytree.tree_leaves(function(x, eagers))
    for one, other in zip([*leaves, mine], [*expected, eagers], strict=True):
        bits = [tensor.contiguous().view(torch.int32) for tensor in (one, other)]
        assert torch.equal(*bits)
        assert one.stride() == other.stride()
    assert bool(fused.explain(x, SPECIAL.clone()).groups) == is_fused


@pytest.mark.parametrize("at_least", [torch.atleast_1d, torch.atleast_2d, torch.atleast_3d])
@pytest.mark.parametrize("shape", [(), (3,), (3, 4), (2, 3, 4)], ids=len)
def test_what_has_dimensions_added_sees_later_writes(at_least, shape):
    def alone(x):
        seen = at_least(x)
        x.add_(1)
        return seen * 2, x

    def several(x):
        seen = at_least(x, x * 3)
        seen[0].mul_(2)
        return seen[1] + seen[0], x

    for function in (alone, several):
        x = torch.randn(shape)
        mine, eagers = x.clone(), x.clone()
        found, expected = fusekit.fuse(function)(mine), function(eagers)
        for one, other in zip((*found, mine), (*expected, eagers), strict=True):
            assert torch.equal(one, other)
            assert one.stride() == other.stride()


def scaled_then_filled(x):
    x.mul_(2)
    x.flatten().fill_(7)
    return x + 1


def added_then_written(x):
    x += 1
    y = x.reshape(-1, 1)
    y += 1
    return y * 2 + x.sum()


def copied_then_written(x):
    x.copy_(x * 2)
    y = x.contiguous()
    y.add_(1)
    return y * 2 + x.sum()


def by_a_function_then_written(x):
    torch.nn.functional.relu(x, inplace=True)
    torch.sub(x, 1, out=x)
    x[:] = x * 3
    y = x.flatten()
    y.add_(1)
    return y * 2 + x.sum()


def through_two_views(x):
    y = x[:, 1:]
    y.mul_(2)
    x.mul_(2)
    y.reshape(-1).add_(1)
    x.flatten().add_(1)
    return x + y.sum()


def with_its_dimensions_swapped(x):
    y = x.clone()
    y.t().mul_(3)
    y.t_()
    flat = y.flatten()
    flat.add_(1)
    return x.add_(1) * 2 + flat.sum() + y.sum()


@pytest.mark.parametrize(
    "function",
    [
        *(scaled_then_filled, added_then_written, copied_then_written),
        *(by_a_function_then_written, through_two_views, with_its_dimensions_swapped),
    ],
)
def test_what_is_written_keeps_its_strides(function):
    """Or else what flattens it later is a view of it, where eager PyTorch copies."""
    fused = fusekit.fuse(function)
    gaps, steps = torch.randn(3, 19)[:, 1:-2], torch.randn(8, 6)[::2, ::2]
    for given in (gaps, steps, torch.randn(4, 3).t(), torch.randn(3, 4)):
        memory = [torch.zeros(128) for _ in range(2)]
        ours, theirs = (x.as_strided(given.shape, given.stride(), 1) for x in memory)
        ours.copy_(given)
        theirs.copy_(given)
        found, expected = fused(ours), function(theirs)
        assert fused.explain(given).fused
        torch.testing.assert_close(found, expected)
        assert found.stride() == expected.stride()
        torch.testing.assert_close(*memory)


def the_argument_under_other_strides(x):
    y = torch.as_strided(x, (2, 2), (4, 1))
    y.mul_(2)
    return x + 1, y


def what_dropout_returns(x):
    y, kept = torch.native_dropout(x, 0.5, False)
    y.add_(1)
    return y * 2, kept


@pytest.mark.parametrize(
    "function",
    [the_argument_under_other_strides, what_dropout_returns],
    ids=lambda function: function.__name__,
)
def test_views_that_strides_do_not_express_are_left_to_pytorch(function):
    given = torch.randn(4, 4)
    twin = given.clone()
    fused = fusekit.fuse(function)
    for ours, theirs in zip(fused(given), function(twin), strict=True):
        assert torch.equal(ours, theirs)
        assert memory(ours) == memory(given) or memory(theirs) != memory(twin)
    assert torch.equal(given, twin)
    assert [decline.code for decline in fused.explain(given).declined] == ["FK0110"]


def memory(tensor):
    return tensor.untyped_storage().data_ptr()


def test_a_write_beside_a_sparse_tensor_that_is_closed_over_is_left_to_pytorch():
    sparse = torch.eye(4).to_sparse()

    @fusekit.fuse
    def multiplied(x):
        x.mul_(2)
        return torch.sparse.mm(sparse, x) + 1

    assert torch.equal(multiplied(torch.ones(4, 4)), torch.full((4, 4), 3.0))
    assert [decline.code for decline in multiplied.explain(torch.ones(4, 4)).declined] == ["FK0109"]
