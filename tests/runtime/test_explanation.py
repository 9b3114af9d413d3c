"""Explanations: bytes against eager's, reasons with what they were decided on, forms to print."""

from __future__ import annotations

import json
import math
from io import StringIO

import pytest
import rich.console
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

import fusekit
from fusekit.specs import Reason


class Ledger(TorchDispatchMode):
    """Adds up what each eager operator reads and writes, in distinct elements."""

    def __init__(self):
        super().__init__()
        self.nbytes = 0
        self.launches = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.launches += 1
            read = {id(x): x for x in args if isinstance(x, torch.Tensor)}
            self.nbytes += sum(map(distinct, (*read.values(), made)))
        return made


def distinct(tensor):
    pairs = zip(tensor.shape, tensor.stride(), strict=True)
    return math.prod(n for n, step in pairs if step or not n) * tensor.itemsize


OPS = (torch.add, torch.mul, torch.sub, torch.maximum)


@given(
    st.lists(st.tuples(st.sampled_from(OPS), st.integers(0, 3)), min_size=1, max_size=6),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.booleans(),
)
def test_unfused_bytes_are_those_that_eager_operators_move(steps, shape, summed):
    """Counted independently, operator by operator, as eager dispatches them."""
    inputs = [torch.randn(shape), torch.randn(shape[1]), torch.randn(shape[1], shape[0]).t()]
    inputs.append(torch.randn(shape[0], 1).expand(shape))

    def function(*tensors):
        value = torch.sigmoid(tensors[0])
        for op, index in steps:
            value = op(value, tensors[index])
        return value.sum() if summed else value

    with Ledger() as eager:
        function(*inputs)
    totals = fusekit.explain(function, *inputs).totals
    # simplification may find less to do, but what eager does is eager's
    assert (totals.unfused, totals.unfused_launches) == (eager.nbytes, eager.launches)
    assert totals.fused <= totals.unfused
    assert totals.launches <= totals.unfused_launches


def test_a_chain_saves_what_lies_between():
    x = torch.ones(1000)
    explained = fusekit.explain(lambda x: (x * 2 + 1).tanh(), x)
    (group,) = explained.groups
    assert (group.bytes_read, group.bytes_written, group.bytes_unfused) == (4000, 4000, 24000)
    assert group.saved == pytest.approx(2 / 3)
    assert group.launches_unfused == 3
    assert group.flops >= 3000
    assert "reads 3.906 KiB, writes 3.906 KiB; unfused 23.44 KiB: 66% saved" in str(explained)


def test_groups_add_up_to_the_call():
    x, w = torch.ones(32, 32), torch.ones(32, 32)
    explained = fusekit.explain(lambda x, w: torch.cat([(x @ w).relu() * 2, x + 1]).exp(), x, w)
    product = 3 * 32 * 32 * 4
    moved = sum(group.bytes_read + group.bytes_written for group in explained.groups)
    unfused = sum(group.bytes_unfused for group in explained.groups)
    assert explained.totals.fused == moved + product
    assert explained.totals.unfused == unfused + product


def test_a_call_without_elements_launches_nothing_and_says_so():
    explained = fusekit.explain(lambda x: x * 2 + 1, torch.empty(0, 4))
    assert explained.fused
    assert explained.groups[0].decline.reason is Reason.EMPTY
    assert explained.totals.launches == 0
    assert explained.codes == ("FK0305",)


def details(function, *args):
    """Reason -> detail of everything declined."""
    explained = fusekit.explain(function, *args)
    found = [*explained.declined, *(seam.decline for seam in explained.seams)]
    return {decline.reason: decline for decline in reversed(found)}


X = torch.randn(8, 8)


def test_an_operator_outside_shows_its_operands():
    found = details(lambda x, i: x[i].sum(dim=1) * 2, X, torch.tensor([1, 2]))
    explained = fusekit.explain(lambda x, i: x[i].sum(dim=1) * 2, X, torch.tensor([1, 2]))
    assert [d.detail for d in explained.declined] == [
        "on f32[8, 8], i64[2]",
        "on f32[2, 8], dim=[1]",
    ]
    assert found[Reason.OPAQUE_OP].advice


def crossed(x):
    y = x * 3
    return y.t() + x, y


