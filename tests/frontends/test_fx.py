"""Calls of fused functions: arguments, results, state from outside, errors, foreign contexts."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import fusekit
from tests.agreement import assert_same_bits

SCALE = 2.0
WEIGHT = torch.full((3,), 5.0)
TABLE = {"bias": 1.0}


def agree(function: Callable[..., Any], *args: Any, **kwargs: Any) -> fusekit.FusedFunction:
    """The fused function, which gave what the function gives."""
    fused = fusekit.fuse(function)
    same(fused(*args, **kwargs), function(*args, **kwargs))
    return fused


def same(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, torch.Tensor):
        assert (ours.dtype, ours.shape, ours.stride()) == (
            theirs.dtype,
            theirs.shape,
            theirs.stride(),
        )
        torch.testing.assert_close(ours, theirs, equal_nan=True)
    elif isinstance(theirs, list | tuple):
        assert type(ours) is type(theirs)
        assert len(ours) == len(theirs)
        for mine, yours in zip(ours, theirs, strict=True):
            same(mine, yours)
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        same(list(ours.values()), list(theirs.values()))
    else:
        assert ours == theirs
        assert type(ours) is type(theirs)


def reason(fused: fusekit.FusedFunction, *args: Any, **kwargs: Any) -> str:
    """The code of the one decline with which PyTorch runs the whole call."""
    explained = fused.explain(*args, **kwargs)
    assert not explained.fused
    return explained.declined[0].code


# arguments and results


def test_pytrees_keywords_defaults_and_none() -> None:
    def function(pair, *, scale=2.0, table=None, flag=True):
        x, (y,) = pair
        made = x * scale + y
        return {"made": made, "none": None, "flag": flag, "list": [made, 3, "text"], "table": table}

    x, y = torch.randn(2, 3)
    fused = agree(function, (x, [y]))
    same(fused((x, [y]), scale=0.5), function((x, [y]), scale=0.5))
    same(fused((x, [y]), flag=False), function((x, [y]), flag=False))
    assert fused.explain((x, [y])).fused


def test_returned_arguments_are_the_same_objects() -> None:
    fused = fusekit.fuse(lambda x, y, s: (x, y + 1, s, x))
    x, y = torch.randn(2, 3)
    first, made, number, again = fused(x, y, 2.5)
    assert first is x
    assert again is x
    assert number == 2.5
    same(made, y + 1)


def test_a_view_of_an_argument_shares_its_memory() -> None:
    x = torch.randn(3, 4)
    view, made = fusekit.fuse(lambda x: (x.t()[1:], x + 1))(x)
    x.zero_()
    assert not view.any()
    assert view.stride() == (1, 4)
    assert made.shape == (3, 4)


def test_new_numbers_and_sizes_compile_nothing() -> None:
    fused = fusekit.fuse(lambda x, s, n: torch.relu(x * s + n) * (s + 1))
    fused(torch.randn(4), 0.5, 3)
    before = fusekit.stats().kernels
    for size, scale, shift in ((4, 0.25, 2), (4, -1.5, 0), (9, 3.0, -7), (1000, float("nan"), 1)):
        x = torch.randn(size)
        same(fused(x, scale, shift), torch.relu(x * scale + shift) * (scale + 1))
    assert fusekit.stats().kernels == before


def test_a_number_that_steers_python_is_looked_at_again() -> None:
    def function(x, n):
        for _ in range(n):
            x = x * 2 if n > 2 else x + n
        return x

    fused = fusekit.fuse(function)
    x = torch.randn(4)
    for n in (1, 2, 3, 2, 4):
        same(fused(x, n), function(x, n))


def test_numbers_of_another_type_promote_otherwise() -> None:
    fused = fusekit.fuse(lambda x, s: x * s)
    x = torch.arange(4)
    for number in (2, 2.0, True):
        same(fused(x, number), x * number)


def test_static_numbers_are_compiled_in() -> None:
    fused = fusekit.fuse(lambda x, s: x * s, dynamic=False)
    x = torch.randn(4)
    for number in (2.0, 3.0, 2.0):
        same(fused(x, number), x * number)


def test_tensors_without_elements_and_without_dimensions() -> None:
    def function(x, y):
        return torch.relu(x * y + 1), x.sum() + y

    for shapes in (((0,), (0,)), ((0, 3), (3,)), ((), ()), ((), (2, 0)), ((2, 1, 0), (4, 1))):
        agree(function, *(torch.randn(shape) for shape in shapes))


# what is read from outside


def test_tensors_from_outside_are_fetched_at_every_call() -> None:
    global WEIGHT  # noqa: PLW0603  what is tested
    inner = torch.full((3,), 2.0)

    def function(x):
        return x * WEIGHT + inner

    fused = fusekit.fuse(function)
    x = torch.ones(3)
    same(fused(x), torch.full((3,), 7.0))
    inner.fill_(3.0)
    same(fused(x), torch.full((3,), 8.0))
    WEIGHT = torch.full((3,), 1.0)
    same(fused(x), torch.full((3,), 4.0))
    inner = torch.zeros(1)
    same(fused(x), torch.ones(3))


def test_a_changed_global_number_is_seen() -> None:
    global SCALE
    fused = fusekit.fuse(lambda x: x * SCALE + TABLE["bias"])
    x = torch.ones(3)
    for SCALE, TABLE["bias"] in ((2.0, 1.0), (3.0, 1.0), (3.0, -1.0), (2.0, 1.0)):
        same(fused(x), x * SCALE + TABLE["bias"])


def test_a_module_with_parameters_that_change() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.full((3,), 2.0))
            self.factor = 3.0

        def forward(self, x):
            return torch.tanh(x * self.weight) * self.factor

    module = Scaled()
    fused = fusekit.fuse(module)
    x = torch.randn(3)
    with torch.no_grad():
        same(fused(x), module(x))
        module.weight.fill_(0.5)
        same(fused(x), module(x))
        module.factor = 0.25
        same(fused(x), module(x))
        module.weight = nn.Parameter(torch.randn(3))
        same(fused(x), module(x))


def test_a_fused_method_reads_its_instance() -> None:
    class Layer:
        def __init__(self, scale: float) -> None:
            self.scale = scale
            self.shift = torch.full((3,), scale)

        @fusekit.fuse
        def apply(self, x, *, twice=False):
            x = x * self.scale + self.shift
            return x * 2 if twice else x

    one, other = Layer(2.0), Layer(3.0)
    x = torch.ones(3)
    same(one.apply(x), x * 4)
    same(other.apply(x, twice=True), x * 12)
    one.scale = 5.0
    same(one.apply(x), x * 7)


# control flow, errors, in-place


def test_data_dependent_control_flow_runs_in_eager() -> None:
    def function(x):
        return x * 2 if x.sum() > 0 else x - 1

    fused = fusekit.fuse(function)
    for x in (torch.ones(3), -torch.ones(3)):
        same(fused(x), function(x))
        assert reason(fused, x) == "FK0201"


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (lambda x, y: x + y, (torch.ones(2), torch.ones(3))),
        (lambda x, y: x & y, (torch.ones(2), torch.ones(2))),
        (lambda x, y: x[y], (torch.ones(2), 5)),
        (lambda x, y: x.reshape(y), (torch.ones(2), 3)),
        (lambda x, y: x @ y + 1, (torch.ones(2, 3), torch.ones(2, 3))),
        (
            lambda x, y: x // y,
            (torch.ones(2, dtype=torch.int32), torch.zeros(2, dtype=torch.int32)),
        ),
        (lambda x, y: (x // y, x)[1] + 1, (torch.arange(3), torch.arange(3))),
        (lambda x, y: x.add_(y), (torch.ones(2, dtype=torch.int32), torch.ones(2))),
        (lambda x, y: x.nothing, (torch.ones(2), 1)),
        (lambda x, y: TABLE[y] * x, (torch.ones(2), "key")),
        (lambda x: x, (torch.ones(2), 1)),
        (lambda x, y: -(x > y), (torch.ones(2), 1)),
        (lambda x, y: torch.full_like(x, y) + 1, (torch.ones(2, dtype=torch.int8), 300)),
    ],
)
def test_errors_are_those_of_eager(function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    with pytest.raises(Exception) as eager:  # noqa: PT011  any: it is compared
        function(*args)
    fused = fusekit.fuse(function)
    for _ in range(2):
        with pytest.raises(type(eager.value)) as ours:
            fused(*args)
        assert type(ours.value) is type(eager.value)
        if not isinstance(eager.value, TypeError):
            assert str(ours.value) == str(eager.value)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: x.add_(y),
        lambda x, y: x[1:].mul_(2) + y[1:],
        lambda x, y: (x.t().copy_(y.t() * 2), x + 1)[1],
        lambda x, y: (x.add_(1), x.view(-1), x.t())[1:],
        lambda x, y: torch.add(x, y, out=x) * 2,
        lambda x, y: (x.zero_(), y.fill_(3), x + y)[2],
        lambda x, y: x.type_as(x).mul_(3) + y,
        lambda x, y: (x.unsqueeze_(0), x * 2)[1],
        lambda x, y: (x.relu_(), None)[1],
    ],
)
def test_writes_reach_the_arguments(function: Callable[..., Any]) -> None:
    fused = fusekit.fuse(function)
    for seed in (0, 1):
        torch.manual_seed(seed)
        x, y = torch.randn(3, 3), torch.randn(3, 3)
        mine, yours = [x.clone(), y.clone()], [x, y]
        same(fused(*mine), function(*yours))
        same(mine, yours)


def test_arguments_that_share_memory() -> None:
    def function(x, y):
        x.add_(1)
        return x * y

    fused = fusekit.fuse(function)
    for make in (lambda b: (b[0], b[1]), lambda b: (b[0], b[0]), lambda b: (b[0], b.view(-1)[1:4])):
        mine, yours = torch.arange(6.0).view(2, 3), torch.arange(6.0).view(2, 3)
        same(fused(*make(mine)), function(*make(yours)))
        same(mine, yours)


# context


def test_default_dtype_grad_mode_inference_and_autocast() -> None:
    def function(x, y):
        return (x @ y + torch.ones(3)) * 0.5, torch.full((2,), 1.5)

    x, y = torch.randn(3, 3), torch.randn(3, 3)
    fused = agree(function, x, y)
    with torch.no_grad():
        same(fused(x, y), function(x, y))
    with torch.inference_mode():
        same(fused(x, y), function(x, y))
    with torch.autocast("cpu", torch.bfloat16):
        same(fused(x, y), function(x, y))
    torch.set_default_dtype(torch.float64)
    try:
        same(fused(x.double(), y.double()), function(x.double(), y.double()))
        same(fused(torch.arange(9).view(3, 3), torch.arange(9).view(3, 3)),
             function(torch.arange(9).view(3, 3), torch.arange(9).view(3, 3)))  # fmt: skip
    finally:
        torch.set_default_dtype(torch.float32)
    same(fused(x, y), function(x, y))


def test_under_transforms_and_modes_pytorch_runs_it() -> None:
    def function(x):
        return torch.tanh(x) * 2 + x

    fused = fusekit.fuse(function)
    x = torch.randn(4, 3)
    fused(x)
    same(torch.func.vmap(fused)(x), function(x))
    same(
        torch.func.grad(lambda t: fused(t).sum())(x),
        torch.func.grad(lambda t: function(t).sum())(x),
    )
    traced = torch.fx.experimental.proxy_tensor.make_fx(fused)(x)
    assert any(node.op == "call_function" for node in traced.graph.nodes)
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode() as mode:
        assert fused(mode.from_tensor(torch.empty(4, 3))).shape == (4, 3)
    assert fused(torch.empty(4, 3, device="meta")).device.type == "meta"
    same(fused(x), function(x))


def test_tensors_that_kernels_do_not_take() -> None:
    class Marked(torch.Tensor):
        pass

    def function(x):
        return x * 2 + x

    plain = torch.randn(3, 3)
    for x in (plain.to(torch.complex64), plain.to_sparse(), plain.as_subclass(Marked)):
        ours, theirs = fusekit.fuse(function)(x), function(x)
        assert type(ours) is type(theirs)
        assert ours.layout == theirs.layout
        assert_same_bits(
            *(t.to_dense().as_subclass(torch.Tensor).abs() for t in (ours, theirs)), ""
        )


@pytest.mark.parametrize(
    "given",
    [
        lambda x: x.to_sparse_csr(),
        lambda x: x.to_sparse_bsr((1, 1)),
        lambda x: x.to_mkldnn(),
        lambda x: torch.nested.nested_tensor([x, x[:1]]),
    ],
    ids=["csr", "bsr", "mkldnn", "nested"],
)
@pytest.mark.filterwarnings("ignore:.* prototype|Sparse .* beta state:UserWarning")
def test_layouts_that_torchs_guards_and_keys_do_not_take(given) -> None:
    def function(x):
        return x * 2

    x = given(torch.eye(3))
    fused = fusekit.fuse(function)
    for _ in range(2):
        ours, theirs = fused(x), function(x)
        assert ours.layout == theirs.layout
        if x.is_nested:
            assert all(map(torch.equal, ours.unbind(), theirs.unbind()))
        else:
            assert torch.equal(ours.to_dense(), theirs.to_dense())


def test_an_exception_in_the_function_leaves_nothing_behind() -> None:
    @dataclasses.dataclass
    class Switch:
        error: type[BaseException] | None = None

    switch = Switch(KeyboardInterrupt)

    def function(x):
        y = x + 1
        if switch.error is not None:
            raise switch.error
        return y * 2

    fused = fusekit.fuse(function)
    x = torch.randn(3)
    with pytest.raises(KeyboardInterrupt):
        fused(x)
    assert torch._C._len_torch_dispatch_stack() == 0
    assert torch.is_grad_enabled()
    switch.error = None
    same(fused(x), (x + 1) * 2)
    assert fused.explain(x).fused


def test_sixteen_threads_compile_one_kernel() -> None:
    fused = fusekit.fuse(lambda x, s: torch.sigmoid(x * s) - 0.123456)
    x = torch.randn(1000)
    before = fusekit.stats().kernels
    results: list[torch.Tensor] = []
    barrier = threading.Barrier(16)

    def work() -> None:
        barrier.wait()
        results.append(fused(x, 2.0))

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 16
    for result in results:
        same(result, torch.sigmoid(x * 2.0) - 0.123456)
    assert fusekit.stats().kernels <= before + 1


@pytest.mark.parametrize("make", [torch.zeros, torch.rand])
def test_a_size_that_is_a_number_among_the_arguments(make) -> None:
    fused = fusekit.fuse(lambda x, n: make(n, 2) * 0 + x)
    for n in (3, 5, 3):
        assert torch.equal(fused(torch.ones(1), n), torch.ones(n, 2))


@pytest.mark.parametrize("dim", [0, 1, 2, 4, -1, -3])
@pytest.mark.parametrize("shape", [(2, 2, 2, 2), (2, 3, 4, 5), (1, 3, 4, 5)])
def test_a_stack_has_the_strides_of_a_stack(shape, dim):
    """Those of a cat of unsqueezed tensors are others, for channels_last and some permutations."""

    def function(x):
        return torch.stack([x * 2, x], dim), torch.stack([x, -x, x], dim=dim) + 1

    plain = torch.randn(shape)
    for x in (plain, plain.to(memory_format=torch.channels_last), plain.permute(3, 0, 2, 1)):
        agree(function, x)