@pytest.mark.parametrize(
    ("function", "args", "reason", "detail"),
    [
        (lambda z: (z * 2).real + 1, (X.cfloat(),), Reason.UNSUPPORTED_DTYPE, "complex64[8, 8]"),
        (lambda z: z * 1j, (X,), Reason.UNSUPPORTED_DTYPE, "complex64"),
        (lambda s: s.to_dense() * 2, (X.to_sparse(),), Reason.LAYOUT, "sparse_coo f32[8, 8]"),
        (lambda x, y: (x * 2, y * 2), (X, X.to("meta")), Reason.DEVICE, "f32[8, 8] is on meta"),
        (lambda x: torch.randn_like(x) * x, (X,), Reason.RANDOM, "on f32[8, 8]"),
        (
            lambda x, g: torch.rand(8, generator=g) * x,
            (X, torch.Generator()),
            Reason.RANDOM,
            "with a generator of its own",
        ),
        (
            lambda x: torch.nn.functional.rrelu(x, training=True) * 2,
            (X,),
            Reason.RANDOM,
            "in place",
        ),
        (lambda x: torch.rrelu_(x * 1, training=True) * 2, (X,), Reason.RANDOM, "in place"),
        (lambda x: x.unsqueeze_(0) * 2, (X.clone(),), Reason.MUTATION, "another shape"),
        (
            lambda x, b: x + b.tanh(),
            (X, X[0]),
            Reason.ITERATION_SPACE,
            "[8] and [8, 8], dimension 0: 1 and 8",
        ),
        (
            lambda x: x * 3 - (x * 3).mean(),
            (X,),
            Reason.CYCLE,
            "aten.mean.default at",
        ),
        (
            crossed,
            (X,),
            Reason.VIEW_OF_INTERMEDIATE,
            "aten.t.default of what aten.mul.Tensor computes",
        ),
    ],
)
def test_a_reason_names_what_it_was_decided_on(function, args, reason, detail):
    found = details(function, *args)
    assert detail in found[reason].detail
    assert found[reason].hint


def test_too_many_tensors_are_counted():
    def total(*tensors):
        result = tensors[0].tanh()
        for tensor in tensors[1:]:
            result = torch.tanh(result + tensor)
        return result

    tensors = [torch.ones(100, i)[:, 0] for i in range(1, 8)]
    with fusekit.options(max_arguments=4):
        decline = details(total, *tensors)[Reason.ARGUMENT_LIMIT]
    needed = int(decline.hint.partition("max_arguments=")[2].partition(")")[0])
    assert needed > 4
    assert f"{needed} tensors" in decline.detail


def test_a_seam_has_the_reason_of_the_operator_beside_it():
    explained = fusekit.explain(lambda x: torch.randn_like(x) * x, X)
    assert [seam.decline.code for seam in explained.seams] == ["FK0103"]
    assert "f32[8, 8], 256 B through memory" in explained.seams[0].decline.detail


def test_a_gradient_decline_says_which_product():
    w = torch.randn(8, 8, requires_grad=True)
    (decline, *_) = fusekit.explain(lambda x, w: (x @ w).relu() * 2, X, w).declined
    assert decline.reason is Reason.GRADIENT
    assert decline.detail == "on f32[8, 8], f32[8, 8]"
    assert "torch.no_grad()" in decline.hint
    scale = torch.ones((), requires_grad=True)
    (decline, *_) = fusekit.explain(lambda x: (x * scale).relu(), X).declined
    assert "scale" in decline.detail


@pytest.mark.parametrize("shape", [(8,), (3, 8)])
def test_a_vector_times_a_matrix_is_captured(shape):
    """`squeeze_` on the product's result is a view in place, not a refusal."""
    v, m = torch.randn(shape), torch.randn(8, 5)

    def function(v, m):
        return torch.relu(v @ m) * 2 + 1

    explained = fusekit.explain(function, v, m)
    assert explained.fused
    torch.testing.assert_close(fusekit.fuse(function)(v, m), function(v, m))


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        (torch.nn.functional.hinge_embedding_loss, torch.ones(8, 8)),
        (torch.nn.functional.poisson_nll_loss, torch.rand(8, 8)),
    ],
)
def test_the_backward_of_a_loss_that_clamps_in_place_is_fused(loss, target):
    x = X.clone().requires_grad_()
    fused = fusekit.fuse(loss)
    fused(x, target).backward()
    again = X.clone().requires_grad_()
    loss(again, target).backward()
    torch.testing.assert_close(x.grad, again.grad)
    assert not fused.history().fallbacks


def test_it_is_the_same_text_twice_and_json_and_rich():
    def function(x, w):
        return torch.relu(x @ w + 1) * 2

    first, second = (fusekit.explain(function, X, X) for _ in range(2))
    assert str(first) == str(second)
    assert "0x" not in str(first)
    assert json.loads(json.dumps(first.to_dict()))["codes"] == ["FK0101"]
    out = StringIO()
    rich.console.Console(file=out, width=300).print(first)
    assert out.getvalue().strip() == str(first)
    assert "docs/reasons/FK0101.md" in str(first)
